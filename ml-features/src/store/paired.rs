//! A feature store of two halves: any offline store and any online store.

use super::{FeatureStore, MaterializeReport, MaterializedView};
use crate::{
    EntityKey, FeatureRow, FeatureView, HistoricalRequest, OfflineStore, OnlineStore, PointInTimeJoin, offline::Scan,
};
use async_trait::async_trait;
use futures_util::{TryStreamExt, stream};
use ml_core::{
    BoxStream, Compute, Error, Result,
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions},
        compute::filter_record_batch,
        datatypes::{Field, Schema, TimestampMicrosecondType},
    },
    id::{FeatureName, FeatureRef, ViewName},
    port::FeatureSource,
    table::arrow_error,
    time::{Clock, CreatedTime, EventTime, SystemClock},
};
use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

/// Keeps all rows in an offline store and the latest of each entity in an online store.
///
/// The offline store is the home of the definitions. They are kept in memory too, and read again when a name is not among
/// them, so another process may add views and features at any time. They are also read again by every `historical` and
/// `materialize`, so a TTL that another process changed holds there at once, and for `online` from then on.
///
/// The clock tells when `online` reads and up to when `materialize` copies. Joins run on the pool of [`Compute`].
///
/// As a [`FeatureSource`] it completes requests that carry keys only. How it is used for training is shown at
/// [`FeatureStore`].
///
/// ```
/// use ml_core::arrow::array::{Array, Float64Array, Int64Array, RecordBatch, TimestampSecondArray};
/// use ml_core::arrow::datatypes::DataType;
/// use ml_core::{Compute, port::FeatureSource, time::{EventTime, ManualClock}};
/// use ml_features::{Entity, FeatureStore, FeatureView, PairedStore};
/// use ml_features::{offline::memory::MemoryOfflineStore, online::memory::MemoryOnlineStore};
/// use std::{num::NonZeroUsize, sync::Arc, time::Duration};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse()?));
/// let store = PairedStore::new(MemoryOfflineStore::new(), MemoryOnlineStore::new(), Compute::new(NonZeroUsize::MIN)?)
///     .with_clock(clock.clone());
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("climate".parse()?, sensor, "at", [("celsius", DataType::Float64)])?
///     .with_ttl(Duration::from_secs(3600));
/// store.apply(&[view.clone()]).await?;
///
/// let at = "2025-12-31T23:30:00Z".parse::<EventTime>()?.as_micros() / 1_000_000;
/// let rows = RecordBatch::try_from_iter([
///     ("id", Arc::new(Int64Array::from(vec![7])) as _),
///     ("at", Arc::new(TimestampSecondArray::from(vec![at]).with_timezone("UTC")) as _),
///     ("celsius", Arc::new(Float64Array::from(vec![21.5])) as _),
/// ]).unwrap();
/// store.append(view.name(), rows.clone()).await?;
/// let report = store.materialize(&[view.name().clone()], EventTime::MIN..EventTime::MAX).await?;
/// assert_eq!((report.read(), report.written()), (1, 1));
///
/// let features = ["climate:celsius".parse()?];
/// assert_eq!(**store.lookup(&features, &rows).await?.column(0), Float64Array::from(vec![21.5]));
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(store.lookup(&features, &rows).await?.column(0).null_count(), 1);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct PairedStore<Off, On> {
    offline: Off,
    online: On,
    compute: Compute,
    clock: Arc<dyn Clock>,
    views: RwLock<HashMap<ViewName, Arc<FeatureView>>>,
}

/// The features of one view, out of a list of features.
struct Group {
    view: Arc<FeatureView>,
    /// Places in the view.
    features: Vec<usize>,
    /// Places in the list.
    wanted: Vec<usize>,
}

impl Group {
    fn names(&self) -> Vec<FeatureName> {
        self.features.iter().map(|&at| self.view.features()[at].name.clone()).collect()
    }
}

impl<Off: OfflineStore, On: OnlineStore> PairedStore<Off, On> {
    /// Pairs two stores, on the clock of the machine.
    #[must_use]
    pub fn new(offline: Off, online: On, compute: Compute) -> Self {
        Self { offline, online, compute, clock: Arc::new(SystemClock), views: RwLock::default() }
    }

