//! Artifacts in a local folder, under their digests.
//!
//! ```text
//! <root>/cas/sha256/ab/cdef…   an artifact: two digits of the digest name the folder, the other 62 the file
//! <root>/incoming/<uuid>       an upload that goes on, or was cut off by a crash
//! <root>/lock                  locked shared by every open store, exclusive by the one that cleans up
//! ```
//!
//! An artifact is streamed into `incoming` while it is hashed, flushed to the disk, and renamed into place; then the
//! folders are flushed. So a file under `cas` is whole at any moment, and putting the bytes again heals a damaged file.

use super::unknown_artifact;
use crate::ArtifactStore;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use ml_core::{BoxStream, Error, ErrorKind, Result, id::Digest};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// Artifacts in a local folder. Clones share it, and so may any number of processes of one machine.
///
/// ```
/// use ml_registry::{ArtifactStoreExt, LocalArtifactStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let folder = tempfile::tempdir().unwrap();
/// let store = LocalArtifactStore::open(folder.path()).await?;
/// let digest = store.put_bytes("weights").await?;
///
/// let again = LocalArtifactStore::open(folder.path()).await?;
/// assert_eq!(again.get_bytes(&digest, 1024).await?, "weights");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct LocalArtifactStore {
    artifacts: Arc<Path>,
    incoming: Arc<Path>,
    /// Held so that no other store takes our uploads for leftovers.
    _lock: Arc<File>,
}

impl LocalArtifactStore {
    /// Opens a folder, making it where it is not there.
    ///
    /// Uploads cut off by a crash are removed if no other store, in any process, has the folder open.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) for a folder that may not be written,
    /// [`Unavailable`](ErrorKind::Unavailable) when it cannot be reached.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        blocking(move || {
            let failed = |source| failed("the artifact folder cannot be opened", &root, source);
            let artifacts = root.join("cas/sha256");
            let incoming = root.join("incoming");
            fs::create_dir_all(&artifacts).map_err(failed)?;
            fs::create_dir_all(&incoming).map_err(failed)?;
            // Of folders that were just made the names could be lost with all that is in them.
            for folder in [&root.join("cas"), &root] {
                sync_folder(folder).map_err(failed)?;
            }
            let lock =
                File::options().create(true).truncate(false).write(true).open(root.join("lock")).map_err(failed)?;
            if lock.try_lock().is_ok() {
                remove_leftovers(&incoming).map_err(failed)?;
                lock.unlock().map_err(failed)?;
            }
            lock.lock_shared().map_err(failed)?;
            Ok(Self { artifacts: artifacts.into(), incoming: incoming.into(), _lock: Arc::new(lock) })
        })
        .await
    }
}

#[async_trait]
impl ArtifactStore for LocalArtifactStore {
    async fn put(&self, mut bytes: BoxStream<'_, Result<Bytes>>) -> Result<Digest> {
        let path = self.incoming.join(Uuid::now_v7().simple().to_string());
        let mut upload = blocking(move || Upload::create(path)).await?;
        while let Some(chunk) = bytes.try_next().await? {
            upload = blocking(move || upload.write(&chunk)).await?;
        }
        let artifacts = self.artifacts.clone();
        blocking(move || upload.finish(&artifacts)).await
    }

    async fn get(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (path, digest) = (path_of(&self.artifacts, digest), *digest);
        let download = blocking(move || Download::open(&path, digest)).await?;
        let chunks = stream::try_unfold(download, |download| async move { blocking(move || download.next()).await });
        Ok(Box::pin(chunks))
    }

    async fn contains(&self, digest: &Digest) -> Result<bool> {
        let path = path_of(&self.artifacts, digest);
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(meta) => Ok(meta.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("the artifact cannot be looked up", &path, error)),
        })
        .await
    }
}

/// A file that is not an artifact yet, and is removed with this value unless it becomes one.
struct Upload {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    is_kept: bool,
}

impl Upload {
    fn create(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).map_err(|source| cannot_store(&path, source))?;
        Ok(Self { file, path, hasher: Sha256::new(), is_kept: false })
    }

    fn write(mut self, chunk: &[u8]) -> Result<Self> {
        self.hasher.update(chunk);
        self.file.write_all(chunk).map_err(|source| cannot_store(&self.path, source))?;
        Ok(self)
    }

    fn finish(mut self, artifacts: &Path) -> Result<Digest> {
        let digest = Digest::from_bytes(self.hasher.clone().finalize().into());
        let target = path_of(artifacts, &digest);
        let folder = target.parent().expect("an artifact lies in a folder");
        let moved = self.file.sync_all().and_then(|()| {
            match fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            fs::rename(&self.path, &target)
        });
        moved.map_err(|source| cannot_store(&target, source))?;
        self.is_kept = true;
        // Without these a power cut could lose the names, though not the bytes.
        sync_folder(folder).and_then(|()| sync_folder(artifacts)).map_err(|source| cannot_store(&target, source))?;
        Ok(digest)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A file that stays is cleaned up at the next opening.
        if !self.is_kept && fs::remove_file(&self.path).is_err() {
            tracing::warn!(path = %self.path.display(), "an upload that was cut off could not be removed");
        }
    }
}

/// A file being read and hashed.
struct Download {
    file: File,
    hasher: Sha256,
    digest: Digest,
}

impl Download {
    fn open(path: &Path, digest: Digest) -> Result<Self> {
        let file = File::open(path).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                unknown_artifact(&digest)
            } else {
                failed("the artifact cannot be read", path, source)
            }
        })?;
        Ok(Self { file, hasher: Sha256::new(), digest })
    }

    fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&mut self.file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).map_err(|source| {
            Error::unavailable("the artifact cannot be read").with("digest", self.digest).with_source(source)
        })?;
        self.hasher.update(&chunk);
        if !chunk.is_empty() {
            return Ok(Some((chunk.into(), self)));
        }
        let found = Digest::from_bytes(self.hasher.finalize().into());
        if found == self.digest {
            Ok(None)
        } else {
            Err(Error::corrupt("the artifact is not what was put").with("digest", self.digest).with("found", found))
        }
    }
}

/// How much of an artifact is in memory at once while it is read.
const CHUNK_BYTES: usize = 256 * 1024;

fn path_of(artifacts: &Path, digest: &Digest) -> PathBuf {
    let text = digest.to_string();
    artifacts.join(&text[..2]).join(&text[2..])
}

fn remove_leftovers(incoming: &Path) -> io::Result<()> {
    fs::read_dir(incoming)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened, and a rename is as durable as the file system makes it.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// File work and hashing, off the threads of the async runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| Error::internal("file work did not end").with_source(source))?
}

fn cannot_store(path: &Path, source: io::Error) -> Error {
    failed("the artifact cannot be stored", path, source)
}

fn failed(message: &str, path: &Path, source: io::Error) -> Error {
    let kind = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, message).with("path", path.display()).with_source(source)
}
