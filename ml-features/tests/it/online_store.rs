use ml_features::{OnlineStore, online::memory::MemoryOnlineStore};
use std::sync::Arc;

mod memory {
    use super::*;
    ml_features::online_store_conformance!(async { (MemoryOnlineStore::new(), ()) });
}

mod shared {
    use super::*;
    ml_features::online_store_conformance!(async { (Arc::new(MemoryOnlineStore::new()) as Arc<dyn OnlineStore>, ()) });
}
