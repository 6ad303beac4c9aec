//! All rows of each view that ever were, for training.

pub mod memory;
#[cfg(feature = "parquet")]
pub mod parquet;

use crate::{FeatureView, schema};
use async_trait::async_trait;
use ml_core::{
    BoxStream, Error, Result,
    arrow::{
        array::{AsArray, BooleanArray, RecordBatch, new_null_array},
        compute::filter_record_batch,
        datatypes::{FieldRef, TimestampMicrosecondType},
    },
    id::{FeatureName, ViewName},
    table::arrow_error,
    time::EventTime,
};
use std::{fmt, ops::Range, sync::Arc};

/// What an [`OfflineStore`] can do beyond appending and scanning.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfflineCapabilities {
    /// Whether rows and definitions outlive the process.
    pub is_durable: bool,
}

impl OfflineCapabilities {
    /// The same with rows that outlive the process.
    #[must_use]
    pub fn with_durability(mut self) -> Self {
        self.is_durable = true;
        self
    }
}

/// Which rows and features to read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Rows with these event times, the end excluded; [`EventTime::MAX`] as end excludes nothing.
    pub during: Range<EventTime>,
    /// These features, in this order; all if nothing is said.
    pub features: Option<Vec<FeatureName>>,
}

impl Default for Scan {
    fn default() -> Self {
        Self { during: EventTime::MIN..EventTime::MAX, features: None }
    }
}

impl Scan {
    /// All rows and features.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only rows with these event times, the end excluded.
    #[must_use]
    pub fn with_during(mut self, during: Range<EventTime>) -> Self {
        self.during = during;
        self
    }

    /// Only these features, in this order.
    #[must_use]
    pub fn with_features(mut self, features: impl IntoIterator<Item = FeatureName>) -> Self {
        self.features = Some(features.into_iter().collect());
        self
    }

    /// The places in the view's schema of the columns to read: keys, times and the features asked for.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view has no such feature.
    pub fn columns(&self, view: &FeatureView) -> Result<Vec<usize>> {
        let features = match &self.features {
            Some(names) => names.iter().map(|name| view.feature(name)).collect::<Result<Vec<_>>>()?,
            None => (0..view.features().len()).collect(),
        };
        Ok(view.column_places(&features))
    }

    /// Keeps of stored rows what is asked for; for stores. Features that the rows are too old to have are null.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view has no such feature,
    /// [`Corrupt`](ml_core::ErrorKind::Corrupt) when the rows are not of the view.
    pub fn select(&self, view: &FeatureView, rows: &RecordBatch) -> Result<RecordBatch> {
        let not_of_the_view = |error: Error| {
            Error::corrupt("stored rows are not of their view").with("view", view.name()).with_source(error)
        };
        let schema = Arc::new(view.schema().project(&self.columns(view)?).map_err(arrow_error)?);
        let complete = |field: &FieldRef| match rows.column_by_name(field.name()) {
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), rows.num_rows())),
            _ => schema::typed_column(rows, field.name(), field.data_type()).cloned(),
        };
        let columns = schema.fields().iter().map(complete).collect::<Result<Vec<_>>>().map_err(not_of_the_view)?;
        let rows = RecordBatch::try_new(schema, columns).map_err(|e| not_of_the_view(arrow_error(e)))?;

        let events = rows.column(view.entity().keys().len()).as_primitive::<TimestampMicrosecondType>().values();
        let is_asked_for = |event: &i64| self.covers(EventTime::from_micros(*event));
        if events.iter().all(is_asked_for) {
            return Ok(rows);
        }
        let mask: BooleanArray = events.iter().map(|event| Some(is_asked_for(event))).collect();
        filter_record_batch(&rows, &mask).map_err(arrow_error)
    }

    /// Whether rows of an event time are asked for.
    #[must_use]
    pub fn covers(&self, event: EventTime) -> bool {
        self.during.contains(&event) || (self.during.end == EventTime::MAX && event == EventTime::MAX)
    }
}

