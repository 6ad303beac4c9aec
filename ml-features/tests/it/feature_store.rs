use crate::offline_store::scratch;
use ml_core::Compute;
use ml_features::{
    FeatureStore, OfflineStore, OnlineStore, PairedStore, offline::memory::MemoryOfflineStore,
    online::memory::MemoryOnlineStore,
};
use std::{num::NonZeroUsize, sync::Arc};

fn compute() -> Compute {
    Compute::new(NonZeroUsize::MIN).expect("a thread")
}

mod memory {
    use super::*;
    ml_features::feature_store_conformance!(async {
        (PairedStore::new(MemoryOfflineStore::new(), MemoryOnlineStore::new(), compute()), ())
    });
}

mod parquet {
    use super::*;
    ml_features::feature_store_conformance!(async {
        let (offline, folder) = scratch().await;
        (PairedStore::new(offline, MemoryOnlineStore::new(), compute()), folder)
    });
}

mod shared {
    use super::*;
    ml_features::feature_store_conformance!(async {
        let (offline, folder) = scratch().await;
        let offline: Arc<dyn OfflineStore> = Arc::new(offline);
        let online: Arc<dyn OnlineStore> = Arc::new(MemoryOnlineStore::new());
        (Arc::new(PairedStore::new(offline, online, compute())) as Arc<dyn FeatureStore>, folder)
    });
}
