use ml_core::{
    Result,
    port::{Candidate, PromotionGate, Verdict},
};
use ml_registry::{
    ArtifactStoreExt as _, GatedRegistry, MemoryArtifactStore, MemoryRegistry, Registry, SqliteDatabase, SqliteOptions,
    SqliteRegistry, conformance::registry::bundle,
};
use std::sync::Arc;
use tempfile::TempDir;

async fn sqlite() -> (SqliteRegistry, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))).await.unwrap();
    (SqliteRegistry::new(database), folder)
}

#[derive(Debug)]
struct AllowAll;

#[async_trait::async_trait]
impl PromotionGate for AllowAll {
    async fn review(&self, _candidate: &Candidate) -> Result<Verdict> {
        Ok(Verdict::Allow)
    }
}

async fn gated(inner: impl Registry) -> GatedRegistry {
    let artifacts = MemoryArtifactStore::default();
    for bundle in [bundle(0), bundle(1)] {
        for (_, bytes) in bundle.files() {
            artifacts.put_bytes(bytes.clone()).await.unwrap();
        }
        artifacts.put_bytes(bundle.manifest().clone()).await.unwrap();
    }
    GatedRegistry::new(inner, artifacts, AllowAll, ["champion".parse().unwrap()])
}

mod memory {
    use super::*;
    ml_registry::registry_conformance!(async { (MemoryRegistry::default(), ()) });
}

mod sqlite_file {
    use super::*;
    ml_registry::registry_conformance!(sqlite());
}

mod gated_memory {
    use super::*;
    ml_registry::registry_conformance!(async { (gated(MemoryRegistry::default()).await, ()) });
}

mod gated_sqlite {
    use super::*;
    ml_registry::registry_conformance!(async {
        let (inner, folder) = sqlite().await;
        (gated(inner).await, folder)
    });
}

mod shared {
    use super::*;
    ml_registry::registry_conformance!(async { (Arc::new(MemoryRegistry::default()) as Arc<dyn Registry>, ()) });
}
