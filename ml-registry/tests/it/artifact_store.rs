use ml_core::{Bundle, ErrorKind, id::Digest};
use ml_registry::{ArtifactStore, ArtifactStoreExt as _, LocalArtifactStore, MemoryArtifactStore};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

async fn local() -> (LocalArtifactStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (LocalArtifactStore::open(folder.path().join("artifacts")).await.unwrap(), folder)
}

mod memory {
    use super::*;
    ml_registry::artifact_store_conformance!(async { (MemoryArtifactStore::default(), ()) });
}

mod local_folder {
    use super::*;
    ml_registry::artifact_store_conformance!(local());
}

mod shared {
    use super::*;
    ml_registry::artifact_store_conformance!(async {
        (Arc::new(MemoryArtifactStore::default()) as Arc<dyn ArtifactStore>, ())
    });
}

fn file_of(root: &Path, digest: &Digest) -> PathBuf {
    let text = digest.to_string();
    root.join("artifacts/cas/sha256").join(&text[..2]).join(&text[2..])
}

fn incoming(root: &Path) -> usize {
    fs::read_dir(root.join("artifacts/incoming")).unwrap().count()
}

#[tokio::test]
async fn a_changed_byte_on_disk_is_corrupt_until_the_bytes_are_put_again() {
    let (store, folder) = local().await;
    let bytes = vec![7_u8; 600_000];
    let digest = store.put_bytes(bytes.clone()).await.unwrap();
    let file = file_of(folder.path(), &digest);
    let mut damages: Vec<Vec<u8>> = [0, 300_000, 599_999]
        .map(|at: usize| {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            damaged
        })
        .into();
    damages.extend([bytes[..599_999].to_vec(), [&bytes[..], b"x"].concat(), Vec::new()]);
    for damaged in damages {
        fs::write(&file, damaged).unwrap();
        let error = store.get_bytes(&digest, u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    assert_eq!(store.put_bytes(bytes.clone()).await.unwrap(), digest);
    assert_eq!(store.get_bytes(&digest, u64::MAX).await.unwrap(), bytes);
}

#[tokio::test]
async fn nothing_is_left_of_uploads_that_ended() {
    let (store, folder) = local().await;
    store.put_bytes("whole").await.unwrap();
    let failing = futures_util::stream::iter([Err(ml_core::Error::timeout("gone"))]);
    store.put(Box::pin(failing)).await.unwrap_err();
    assert_eq!(incoming(folder.path()), 0);
}

#[tokio::test]
async fn leftovers_are_removed_once_nobody_else_has_the_folder_open() {
    let (store, folder) = local().await;
    fs::write(folder.path().join("artifacts/incoming/cut-off"), "half").unwrap();
    let other = LocalArtifactStore::open(folder.path().join("artifacts")).await.unwrap();
    assert_eq!(incoming(folder.path()), 1, "it could be an upload of the other store");
    drop((store, other));
    let _alone = LocalArtifactStore::open(folder.path().join("artifacts")).await.unwrap();
    assert_eq!(incoming(folder.path()), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = LocalArtifactStore::open(folder.path().join("file/artifacts")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("the artifact folder cannot be opened (path: "), "{error}");
}

#[tokio::test]
async fn the_files_of_a_bundle_can_be_listed_by_hand() {
    // What the module documents is what lies there.
    let (store, folder) = local().await;
    let bundle: Bundle = ml_registry::conformance::registry::bundle(0);
    let digest = store.put_bytes(bundle.manifest().clone()).await.unwrap();
    assert_eq!(fs::read(file_of(folder.path(), &digest)).unwrap(), bundle.manifest().as_ref());
}