    /// The same on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The half that keeps all rows.
    #[must_use]
    pub fn offline_store(&self) -> &Off {
        &self.offline
    }

    /// The half that keeps the latest rows.
    #[must_use]
    pub fn online_store(&self) -> &On {
        &self.online
    }

    /// The definition in memory. A panic elsewhere cannot leave the map half changed, so poison is no harm.
    fn known(&self, name: &ViewName) -> Option<Arc<FeatureView>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Reads all definitions anew.
    async fn refresh(&self) -> Result<()> {
        let views = self.offline.views().await?.into_iter().map(|view| (view.name().clone(), Arc::new(view))).collect();
        *self.views.write().unwrap_or_else(PoisonError::into_inner) = views;
        Ok(())
    }

    async fn view(&self, name: &ViewName) -> Result<Arc<FeatureView>> {
        if let Some(view) = self.known(name) {
            return Ok(view);
        }
        self.refresh().await?;
        self.known(name).ok_or_else(|| Error::not_found("no such view").with("view", name))
    }

    async fn feature(&self, wanted: &FeatureRef) -> Result<(Arc<FeatureView>, usize)> {
        let view = self.view(&wanted.view).await?;
        if let Ok(at) = view.feature(&wanted.feature) {
            return Ok((view, at));
        }
        self.refresh().await?;
        let view = self.view(&wanted.view).await?;
        let at = view.feature(&wanted.feature)?;
        Ok((view, at))
    }

    /// Sorts features by view. All of one view are read from one definition.
    async fn group(&self, features: &[FeatureRef]) -> Result<Vec<Group>> {
        let mut groups: Vec<Group> = Vec::new();
        for (place, wanted) in features.iter().enumerate() {
            if features[..place].contains(wanted) {
                return Err(Error::invalid_input("a feature is asked for twice").with("feature", wanted));
            }
            let (view, at) = self.feature(wanted).await?;
            match groups.iter_mut().find(|group| group.view.name() == view.name()) {
                // The later definition knows all features that the earlier one did, at the same places.
                Some(group) => {
                    group.view = view;
                    group.features.push(at);
                    group.wanted.push(place);
                }
                None => groups.push(Group { view, features: vec![at], wanted: vec![place] }),
            }
        }
        Ok(groups)
    }

    /// The features of one view for every row of the spine.
    async fn join(&self, group: &Group, request: &HistoricalRequest) -> Result<Vec<ArrayRef>> {
        let (view, spine, label_time) = (group.view.clone(), request.spine.clone(), request.label_time.clone());
        let names = group.names();
        let scan = Scan::all().with_features(names.clone());
        let mut join = self.compute.run(move || PointInTimeJoin::new(&view, &names, &spine, &label_time)).await??;
        let mut rows = self.offline.scan(&group.view, scan.with_during(join.reach())).await?;
        while let Some(batch) = rows.try_next().await? {
            join = self.compute.run(move || join.push(&batch).map(|()| join)).await??;
        }
        self.compute.run(move || join.finish()).await?
    }
}

#[async_trait]
impl<Off: OfflineStore, On: OnlineStore> FeatureStore for PairedStore<Off, On> {
    async fn apply(&self, views: &[FeatureView]) -> Result<()> {
        self.refresh().await?;
        for (i, view) in views.iter().enumerate() {
            let earlier = views[..i].iter().rev().find(|earlier| earlier.name() == view.name());
            match earlier {
                Some(earlier) => earlier.check_successor(view)?,
                None => self.known(view.name()).map_or(Ok(()), |current| current.check_successor(view))?,
            }
        }
        for view in views {
            self.offline.apply(view).await?;
        }
        self.refresh().await
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        self.offline.views().await
    }

    async fn append(&self, view: &ViewName, rows: RecordBatch) -> Result<()> {
        self.offline.append(&*self.view(view).await?, rows).await
    }

