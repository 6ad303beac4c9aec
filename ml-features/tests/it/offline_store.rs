use ml_core::Compute;
use ml_features::{
    OfflineStore,
    offline::{memory::MemoryOfflineStore, parquet::ParquetOfflineStore},
};
use std::{num::NonZeroUsize, sync::Arc};
use tempfile::TempDir;

/// A store in a folder of its own.
pub(crate) async fn scratch() -> (ParquetOfflineStore, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let compute = Compute::new(NonZeroUsize::new(2).expect("two")).expect("threads");
    (ParquetOfflineStore::open(folder.path(), compute).await.expect("a folder"), folder)
}

mod memory {
    use super::*;
    ml_features::offline_store_conformance!(async { (MemoryOfflineStore::new(), ()) });
}

mod parquet {
    use super::*;
    ml_features::offline_store_conformance!(scratch());
}

mod shared {
    use super::*;
    ml_features::offline_store_conformance!(async {
        let (store, folder) = scratch().await;
        (Arc::new(store) as Arc<dyn OfflineStore>, folder)
    });
}
