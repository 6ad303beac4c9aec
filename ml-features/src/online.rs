//! The latest features of each entity, for serving.

pub mod memory;

use crate::{EntityKey, FeatureRow, FeatureView};
use async_trait::async_trait;
use ml_core::{Result, arrow::array::RecordBatch, time::EventTime};
use std::{fmt, sync::Arc};

/// What an [`OnlineStore`] can do beyond reading and writing.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OnlineCapabilities {
    /// Whether rows can be deleted.
    pub can_delete: bool,
    /// Whether rows outlive the process.
    pub is_durable: bool,
}

impl OnlineCapabilities {
    /// The same with deletion.
    #[must_use]
    pub fn with_delete(mut self) -> Self {
        self.can_delete = true;
        self
    }

    /// The same with rows that outlive the process.
    #[must_use]
    pub fn with_durability(mut self) -> Self {
        self.is_durable = true;
        self
    }
}

/// The latest row of each entity, by view.
///
/// A store needs no setting up for a view: whatever is written under its name is there to be read.
///
/// # Contract
/// 1. `read` gives one slot a key, in the order of the keys; absent keys are `None`. (check: `absent_keys_keep_their_slots`)
/// 2. Values come back as they were written: nulls, NaN, infinities and empty text among them. (check: `values_come_back_as_written`)
/// 3. A row older than the view's TTL at `now` reads as absent; at exactly that age it does not. (check: `expired_rows_read_as_absent`)
/// 4. A row of an event time after `now` reads as absent. (check: `rows_of_the_future_read_as_absent`)
/// 5. `write` keeps the row with the latest event time, whatever the order of writing. (check: `late_writes_do_not_win`)
/// 6. Of rows with one event time the later created time wins, then the last written. (check: `ties_go_to_the_later_created_then_the_last_written`)
/// 7. Writers at one time lose nothing: the latest row of all is kept. (check: `concurrent_writes_keep_the_latest`)
/// 8. A key of other types than the view's entity is [`InvalidInput`](ml_core::ErrorKind::InvalidInput), never absent. (check: `keys_of_other_types_are_refused`)
/// 9. Rows that do not fit the view are [`InvalidInput`](ml_core::ErrorKind::InvalidInput), and none of their batch is kept. (check: `rows_that_do_not_fit_are_refused`)
/// 10. Views do not see each other's rows. (check: `views_do_not_share_rows`)
/// 11. A deleted key is absent until it is written again; without the ability, `delete` is [`Unsupported`](ml_core::ErrorKind::Unsupported). (check: `deleted_keys_read_as_absent`)
///
/// ```
/// use ml_core::arrow::{array::{Float64Array, Int64Array, RecordBatch, TimestampSecondArray}, datatypes::DataType};
/// use ml_features::{Entity, EntityKey, FeatureRow, FeatureView, OnlineStore, online::memory::MemoryOnlineStore};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("climate".parse()?, sensor, "at", [("celsius", DataType::Float64)])?;
/// let rows = RecordBatch::try_from_iter([
///     ("id", Arc::new(Int64Array::from(vec![7])) as _),
///     ("at", Arc::new(TimestampSecondArray::from(vec![60]).with_timezone("UTC")) as _),
///     ("celsius", Arc::new(Float64Array::from(vec![21.5])) as _),
/// ]).unwrap();
///
/// let store: Arc<dyn OnlineStore> = Arc::new(MemoryOnlineStore::new());
/// store.write(&view, &rows).await?;
///
/// let keys: Vec<_> = EntityKey::encode(view.entity(), &rows)?.into_iter().flatten().collect();
/// let read = store.read(&view, &keys, "2026-01-01T00:00:00Z".parse()?).await?;
/// assert_eq!(*FeatureRow::decode(&view, &[0], &read)?[0], Float64Array::from(vec![21.5]));
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait OnlineStore: fmt::Debug + Send + Sync + 'static {
    /// What the store can do.
    fn capabilities(&self) -> OnlineCapabilities;

    /// Writes rows, and gives how many of them became the row of their entity.
    ///
    /// # Errors
    /// As [`FeatureView::conform`], and what the place of the data gives.
    ///
    /// # Cancel safety
    /// A dropped write may have kept some rows. Writing them again is safe.
    async fn write(&self, view: &FeatureView, rows: &RecordBatch) -> Result<u64>;

    /// Reads the rows of some keys that hold at `now`.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for keys of other types, and what the place of the data gives.
    async fn read(&self, view: &FeatureView, keys: &[EntityKey], now: EventTime) -> Result<Vec<Option<FeatureRow>>>;

    /// Deletes the rows of some keys, and gives how many there were.
    ///
    /// # Errors
    /// [`Unsupported`](ml_core::ErrorKind::Unsupported) without the ability, otherwise as [`OnlineStore::read`].
    async fn delete(&self, view: &FeatureView, keys: &[EntityKey]) -> Result<u64>;
}

#[async_trait]
impl<S: OnlineStore + ?Sized> OnlineStore for Arc<S> {
    fn capabilities(&self) -> OnlineCapabilities {
        (**self).capabilities()
    }

    async fn write(&self, view: &FeatureView, rows: &RecordBatch) -> Result<u64> {
        (**self).write(view, rows).await
    }

    async fn read(&self, view: &FeatureView, keys: &[EntityKey], now: EventTime) -> Result<Vec<Option<FeatureRow>>> {
        (**self).read(view, keys, now).await
    }

    async fn delete(&self, view: &FeatureView, keys: &[EntityKey]) -> Result<u64> {
        (**self).delete(view, keys).await
    }
}
