//! An offline store in memory.

use super::{OfflineCapabilities, Scan, unknown_view};
use crate::{FeatureView, OfflineStore};
use async_trait::async_trait;
use futures_util::stream;
use ml_core::{BoxStream, Result, arrow::array::RecordBatch, id::ViewName};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{PoisonError, RwLock},
};

/// All rows in memory, for one process: for tests, and for data that is made anew at every start.
///
/// ```
/// use ml_core::arrow::datatypes::DataType;
/// use ml_features::{Entity, FeatureView, OfflineStore, offline::memory::MemoryOfflineStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("climate".parse()?, sensor, "at", [("celsius", DataType::Float64)])?;
/// let store = MemoryOfflineStore::new();
/// store.apply(&view).await?;
/// assert_eq!(store.views().await?, [view]);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Default)]
pub struct MemoryOfflineStore {
    views: RwLock<BTreeMap<ViewName, Stored>>,
}

struct Stored {
    view: FeatureView,
    batches: Vec<RecordBatch>,
}

impl fmt::Debug for MemoryOfflineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("MemoryOfflineStore")
            .field("views", &views.keys().map(ViewName::as_str).collect::<Vec<_>>())
            .finish()
    }
}

impl MemoryOfflineStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl OfflineStore for MemoryOfflineStore {
    fn capabilities(&self) -> OfflineCapabilities {
        OfflineCapabilities::default()
    }

    async fn apply(&self, view: &FeatureView) -> Result<()> {
        match self.views.write().unwrap_or_else(PoisonError::into_inner).entry(view.name().clone()) {
            Entry::Vacant(free) => {
                free.insert(Stored { view: view.clone(), batches: Vec::new() });
            }
            Entry::Occupied(mut stored) => {
                stored.get().view.check_successor(view)?;
                stored.get_mut().view = view.clone();
            }
        }
        Ok(())
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
        Ok(views.values().map(|stored| stored.view.clone()).collect())
    }

    async fn append(&self, view: &FeatureView, rows: RecordBatch) -> Result<()> {
        let rows = view.conform(&rows)?;
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let stored = views.get_mut(view.name()).ok_or_else(|| unknown_view(view.name()))?;
        view.check_successor(&stored.view)?;
        stored.batches.push(rows);
        Ok(())
    }

    async fn scan(&self, view: &FeatureView, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        scan.columns(view)?;
        // Batches are shared, not copied: the moment of the scan is this list.
        let batches = {
            let views = self.views.read().unwrap_or_else(PoisonError::into_inner);
            let stored = views.get(view.name()).ok_or_else(|| unknown_view(view.name()))?;
            view.check_successor(&stored.view)?;
            stored.batches.clone()
        };
        let view = view.clone();
        let read = move |rows: RecordBatch| scan.select(&view, &rows);
        Ok(Box::pin(stream::iter(batches.into_iter().map(read))))
    }
}
