//! Artifacts: immutable bytes under their SHA-256.

pub mod local;
pub mod memory;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ml_core::{BoxStream, Error, Result, id::Digest};
use std::{fmt, sync::Arc};

/// Bytes under their SHA-256.
///
/// # Contract
/// 1. The digest is the SHA-256 of the bytes, however the stream is cut. (check: `the_digest_is_the_sha256`)
/// 2. What was put comes back, also nothing and also ten megabytes; a stream that ends without an error gave exactly the
///    bytes of the digest. (check: `what_was_put_comes_back`)
/// 3. Putting the same bytes again, also side by side, gives the same digest. (check: `the_same_bytes_are_one_artifact`)
/// 4. `contains` tells what was put, and `get` of anything else is not found. (check: `what_is_unknown_is_not_found`)
/// 5. A stream that fails stores nothing and gives its error back. (check: `a_failed_stream_stores_nothing`)
/// 6. A call dropped midway stores nothing. (check: `a_dropped_put_stores_nothing`)
///
/// ```
/// use ml_core::id::Digest;
/// use ml_registry::{ArtifactStoreExt, MemoryArtifactStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let store = MemoryArtifactStore::default();
/// let digest = store.put_bytes("weights").await?;
/// assert_eq!(digest, Digest::of("weights"));
/// assert_eq!(store.get_bytes(&digest, 1024).await?, "weights");
/// # Ok(()) }
/// ```
#[async_trait]
pub trait ArtifactStore: fmt::Debug + Send + Sync + 'static {
    /// Stores the bytes of a stream, to the end, and tells their digest. Once it returns, the bytes outlive a crash.
    ///
    /// # Errors
    /// Those of the stream; [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) when there is no room,
    /// [`PermissionDenied`](ml_core::ErrorKind::PermissionDenied) when the store may not be written.
    ///
    /// # Cancel safety
    /// A call dropped midway stores nothing.
    async fn put(&self, bytes: BoxStream<'_, Result<Bytes>>) -> Result<Digest>;

    /// Brings the bytes back, hashing them on the way: the stream ends as [`Corrupt`](ml_core::ErrorKind::Corrupt) when they are
    /// not those of the digest, so trust no chunk before the end.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound).
    async fn get(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Whether the bytes are there. Does not read them.
    ///
    /// # Errors
    /// [`Unavailable`](ml_core::ErrorKind::Unavailable) when the store cannot tell.
    async fn contains(&self, digest: &Digest) -> Result<bool>;
}

#[async_trait]
impl<S: ArtifactStore + ?Sized> ArtifactStore for Arc<S> {
    async fn put(&self, bytes: BoxStream<'_, Result<Bytes>>) -> Result<Digest> {
        (**self).put(bytes).await
    }

    async fn get(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        (**self).get(digest).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool> {
        (**self).contains(digest).await
    }
}

/// Whole artifacts at once. Implemented for every [`ArtifactStore`].
pub trait ArtifactStoreExt: ArtifactStore {
    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// As [`ArtifactStore::put`].
    fn put_bytes(&self, bytes: impl Into<Bytes> + Send) -> impl Future<Output = Result<Digest>> + Send {
        let bytes = bytes.into();
        async move { self.put(stream::iter([Ok(bytes)]).boxed()).await }
    }

    /// Brings verified bytes into memory, at most `limit_bytes` of them.
    ///
    /// # Errors
    /// As [`ArtifactStore::get`]; [`Corrupt`](ml_core::ErrorKind::Corrupt) when the bytes are not those of the digest,
    /// [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) when there are more.
    fn get_bytes(&self, digest: &Digest, limit_bytes: u64) -> impl Future<Output = Result<Bytes>> + Send {
        async move {
            let mut chunks = self.get(digest).await?;
            let mut bytes = BytesMut::new();
            while let Some(chunk) = chunks.try_next().await? {
                if (bytes.len() + chunk.len()) as u64 > limit_bytes {
                    return Err(Error::resource_exhausted("the artifact is larger than the limit")
                        .with("digest", digest)
                        .with("limit_bytes", limit_bytes));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.freeze())
        }
    }
}

impl<S: ArtifactStore + ?Sized> ArtifactStoreExt for S {}

pub(crate) fn unknown_artifact(digest: &Digest) -> Error {
    Error::not_found("no such artifact").with("digest", digest)
}