/// The home of view definitions and of all their rows, in order of arrival.
///
/// # Contract
/// 1. `views` gives the definitions applied, by name. (check: `applied_views_are_listed`)
/// 2. Applying a definition again changes nothing. (check: `applying_again_changes_nothing`)
/// 3. A definition that [`check_successor`](FeatureView::check_successor) refuses is [`Conflict`](ml_core::ErrorKind::Conflict), and the old one stays. (check: `breaking_changes_conflict`)
/// 4. Rows from before a feature was added read as null there. (check: `added_features_are_null_in_old_rows`)
/// 5. Appending to or scanning a view that was not applied is [`NotFound`](ml_core::ErrorKind::NotFound). (check: `unknown_views_are_not_found`)
/// 6. Appending to or scanning a view by a definition that the applied one could not succeed is [`Conflict`](ml_core::ErrorKind::Conflict). (check: `other_definitions_conflict`)
/// 7. `scan` gives every row appended, in order of arrival, as [`conform`](FeatureView::conform) made it: nulls, NaN and infinities among the values. (checks: `rows_come_back_in_order_of_arrival`, `values_come_back_as_written`)
/// 8. A scan keeps to its event times and features. (checks: `scans_keep_to_their_range`, `scans_bring_the_features_asked_for`)
/// 9. A scan sees the rows appended before it began and no others. (check: `scans_see_one_moment`)
/// 10. Rows that do not fit the view are [`InvalidInput`](ml_core::ErrorKind::InvalidInput), and none of their batch is kept. (check: `rows_that_do_not_fit_are_refused`)
/// 11. Appending no rows is allowed, and a view without rows scans as none. (check: `no_rows_are_no_trouble`)
/// 12. Appends at one time are all kept. (check: `concurrent_appends_are_all_kept`)
///
/// ```
/// use futures_util::TryStreamExt;
/// use ml_core::arrow::{array::{Float64Array, Int64Array, RecordBatch, TimestampSecondArray}, datatypes::DataType};
/// use ml_features::{Entity, FeatureView, OfflineStore, offline::{Scan, memory::MemoryOfflineStore}};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("climate".parse()?, sensor, "at", [("celsius", DataType::Float64)])?;
/// let rows = RecordBatch::try_from_iter([
///     ("id", Arc::new(Int64Array::from(vec![7, 7])) as _),
///     ("at", Arc::new(TimestampSecondArray::from(vec![60, 120]).with_timezone("UTC")) as _),
///     ("celsius", Arc::new(Float64Array::from(vec![21.5, 22.0])) as _),
/// ]).unwrap();
///
/// let store: Arc<dyn OfflineStore> = Arc::new(MemoryOfflineStore::new());
/// store.apply(&view).await?;
/// store.append(&view, rows).await?;
///
/// let until = "1970-01-01T00:02:00Z".parse()?;
/// let scan = Scan::all().with_during(ml_core::time::EventTime::MIN..until);
/// let batches: Vec<_> = store.scan(&view, scan).await?.try_collect().await?;
/// assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait OfflineStore: fmt::Debug + Send + Sync + 'static {
    /// What the store can do.
    fn capabilities(&self) -> OfflineCapabilities;

    /// Keeps the definition of a view, new or in place of an earlier one.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict) as [`FeatureView::check_successor`], and what the place of the data gives.
    async fn apply(&self, view: &FeatureView) -> Result<()>;

    /// The definitions of all views, by name.
    ///
    /// # Errors
    /// What the place of the data gives.
    async fn views(&self) -> Result<Vec<FeatureView>>;

    /// Adds rows after those that are there: all of them, or on an error none.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view was not applied,
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when it was applied otherwise, as [`FeatureView::conform`], and what the place
    /// of the data gives.
    ///
    /// # Cancel safety
    /// A dropped append has kept all rows or none.
    async fn append(&self, view: &FeatureView, rows: RecordBatch) -> Result<()>;

    /// Reads rows in order of arrival. The batches have the columns of [`FeatureView::schema`] without the features that
    /// were not asked for.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view was not applied or has no such feature,
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when it was applied otherwise, and what the place of the data gives, here
    /// or in the stream.
    async fn scan(&self, view: &FeatureView, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>>;
}

#[async_trait]
impl<S: OfflineStore + ?Sized> OfflineStore for Arc<S> {
    fn capabilities(&self) -> OfflineCapabilities {
        (**self).capabilities()
    }

    async fn apply(&self, view: &FeatureView) -> Result<()> {
        (**self).apply(view).await
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        (**self).views().await
    }

    async fn append(&self, view: &FeatureView, rows: RecordBatch) -> Result<()> {
        (**self).append(view, rows).await
    }

    async fn scan(&self, view: &FeatureView, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        (**self).scan(view, scan).await
    }
}

fn unknown_view(name: &ViewName) -> Error {
    Error::not_found("the view was not applied").with("view", name)
}
