//! The feature store: definitions, training data and serving data behind one trait.

pub mod paired;

use crate::{FeatureView, HistoricalRequest};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use ml_core::{
    BoxStream, Error, Result, Table,
    arrow::array::RecordBatch,
    id::{FeatureRef, ViewName},
    time::EventTime,
};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range, sync::Arc};

/// What [`FeatureStore::materialize`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaterializeReport {
    /// One entry a view, in the order asked for.
    pub views: Vec<MaterializedView>,
}

/// What [`FeatureStore::materialize`] did for one view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaterializedView {
    /// The view.
    pub view: ViewName,
    /// Rows read from the offline side.
    pub read: u64,
    /// How many of them became the row of their entity on the online side.
    pub written: u64,
}

impl MaterializeReport {
    /// Rows read of all views.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.views.iter().map(|view| view.read).sum()
    }

    /// Rows written of all views.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.views.iter().map(|view| view.written).sum()
    }
}

/// Features for training and serving, defined once.
///
/// New columns are named `view:feature`, in the order asked for.
///
/// # Contract
/// 1. Applying views again changes nothing; a change that would break readers is [`Conflict`](ml_core::ErrorKind::Conflict), and none of the views of that call is applied. (checks: `applying_again_changes_nothing`, `breaking_changes_conflict`)
/// 2. `historical` gives the rows of the spine, in order and with all its columns, and one new column a feature. (check: `historical_completes_the_spine`)
/// 3. The values are those that held and were known at each label time, as [`PointInTimeJoin`](crate::PointInTimeJoin) says. (check: `historical_is_correct_at_each_label`)
/// 4. A spine row with a null key, or of an unknown entity, gets nulls. (check: `unknown_entities_get_nulls`)
/// 5. An empty spine gives one batch without rows. (check: `an_empty_spine_gives_the_columns`)
/// 6. `online` gives one row a key, in order, with the values of the rows materialized before; the same values that `historical` gives for a label of now. (checks: `materialized_rows_are_online`, `online_and_historical_agree`)
/// 7. Materializing again changes no value. (check: `materializing_again_changes_nothing`)
/// 8. Unknown views and features are [`NotFound`](ml_core::ErrorKind::NotFound) in every method. (check: `unknown_names_are_not_found`)
/// 9. Keys of another type than the entity's, and missing ones, are [`InvalidInput`](ml_core::ErrorKind::InvalidInput). (check: `keys_of_other_types_are_refused`)
///
/// ```
/// use ml_core::arrow::{array::{Float64Array, RecordBatch, StringArray, TimestampSecondArray}, datatypes::DataType};
/// use ml_core::{Compute, Table, time::EventTime};
/// use ml_features::{Entity, FeatureStore, FeatureStoreExt, FeatureView, HistoricalRequest, PairedStore};
/// use ml_features::{offline::memory::MemoryOfflineStore, online::memory::MemoryOnlineStore};
/// use std::{num::NonZeroUsize, sync::Arc};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let compute = Compute::new(NonZeroUsize::MIN)?;
/// let store: Arc<dyn FeatureStore> =
///     Arc::new(PairedStore::new(MemoryOfflineStore::new(), MemoryOnlineStore::new(), compute));
///
/// let airport = Entity::new("airport".parse()?, [("origin", DataType::Utf8)])?;
/// let weather = FeatureView::new("weather".parse()?, airport, "hour", [("wind", DataType::Float64)])?;
/// store.apply(&[weather]).await?;
///
/// let origin = || Arc::new(StringArray::from(vec!["JFK", "JFK"])) as _;
/// let times = |seconds: [i64; 2]| Arc::new(TimestampSecondArray::from(seconds.to_vec()).with_timezone("UTC")) as _;
/// let rows = RecordBatch::try_from_iter([
///     ("origin", origin()),
///     ("hour", times([3600, 7200])),
///     ("wind", Arc::new(Float64Array::from(vec![3.0, 9.0])) as _),
/// ]).unwrap();
/// store.append(&"weather".parse()?, rows).await?;
///
/// // For training: each departure sees the weather known at its time.
/// let spine = RecordBatch::try_from_iter([("origin", origin()), ("departure", times([5000, 9000]))]).unwrap();
/// let request = HistoricalRequest::new(Table::from(spine.clone()), "departure").with_feature("weather:wind".parse()?);
/// let table = store.historical_table(request).await?;
/// assert_eq!(table.floats("weather:wind")?, Float64Array::from(vec![3.0, 9.0]));
///
/// // For serving: the latest of each airport.
/// store.materialize(&["weather".parse()?], EventTime::MIN..EventTime::MAX).await?;
/// let latest = store.online(&["weather:wind".parse()?], &spine).await?;
/// assert_eq!(**latest.column(0), Float64Array::from(vec![9.0, 9.0]));
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait FeatureStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps the definitions of views, new or in place of earlier ones.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict) as [`FeatureView::check_successor`], and what the place of the data gives.
    async fn apply(&self, views: &[FeatureView]) -> Result<()>;

    /// The definitions of all views, by name.
    ///
    /// # Errors
    /// What the place of the data gives.
    async fn views(&self) -> Result<Vec<FeatureView>>;

    /// Adds rows to a view, for training at once and for serving when they are materialized.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown view, as [`FeatureView::conform`], and what the place of the
    /// data gives.
    async fn append(&self, view: &ViewName, rows: RecordBatch) -> Result<()>;

    /// Brings the latest values for some keys. `keys` holds the key columns of every entity involved; other columns are
    /// not looked at.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown view or feature,
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for keys of another type, and what the place of the data gives.
    async fn online(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch>;

    /// Completes a spine, batch by batch of the spine.
    ///
    /// # Errors
    /// As [`FeatureStore::online`], and [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a label time is missing, null
    /// or without a zone, a feature is asked for twice, or the spine has a column of its name.
    async fn historical(&self, request: HistoricalRequest) -> Result<BoxStream<'static, Result<RecordBatch>>>;

    /// Copies rows of some event times, up to now and known by now, to the online side.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown view, and what either place of the data gives.
    ///
    /// # Cancel safety
    /// What was written stays. Materializing the same times again brings the rest and changes nothing else.
    async fn materialize(&self, views: &[ViewName], during: Range<EventTime>) -> Result<MaterializeReport>;
}

