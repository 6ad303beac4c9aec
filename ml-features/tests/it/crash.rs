//! A writer killed at any moment: every append that it was told of is there, and none is there in part.

use futures_util::TryStreamExt;
use ml_core::{
    Compute, Seed,
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampSecondArray},
        datatypes::{DataType, Int64Type},
    },
};
use ml_features::{
    Entity, FeatureView, OfflineStore,
    offline::{Scan, parquet::ParquetOfflineStore},
};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, BufReader, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const FOLDER: &str = "ML_FEATURES_TEST_FOLDER";
const ROUNDS: usize = 40;
/// Enough that many a death comes while a file is written.
const ROWS: usize = 20_000;

#[tokio::test]
async fn a_killed_writer_leaves_appends_whole_or_absent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path()).await;
    store.apply(&view()).await.expect("a new view");
    drop(store);
    let mut acknowledged = BTreeSet::new();
    let mut moments = Seed::new(8).stream("moments of death");
    for round in 0..ROUNDS {
        acknowledged.extend(write_and_die(folder.path(), Duration::from_micros(moments.next_u64() % 30_000)).await);

        let store = open(folder.path()).await;
        assert_eq!(leftovers(folder.path()), Vec::<PathBuf>::new(), "round {round}");
        let found = appends(&store).await;
        assert_eq!(found, (0..).take(found.len()).collect::<Vec<i64>>(), "in order, each once");
        assert!(acknowledged.iter().all(|append| found.contains(append)), "round {round}: an append is lost");
        // The last append of each writer may have been published without the writer living to tell.
        assert!(found.len() <= acknowledged.len() + round + 1, "round {round}");
    }
    assert!(acknowledged.len() >= ROUNDS, "every writer has appended");
}

/// Runs a writer, kills it a while after its first append, and gives the appends that it was told of.
async fn write_and_die(folder: &Path, after: Duration) -> Vec<i64> {
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "crash::writer", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let first = said.next().expect("the child says something").expect("text");
    tokio::time::sleep(after).await;
    child.kill().expect("killed");
    child.wait().expect("dead");
    let lines = std::iter::once(first).chain(said.map_while(Result::ok));
    lines.map(|line| line.parse().unwrap_or_else(|_| panic!("the child failed: {line}"))).collect()
}

/// The program of the child: appends until it is killed, and tells of each append when it is acknowledged.
#[tokio::test]
#[ignore = "run as a child process"]
async fn writer() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder)).await;
    let next = appends(&store).await.last().map_or(0, |last| last + 1);
    for append in next.. {
        let ids = Arc::new(Int64Array::from_iter_values((0..).take(ROWS))) as ArrayRef;
        let times = Arc::new(TimestampSecondArray::from(vec![append; ROWS]).with_timezone("UTC"));
        let numbers = Arc::new(Int64Array::from(vec![append; ROWS]));
        let rows = RecordBatch::try_from_iter([("id", ids), ("at", times), ("append", numbers)]).expect("batch");
        store.append(&view(), rows).await.expect("rows of the view");
        // One write, so that a kill leaves the line whole or absent.
        io::stderr().write_all(format!("{append}\n").as_bytes()).expect("the parent listens");
    }
}

async fn open(folder: &Path) -> ParquetOfflineStore {
    ParquetOfflineStore::open(folder, Compute::new(NonZeroUsize::MIN).expect("a thread")).await.expect("the folder")
}

fn view() -> FeatureView {
    let entity = Entity::new("sensor".parse().expect("a name"), [("id", DataType::Int64)]).expect("valid");
    FeatureView::new("climate".parse().expect("a name"), entity, "at", [("append", DataType::Int64)]).expect("valid")
}

/// The appends found, in order, each checked to be whole.
async fn appends(store: &ParquetOfflineStore) -> Vec<i64> {
    let batches: Vec<RecordBatch> =
        store.scan(&view(), Scan::all()).await.expect("applied").try_collect().await.expect("whole files");
    let numbers: Vec<i64> =
        batches.iter().flat_map(|rows| rows["append"].as_primitive::<Int64Type>().values().to_vec()).collect();
    let whole = |rows: &[i64]| rows.len() == ROWS && rows.iter().all(|row| *row == rows[0]);
    numbers.chunks(ROWS).inspect(|rows| assert!(whole(rows), "half an append")).map(|rows| rows[0]).collect()
}

/// Files that no reader knows, in the folder of the view.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("climate")).expect("the view").map(|file| file.expect("a file").path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "tmp")).collect()
}
