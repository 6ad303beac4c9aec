//! Microseconds to resolve `model@alias`, in memory and in an SQLite file that has been used for a while.
//!
//! Promise: cheap enough for a server to ask again and again. See `benches/README.md`.

use criterion::{Criterion, criterion_group, criterion_main};
use ml_core::id::{Alias, Digest, ModelRef, Version};
use ml_registry::{AliasMove, MemoryRegistry, NewVersion, Registry, SqliteDatabase, SqliteOptions, SqliteRegistry};
use std::{error::Error, hint::black_box};
use tokio::runtime::Builder;

const MODELS: u32 = 20;
const VERSIONS: u32 = 20;

fn resolve(criterion: &mut Criterion) {
    bench(criterion).expect("the temporary folder can be written");
}

fn bench(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let memory = MemoryRegistry::default();
    let database = runtime.block_on(SqliteDatabase::open(SqliteOptions::new(folder.path().join("registry.db"))))?;
    let sqlite = SqliteRegistry::new(database);

    let mut group = criterion.benchmark_group("registry_resolve");
    for (backend, registry) in [("memory", &memory as &dyn Registry), ("sqlite", &sqlite)] {
        let at = runtime.block_on(fill(registry))?;
        group.bench_function(backend, |bencher| {
            bencher.iter(|| runtime.block_on(registry.resolve(black_box(&at))).expect("the alias is set"));
        });
    }
    group.finish();
    Ok(())
}

/// Registers models with versions and a history, and gives the reference to ask for.
async fn fill(registry: &dyn Registry) -> ml_core::Result<ModelRef> {
    let champion: Alias = "champion".parse()?;
    for model in 0..MODELS {
        let name = format!("model-{model}").parse()?;
        let mut last: Option<Version> = None;
        for version in 0..VERSIONS {
            let new = NewVersion::new(Digest::of(version.to_le_bytes()), "bench").with_tag("data", "flights");
            let version = registry.register(&name, new).await?;
            let change = AliasMove::set(champion.clone(), version, "bench").expecting(last);
            last = registry.set_alias(&name, change).await?.to;
        }
    }
    format!("model-{}@champion", MODELS / 2).parse()
}

criterion_group!(benches, resolve);
criterion_main!(benches);
