//! A publisher killed at any moment leaves every version whole or absent.

use crate::child::{Process, assignment, say};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use ml_core::{
    BoxStream, Bundle, Result, Seed, Signature,
    id::{Alias, Digest, ModelName, ModelRef, Version},
    onnx::OnnxModel,
    port::ModelSource as _,
    signature::TensorSpec,
    tensor::DType,
};
use ml_registry::{
    AliasChange, AliasMove, ArtifactStore, LocalArtifactStore, ModelRecord, NewVersion, Registry, RegistrySource,
    SqliteDatabase, SqliteOptions, SqliteRegistry, publish,
};
use std::{
    collections::BTreeMap,
    future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const ROUNDS: usize = 100;

/// Files of a bundle of ours: graph, signature, card.
const FILES: usize = 3;

/// What a publisher can be stopped at: before, within and after each of the puts of the files and the manifest, and
/// before and after the transaction.
const STEPS: usize = 3 * (FILES + 1) + 2;

#[tokio::test]
async fn a_killed_publisher_leaves_versions_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<Version, Digest> = BTreeMap::new();
    // One version that no crash has touched, so that the model is there from the first round on.
    let (registry, artifacts) = open(folder.path()).await;
    let first = bundle("first");
    let new = NewVersion::new(first.digest(), "parent");
    let version = publish(&registry, &artifacts, &name(), &first, new).await.unwrap();
    acknowledged.insert(version, first.digest());
    drop((registry, artifacts));
    let mut seen = 0;
    let mut moments = Seed::new(8).stream("moments of death");
    for round in 0..ROUNDS {
        let said = if round % 2 == 0 {
            // Between two known steps: the child stops there and waits for its end.
            let child = Process::start("crash::publisher", folder.path(), &(round / 2 % STEPS).to_string());
            let mut said = Vec::new();
            for line in &child.lines {
                if line == "stopped" {
                    break;
                }
                said.push(line);
            }
            said.extend(child.kill());
            said
        } else {
            // At any moment after the first version, also within a write of SQLite.
            let child = Process::start("crash::publisher", folder.path(), "runs on");
            let mut said = vec![child.lines.recv().unwrap()];
            tokio::time::sleep(Duration::from_micros(moments.next_u64() % 30_000)).await;
            said.extend(child.kill());
            said
        };
        for line in said {
            let (version, digest) = line.split_once(' ').unwrap_or_else(|| panic!("the child failed: {line}"));
            let before = acknowledged.insert(version.parse().unwrap(), digest.parse().unwrap());
            assert!(before.is_none(), "version {version} was given twice");
        }

        let (registry, artifacts) = open(folder.path()).await;
        let records: Vec<ModelRecord> = registry.versions(&name()).try_collect().await.unwrap();
        let numbers: Vec<usize> = records.iter().map(|record| record.version.number() as usize).collect();
        assert_eq!(numbers, (1..=records.len()).collect::<Vec<_>>());
        for (version, digest) in &acknowledged {
            assert_eq!(
                records[version.number() as usize - 1].digest,
                *digest,
                "an acknowledged version is as published"
            );
        }
        let fetched_from = if round + 1 == ROUNDS { 0 } else { seen };
        let source = RegistrySource::new(registry, artifacts);
        for record in &records[fetched_from..] {
            let bundle = source.fetch(&name(), record.version).await.unwrap();
            assert_eq!(bundle.digest(), record.digest);
            assert_eq!(bundle.files().len(), FILES);
        }
        seen = records.len();
    }
    assert!(acknowledged.len() > ROUNDS / 2, "every round at a random moment has published");
    let leftovers = std::fs::read_dir(folder.path().join("artifacts/incoming")).unwrap().count();
    assert_eq!(leftovers, 0, "uploads that were cut off are cleaned up");
}

/// The program of the child: publishes one bundle after another until it is killed.
#[tokio::test]
#[ignore = "run as a child process"]
async fn publisher() {
    let Some((folder, role)) = assignment() else { return };
    let (registry, artifacts) = open(&folder).await;
    let steps = Arc::new(Steps { passed: AtomicUsize::new(0), stop: role.parse().ok() });
    let registry = Stepped { inner: registry, steps: steps.clone() };
    let artifacts = Stepped { inner: artifacts, steps: steps.clone() };
    loop {
        // Other bytes every time, so that a file of an earlier bundle cannot stand in for one that was lost.
        let bundle = bundle(&ml_core::id::RunId::generate().to_string());
        let new = NewVersion::new(bundle.digest(), "child");
        let version = publish(&registry, &artifacts, &name(), &bundle, new).await.unwrap();
        say(format!("{version} {}", bundle.digest()));
    }
}

async fn open(folder: &Path) -> (SqliteRegistry, LocalArtifactStore) {
    let database = SqliteDatabase::open(SqliteOptions::new(folder.join("registry.db"))).await.unwrap();
    database.check_integrity().await.unwrap();
    (SqliteRegistry::new(database), LocalArtifactStore::open(folder.join("artifacts")).await.unwrap())
}

fn name() -> ModelName {
    "flights".parse().unwrap()
}

fn bundle(unique: &str) -> Bundle {
    let signature = Signature::new(vec![], vec![TensorSpec::batched(unique, DType::Fp32, [])]).unwrap();
    let bytes = unique.repeat(20_000).into_bytes().into();
    Bundle::builder(OnnxModel { bytes, signature }).json("card.json", &unique).unwrap().build().unwrap()
}

/// Counts steps, and stops at one for ever, telling so.
#[derive(Debug)]
struct Steps {
    passed: AtomicUsize,
    stop: Option<usize>,
}

impl Steps {
    async fn pass(&self) {
        if Some(self.passed.fetch_add(1, Ordering::SeqCst)) == self.stop {
            say("stopped");
            future::pending::<()>().await;
        }
    }
}

/// A backend with steps around its writes.
#[derive(Debug)]
struct Stepped<T> {
    inner: T,
    steps: Arc<Steps>,
}

#[async_trait]
impl<S: ArtifactStore> ArtifactStore for Stepped<S> {
    async fn put(&self, bytes: BoxStream<'_, Result<Bytes>>) -> Result<Digest> {
        self.steps.pass().await;
        // The store has written the bytes when it asks for what comes after them.
        let end = futures_util::stream::once(self.steps.pass()).filter_map(async |()| None);
        let digest = self.inner.put(bytes.chain(end).boxed()).await?;
        self.steps.pass().await;
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.inner.get(digest).await
    }

    async fn contains(&self, digest: &Digest) -> Result<bool> {
        self.inner.contains(digest).await
    }
}

#[async_trait]
impl<R: Registry> Registry for Stepped<R> {
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version> {
        self.steps.pass().await;
        let version = self.inner.register(name, new).await?;
        self.steps.pass().await;
        Ok(version)
    }

    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord> {
        self.inner.resolve(at).await
    }

    fn models(&self) -> BoxStream<'_, Result<ModelName>> {
        self.inner.models()
    }

    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>> {
        self.inner.versions(name)
    }

    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange> {
        self.inner.set_alias(name, change).await
    }

    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>> {
        self.inner.aliases(name)
    }

    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>> {
        self.inner.alias_history(name, alias)
    }
}
