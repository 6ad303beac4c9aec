use crate::{ArtifactStore, ArtifactStoreExt as _, Registry};
use async_trait::async_trait;
use bytes::Bytes;
use ml_core::{
    Bundle, Error, ErrorKind, Result,
    bundle::Manifest,
    id::{Digest, ModelName, ModelRef, Version},
    port::ModelSource,
};
use std::{collections::BTreeMap, sync::Arc};

/// The models of a registry, for a server: verified down to the last byte against the digest of the version.
#[derive(Debug, Clone)]
pub struct RegistrySource {
    registry: Arc<dyn Registry>,
    artifacts: Arc<dyn ArtifactStore>,
}

impl RegistrySource {
    /// Serves the versions of a registry, whose bundles lie in a store.
    #[must_use]
    pub fn new(registry: impl Registry, artifacts: impl ArtifactStore) -> Self {
        Self { registry: Arc::new(registry), artifacts: Arc::new(artifacts) }
    }
}

#[async_trait]
impl ModelSource for RegistrySource {
    async fn resolve(&self, at: &ModelRef) -> Result<Version> {
        Ok(self.registry.resolve(at).await?.version)
    }

    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Bundle> {
        fetch(&self.registry, &self.artifacts, name, version).await
    }
}

/// Brings the bundle of a version, verified.
pub(crate) async fn fetch(
    registry: &dyn Registry,
    artifacts: &dyn ArtifactStore,
    name: &ModelName,
    version: Version,
) -> Result<Bundle> {
    let record = registry.resolve(&ModelRef::version(name.clone(), version)).await?;
    let of_version = |error: Error| error.with("model", name).with("version", version);
    let manifest = published(artifacts, &record.digest, MAX_MANIFEST_BYTES).await.map_err(of_version)?;
    let listed: Manifest = serde_json::from_slice(&manifest)
        .map_err(|source| of_version(Error::corrupt("the manifest has another form").with_source(source)))?;
    let mut files = BTreeMap::new();
    for (path, entry) in listed.files {
        let bytes = published(artifacts, &entry.sha256, entry.size_bytes)
            .await
            .map_err(|error| of_version(error.with("file", &path)))?;
        files.insert(path, bytes);
    }
    Bundle::from_parts(manifest, files).map_err(of_version)
}

/// Far above what a manifest has: 100 bytes a file.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;

/// Brings bytes that a version promises: their absence is damage, and so are more than it promises.
async fn published(artifacts: &dyn ArtifactStore, digest: &Digest, size_bytes: u64) -> Result<Bytes> {
    artifacts.get_bytes(digest, size_bytes).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::corrupt("a published artifact is gone").with("digest", digest).with_source(error),
        ErrorKind::ResourceExhausted => Error::corrupt("a published artifact is larger than its manifest says")
            .with("digest", digest)
            .with_source(error),
        _ => error,
    })
}