#[async_trait]
impl<S: FeatureStore + ?Sized> FeatureStore for Arc<S> {
    async fn apply(&self, views: &[FeatureView]) -> Result<()> {
        (**self).apply(views).await
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        (**self).views().await
    }

    async fn append(&self, view: &ViewName, rows: RecordBatch) -> Result<()> {
        (**self).append(view, rows).await
    }

    async fn online(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
        (**self).online(features, keys).await
    }

    async fn historical(&self, request: HistoricalRequest) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        (**self).historical(request).await
    }

    async fn materialize(&self, views: &[ViewName], during: Range<EventTime>) -> Result<MaterializeReport> {
        (**self).materialize(views, during).await
    }
}

/// What follows from the methods of every [`FeatureStore`].
pub trait FeatureStoreExt: FeatureStore {
    /// Collects [`FeatureStore::historical`] in memory.
    ///
    /// # Errors
    /// As [`FeatureStore::historical`].
    fn historical_table(&self, request: HistoricalRequest) -> impl Future<Output = Result<Table>> + Send {
        async move {
            let batches: Vec<RecordBatch> = self.historical(request).await?.try_collect().await?;
            match batches.first() {
                Some(first) => Table::new(first.schema(), batches),
                None => Err(Error::internal("a feature store gave no batch")),
            }
        }
    }
}

impl<S: FeatureStore + ?Sized> FeatureStoreExt for S {}
