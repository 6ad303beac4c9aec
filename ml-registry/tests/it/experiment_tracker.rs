use ml_registry::{ExperimentTracker, MemoryTracker, SqliteDatabase, SqliteOptions, SqliteTracker};
use std::sync::Arc;
use tempfile::TempDir;

async fn sqlite() -> (SqliteTracker, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await.unwrap();
    (SqliteTracker::new(database), folder)
}

mod memory {
    use super::*;
    ml_registry::experiment_tracker_conformance!(async { (MemoryTracker::default(), ()) });
}

mod sqlite_file {
    use super::*;
    ml_registry::experiment_tracker_conformance!(sqlite());
}

mod shared {
    use super::*;
    ml_registry::experiment_tracker_conformance!(async {
        (Arc::new(MemoryTracker::default()) as Arc<dyn ExperimentTracker>, ())
    });
}
