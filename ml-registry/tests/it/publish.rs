use ml_core::{
    ErrorKind,
    id::{Digest, ModelName, Version},
    port::ModelSource,
};
use ml_registry::{
    ArtifactStore, LocalArtifactStore, MemoryArtifactStore, MemoryRegistry, NewVersion, Registry, RegistrySource,
    conformance::registry::bundle, publish,
};
use std::{fs, sync::Arc};

fn name() -> ModelName {
    "m".parse().unwrap()
}

#[tokio::test]
async fn a_published_bundle_comes_back_through_the_port() {
    let (registry, artifacts) = (MemoryRegistry::default(), MemoryArtifactStore::default());
    for n in 0..2 {
        let new = NewVersion::new(bundle(n).digest(), "ada");
        publish(&registry, &artifacts, &name(), &bundle(n), new).await.unwrap();
    }
    let source: Arc<dyn ModelSource> = Arc::new(RegistrySource::new(registry, artifacts));
    let second = source.resolve(&"m@2".parse().unwrap()).await.unwrap();
    assert_eq!(source.fetch(&name(), second).await.unwrap(), bundle(1));
    assert_eq!(source.fetch(&name(), Version::FIRST).await.unwrap(), bundle(0));
    let missing = source.fetch(&name(), Version::new(3).unwrap()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_digest_of_another_bundle_is_refused_before_anything_is_stored() {
    let (registry, artifacts) = (MemoryRegistry::default(), MemoryArtifactStore::default());
    let new = NewVersion::new(bundle(1).digest(), "ada");
    let error = publish(&registry, &artifacts, &name(), &bundle(0), new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!artifacts.contains(&bundle(0).digest()).await.unwrap());
}

#[tokio::test]
async fn damage_to_any_stored_file_is_corrupt_and_names_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = LocalArtifactStore::open(folder.path()).await.unwrap();
    let registry = MemoryRegistry::default();
    let bundle = bundle(0);
    let new = NewVersion::new(bundle.digest(), "ada");
    let version = publish(&registry, &artifacts, &name(), &bundle, new).await.unwrap();
    let source = RegistrySource::new(registry, artifacts);

    let digests: Vec<Digest> = bundle.files().map(|(_, bytes)| Digest::of(bytes)).chain([bundle.digest()]).collect();
    for digest in digests {
        let text = digest.to_string();
        let path = folder.path().join("cas/sha256").join(&text[..2]).join(&text[2..]);
        let sound = fs::read(&path).unwrap();
        let mut flipped = sound.clone();
        flipped[0] ^= 1;
        let longer = [&sound[..], b"\n"].concat();
        for damaged in [Some(flipped), Some(sound[1..].to_vec()), Some(longer), None] {
            match damaged {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = source.fetch(&name(), version).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains("model: m, version: 1"), "{error}");
        }
        fs::write(&path, sound).unwrap();
    }
    assert_eq!(source.fetch(&name(), version).await.unwrap(), bundle);
}

#[tokio::test]
async fn a_manifest_that_is_none_is_corrupt() {
    let (registry, artifacts) = (MemoryRegistry::default(), MemoryArtifactStore::default());
    for bytes in ["not json", "{\"format\":1,\"files\":{\"../x\":{\"sha256\":\"00\",\"size_bytes\":1}}}", ""] {
        let digest = artifacts.put(Box::pin(futures_util::stream::iter([Ok(bytes.into())]))).await.unwrap();
        let version = registry.register(&name(), NewVersion::new(digest, "eve")).await.unwrap();
        let source = RegistrySource::new(registry.clone(), artifacts.clone());
        assert_eq!(source.fetch(&name(), version).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
