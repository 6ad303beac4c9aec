//! An online store in memory.

use crate::{EntityKey, FeatureRow, FeatureView, OnlineStore, online::OnlineCapabilities};
use async_trait::async_trait;
use ml_core::{Result, arrow::array::RecordBatch, id::ViewName, time::EventTime};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, PoisonError, RwLock},
};

/// The latest rows in memory, for one process. They are gone with it; an offline store brings them back by materializing.
///
/// It holds one row for every key ever written to a view, however old: a row that is past its TTL reads as absent, but
/// goes only when a later one replaces it or it is deleted. So memory is bounded by the number of distinct keys, not by
/// rows or time; where keys come and go without end, such as sessions, delete those that are over.
///
/// Readers do not wait for each other, and for writers only where both come to the same one of 64 parts of a view.
///
/// ```
/// use ml_features::{OnlineStore, online::memory::MemoryOnlineStore};
///
/// let abilities = MemoryOnlineStore::new().capabilities();
/// assert!(abilities.can_delete && !abilities.is_durable);
/// ```
#[derive(Default)]
pub struct MemoryOnlineStore {
    views: RwLock<HashMap<ViewName, Arc<Shards>>>,
}

type Shard = RwLock<HashMap<EntityKey, FeatureRow>>;

/// The rows of one view, spread by key.
struct Shards {
    shards: [Shard; SHARDS],
    hasher: RandomState,
}

const SHARDS: usize = 64;

impl Shards {
    fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::default()), hasher: RandomState::new() }
    }

    fn of(&self, key: &EntityKey) -> &Shard {
        let hash = self.hasher.hash_one(key) % SHARDS as u64;
        &self.shards[usize::try_from(hash).expect("below the number of shards")]
    }
}

impl fmt::Debug for MemoryOnlineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("MemoryOnlineStore")
            .field("views", &views.keys().map(ViewName::as_str).collect::<Vec<_>>())
            .finish()
    }
}

impl MemoryOnlineStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows of a view, if any were written. A panic elsewhere cannot leave a map half changed, so poison is no harm.
    fn rows(&self, view: &FeatureView) -> Option<Arc<Shards>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(view.name()).cloned()
    }

    fn rows_or_new(&self, view: &FeatureView) -> Arc<Shards> {
        self.rows(view).unwrap_or_else(|| {
            let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
            views.entry(view.name().clone()).or_insert_with(|| Arc::new(Shards::new())).clone()
        })
    }
}

#[async_trait]
impl OnlineStore for MemoryOnlineStore {
    fn capabilities(&self) -> OnlineCapabilities {
        OnlineCapabilities::default().with_delete()
    }

    async fn write(&self, view: &FeatureView, rows: &RecordBatch) -> Result<u64> {
        let rows = FeatureRow::encode(view, rows)?;
        let stored = self.rows_or_new(view);
        let mut written = 0;
        for (key, row) in rows {
            let mut shard = stored.of(&key).write().unwrap_or_else(PoisonError::into_inner);
            match shard.entry(key) {
                Entry::Occupied(mut current) if row.supersedes(current.get()) => {
                    current.insert(row);
                }
                Entry::Occupied(_) => continue,
                Entry::Vacant(free) => {
                    free.insert(row);
                }
            }
            written += 1;
        }
        Ok(written)
    }

    async fn read(&self, view: &FeatureView, keys: &[EntityKey], now: EventTime) -> Result<Vec<Option<FeatureRow>>> {
        keys.iter().try_for_each(|key| key.check(view.entity()))?;
        let Some(stored) = self.rows(view) else { return Ok(vec![None; keys.len()]) };
        let read_one = |key| stored.of(key).read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        Ok(keys.iter().map(|key| read_one(key).filter(|row| view.holds(row.event_time(), now))).collect())
    }

    async fn delete(&self, view: &FeatureView, keys: &[EntityKey]) -> Result<u64> {
        keys.iter().try_for_each(|key| key.check(view.entity()))?;
        let Some(stored) = self.rows(view) else { return Ok(0) };
        let delete_one = |key| stored.of(key).write().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(keys.iter().filter_map(delete_one).count() as u64)
    }
}