    async fn online(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
        let groups = self.group(features).await?;
        let now = EventTime::from(self.clock.now());
        let mut columns = Vec::with_capacity(features.len());
        for group in &groups {
            let keys = EntityKey::encode(group.view.entity(), keys)?;
            let known: Vec<EntityKey> = keys.iter().flatten().cloned().collect();
            let mut read = self.online.read(&group.view, &known, now).await?.into_iter();
            // Null keys were not asked for, and take no slot.
            let rows: Vec<_> = keys.iter().map(|key| key.as_ref().and_then(|_| read.next().flatten())).collect();
            columns.extend(group.wanted.iter().copied().zip(FeatureRow::decode(&group.view, &group.features, &rows)?));
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(keys.num_rows()));
        let rows =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &rows).map_err(arrow_error)?;
        extend(&rows, features, &in_order(columns), 0)
    }

    async fn historical(&self, request: HistoricalRequest) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        self.refresh().await?;
        let groups = self.group(&request.features).await?;
        let taken = |feature: &&FeatureRef| request.spine.schema().index_of(&feature.to_string()).is_ok();
        if let Some(feature) = request.features.iter().find(taken) {
            return Err(Error::invalid_input("the spine has a column of a feature's name").with("column", feature));
        }
        let mut columns = Vec::with_capacity(request.features.len());
        for group in &groups {
            columns.extend(group.wanted.iter().copied().zip(self.join(group, &request).await?));
        }
        let columns = in_order(columns);
        let batches = match request.spine.batches() {
            [] => vec![RecordBatch::new_empty(request.spine.schema().clone())],
            batches => batches.to_vec(),
        };
        let mut start = 0;
        Ok(Box::pin(stream::iter(batches.into_iter().map(move |batch| {
            let completed = extend(&batch, &request.features, &columns, start);
            start += batch.num_rows();
            completed
        }))))
    }

    async fn materialize(&self, views: &[ViewName], during: Range<EventTime>) -> Result<MaterializeReport> {
        self.refresh().await?;
        let now = self.clock.now();
        let end = EventTime::from_micros(now.as_micros().saturating_add(1)).min(during.end);
        let mut report = MaterializeReport::default();
        for name in views {
            let view = self.view(name).await?;
            let mut done = MaterializedView { view: name.clone(), read: 0, written: 0 };
            let mut rows = self.offline.scan(&view, Scan::all().with_during(during.start..end)).await?;
            while let Some(batch) = rows.try_next().await? {
                let batch = known_by(&view, &batch, now)?;
                done.read += batch.num_rows() as u64;
                done.written += self.online.write(&view, &batch).await?;
            }
            report.views.push(done);
        }
        Ok(report)
    }
}

#[async_trait]
impl<Off: OfflineStore, On: OnlineStore> FeatureSource for PairedStore<Off, On> {
    async fn lookup(&self, features: &[FeatureRef], keys: &RecordBatch) -> Result<RecordBatch> {
        FeatureStore::online(self, features, keys).await
    }
}

/// Columns in the order of their places.
fn in_order(mut columns: Vec<(usize, ArrayRef)>) -> Vec<ArrayRef> {
    columns.sort_by_key(|(place, _)| *place);
    columns.into_iter().map(|(_, column)| column).collect()
}

/// Adds one column a feature to some rows: as many values as there are rows, from `start`.
fn extend(rows: &RecordBatch, features: &[FeatureRef], columns: &[ArrayRef], start: usize) -> Result<RecordBatch> {
    let schema = rows.schema();
    let new = features
        .iter()
        .zip(columns)
        .map(|(name, column)| Arc::new(Field::new(name.to_string(), column.data_type().clone(), true)));
    let fields: Vec<_> = schema.fields().iter().cloned().chain(new).collect();
    let values = columns.iter().map(|column| column.slice(start, rows.num_rows()));
    let values = rows.columns().iter().cloned().chain(values).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let count = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema, values, &count).map_err(arrow_error)
}

/// The rows that were known at a time.
fn known_by(view: &FeatureView, rows: &RecordBatch, now: CreatedTime) -> Result<RecordBatch> {
    let Some(created) = view.created_time().and_then(|name| rows.column_by_name(name)) else {
        return Ok(rows.clone());
    };
    let created = created.as_primitive::<TimestampMicrosecondType>().values();
    let mask: BooleanArray = created.iter().map(|created| Some(*created <= now.as_micros())).collect();
    filter_record_batch(rows, &mask).map_err(arrow_error)
}
