//! Artifacts in the memory of one process: for tests, and for hosts that keep nothing.

use super::unknown_artifact;
use crate::ArtifactStore;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ml_core::{BoxStream, Result, id::Digest};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Artifacts in memory. Clones share them.
///
/// ```
/// use ml_core::id::Digest;
/// use ml_registry::{ArtifactStore, ArtifactStoreExt, MemoryArtifactStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let store = MemoryArtifactStore::default();
/// store.put_bytes("weights").await?;
/// assert!(store.contains(&Digest::of("weights")).await?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryArtifactStore {
    artifacts: Arc<Mutex<HashMap<Digest, Bytes>>>,
}

impl MemoryArtifactStore {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Bytes>> {
        self.artifacts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ArtifactStore for MemoryArtifactStore {
    async fn put(&self, mut bytes: BoxStream<'_, Result<Bytes>>) -> Result<Digest> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = bytes.try_next().await? {
            whole.extend_from_slice(&chunk);
        }
        let digest = Digest::of(&whole);
        self.lock().insert(digest, whole.freeze());
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        let bytes = self.lock().get(digest).cloned().ok_or_else(|| unknown_artifact(digest))?;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn contains(&self, digest: &Digest) -> Result<bool> {
        Ok(self.lock().contains_key(digest))
    }
}
