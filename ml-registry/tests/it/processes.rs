//! Several processes on one folder.

use crate::child::{Process, assignment, say};
use futures_util::TryStreamExt as _;
use ml_core::{
    ErrorKind,
    id::{Alias, Digest, ModelName, Version},
};
use ml_registry::{
    AliasMove, ArtifactStoreExt as _, ExperimentTracker, LocalArtifactStore, NewRun, NewVersion, Point, Registry,
    SqliteDatabase, SqliteOptions, SqliteRegistry, SqliteTracker,
};
use std::{collections::BTreeSet, path::Path};

const PROCESSES: usize = 10;
const TURNS: u32 = 10;

#[tokio::test]
async fn ten_processes_that_start_at_once_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> =
        (0..PROCESSES).map(|n| Process::start("processes::worker", folder.path(), &format!("worker {n}"))).collect();
    let said: Vec<String> = children.into_iter().flat_map(Process::finish).collect();

    let registered: BTreeSet<u32> =
        said.iter().filter_map(|line| line.strip_prefix("registered ")?.parse().ok()).collect();
    let total = u32::try_from(PROCESSES).expect("ten") * TURNS;
    assert_eq!(registered, (1..=total).collect(), "every number was given once");
    let moved = said.iter().filter(|line| *line == "moved").count();

    let (registry, tracker, artifacts) = open(folder.path()).await;
    assert_eq!(registry.versions(&name()).try_collect::<Vec<_>>().await.unwrap().len(), total as usize);
    let history: Vec<_> = registry.alias_history(&name(), &champion()).try_collect().await.unwrap();
    assert_eq!(history.len(), moved, "every acknowledged move is in the history, and no other");
    assert!(history.windows(2).all(|pair| pair[0].to == pair[1].from), "and each starts where the one before ended");

    let runs: Vec<_> = tracker.runs(&"shared".parse().unwrap()).try_collect().await.unwrap();
    assert_eq!(runs.len(), PROCESSES);
    for run in runs {
        let points: Vec<_> = tracker.metric_history(&run.id, "turn").try_collect().await.unwrap();
        assert_eq!(points.len(), TURNS as usize);
    }
    let shared = artifacts.get_bytes(&Digest::of("shared"), 10).await.unwrap();
    assert_eq!(shared, "shared");
}

/// The program of a child: registers, moves an alias, logs, and puts what the others put too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process"]
async fn worker() {
    let Some((folder, role)) = assignment() else { return };
    let (registry, tracker, artifacts) = open(&folder).await;
    let run = tracker.start(NewRun::new("shared".parse().unwrap(), &role)).await.unwrap();
    for turn in 0..TURNS {
        artifacts.put_bytes("shared").await.unwrap();
        let own = artifacts.put_bytes(format!("{role} {turn}")).await.unwrap();
        let version = registry.register(&name(), NewVersion::new(own, &role)).await.unwrap();
        say(format!("registered {version}"));
        tracker.log(&run, &[Point::metric("turn", u64::from(turn), f64::from(turn))]).await.unwrap();

        let current = registry.aliases(&name()).try_collect::<Vec<_>>().await.unwrap().pop().and_then(|last| last.to);
        match registry.set_alias(&name(), AliasMove::set(champion(), version, &role).expecting(current)).await {
            Ok(_) => say("moved"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_second_process_sees_a_move_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, ..) = open(folder.path()).await;
    registry.register(&name(), NewVersion::new(Digest::of("1"), "ada")).await.unwrap();
    registry.set_alias(&name(), AliasMove::set(champion(), Version::FIRST, "ada")).await.unwrap();
    let said = Process::start("processes::reader", folder.path(), "reader").finish();
    assert_eq!(said, ["champion is 1, moved by ada"]);
}

/// The program of a child: tells what the alias names.
#[tokio::test]
#[ignore = "run as a child process"]
async fn reader() {
    let Some((folder, _)) = assignment() else { return };
    let (registry, ..) = open(&folder).await;
    let change = registry.aliases(&name()).try_next().await.unwrap().unwrap();
    say(format!("{} is {}, moved by {}", change.alias, change.to.unwrap(), change.by));
}

async fn open(folder: &Path) -> (SqliteRegistry, SqliteTracker, LocalArtifactStore) {
    let database = SqliteDatabase::open(SqliteOptions::new(folder.join("registry.db"))).await.unwrap();
    let artifacts = LocalArtifactStore::open(folder.join("artifacts")).await.unwrap();
    (SqliteRegistry::new(database.clone()), SqliteTracker::new(database), artifacts)
}

fn name() -> ModelName {
    "flights".parse().unwrap()
}

fn champion() -> Alias {
    "champion".parse().unwrap()
}
