//! Parquet files that are missing, damaged, foreign or half written, in the offline store and in ingestion.

use crate::offline_store::scratch;
use futures_util::TryStreamExt;
use ml_core::{
    ErrorKind, Result,
    arrow::{
        array::{
            ArrayRef, AsArray, DictionaryArray, Int64Array, LargeStringArray, RecordBatch, StringArray,
            TimestampSecondArray,
        },
        datatypes::{DataType, Int32Type, Int64Type, Schema},
    },
    time::EventTime,
};
use ml_features::{Entity, FeatureView, OfflineStore, ingest, offline::Scan, offline::parquet::ParquetOfflineStore};
use parquet::arrow::ArrowWriter;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

fn view() -> FeatureView {
    let entity = Entity::new("sensor".parse().expect("a name"), [("id", DataType::Int64)]).expect("valid");
    FeatureView::new("climate".parse().expect("a name"), entity, "at", [("celsius", DataType::Int64)]).expect("valid")
}

fn rows(range: std::ops::Range<i64>) -> RecordBatch {
    let numbers = || Arc::new(Int64Array::from_iter_values(range.clone())) as ArrayRef;
    let times = Arc::new(TimestampSecondArray::from_iter_values(range.clone()).with_timezone("UTC")) as ArrayRef;
    RecordBatch::try_from_iter([("id", numbers()), ("at", times), ("celsius", numbers())]).expect("batch")
}

fn write(path: &Path, rows: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), rows.schema(), None).expect("a writer");
    writer.write(rows).expect("rows");
    writer.close().expect("a footer");
}

async fn scan(store: &ParquetOfflineStore, scan: Scan) -> Result<Vec<i64>> {
    let batches: Vec<RecordBatch> = store.scan(&view(), scan).await?.try_collect().await?;
    Ok(batches.iter().flat_map(|rows| rows["celsius"].as_primitive::<Int64Type>().values().to_vec()).collect())
}

/// A store with the view and three rows, and the file they are in.
async fn filled() -> (ParquetOfflineStore, tempfile::TempDir, PathBuf) {
    let (store, folder) = scratch().await;
    store.apply(&view()).await.expect("a new view");
    store.append(&view(), rows(0..3)).await.expect("rows of the view");
    let file = folder.path().join("climate/00000000000000000001.parquet");
    assert!(file.exists());
    (store, folder, file)
}

#[tokio::test]
async fn a_second_process_sees_views_and_rows() {
    let (_store, folder, _) = filled().await;
    let compute = ml_core::Compute::new(std::num::NonZeroUsize::MIN).expect("a thread");
    let second = ParquetOfflineStore::open(folder.path(), compute).await.expect("the folder");
    assert_eq!(second.views().await.expect("one"), [view()]);
    second.append(&view(), rows(3..5)).await.expect("rows of the view");
    assert_eq!(scan(&second, Scan::all()).await.expect("rows"), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_named() {
    let (store, folder, file) = filled().await;
    let whole = fs::read(&file).expect("the file");
    let retyped =
        RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)]).expect("batch");
    let foreign = folder.path().join("foreign.parquet");
    write(&foreign, &retyped);
    let damages = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("text", b"id,at,celsius\n1,2,3\n".to_vec()),
        ("foreign", fs::read(&foreign).expect("the file")),
    ];
    for (what, bytes) in damages {
        fs::write(&file, bytes).expect("written");
        let error = scan(&store, Scan::all()).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains("00000000000000000001.parquet"), "{what}: {error}");
    }
    fs::write(&file, &whole).expect("written");
    assert_eq!(scan(&store, Scan::all()).await.expect("whole again"), [0, 1, 2]);
}

#[tokio::test]
async fn a_file_of_another_view_is_refused() {
    let (store, folder, file) = filled().await;
    let other = {
        let entity = view().entity().clone();
        FeatureView::new("other".parse().expect("a name"), entity, "at", [("celsius", DataType::Int64)]).expect("valid")
    };
    store.apply(&other).await.expect("a new view");
    fs::copy(&file, folder.path().join("other/00000000000000000001.parquet")).expect("copied");
    let read: Result<Vec<RecordBatch>> = store.scan(&other, Scan::all()).await.expect("applied").try_collect().await;
    let error = read.expect_err("not its own");
    assert!(error.to_string().contains("a file was not written for its view"), "{error}");
}

#[tokio::test]
async fn what_a_crash_leaves_behind_is_never_read() {
    let (store, folder, file) = filled().await;
    let whole = fs::read(&file).expect("the file");
    // A writer died before it published rows, and another before it published its view.
    fs::write(folder.path().join("climate/.018f.tmp"), &whole[..10]).expect("written");
    fs::create_dir(folder.path().join("unborn")).expect("made");
    fs::write(folder.path().join("unborn/.018f.tmp"), "{").expect("written");
    assert_eq!(store.views().await.expect("one"), [view()]);
    assert_eq!(scan(&store, Scan::all()).await.expect("rows"), [0, 1, 2]);
    store.append(&view(), rows(3..4)).await.expect("rows of the view");
    assert_eq!(scan(&store, Scan::all()).await.expect("rows"), [0, 1, 2, 3]);
}

#[tokio::test]
async fn leftovers_are_removed_by_a_store_that_is_alone() {
    let (store, folder, _) = filled().await;
    let leftover = folder.path().join("climate/.0192f0c4a1b27c3d8e4f5a6b7c8d9e0f.tmp");
    let foreign = folder.path().join("climate/.notes.tmp");
    fs::write(&leftover, "PAR1").expect("written");
    fs::write(&foreign, "not ours").expect("written");
    let open = || async {
        let compute = ml_core::Compute::new(std::num::NonZeroUsize::MIN).expect("a thread");
        ParquetOfflineStore::open(folder.path(), compute).await.expect("the folder")
    };
    drop(open().await);
    assert!(leftover.exists(), "the first store may be writing it");
    drop(store);
    let store = open().await;
    assert!(!leftover.exists());
    assert!(foreign.exists());
    assert_eq!(scan(&store, Scan::all()).await.expect("rows"), [0, 1, 2]);
}

#[tokio::test]
async fn a_missing_file_is_named_and_not_passed_over() {
    let (store, folder, first) = filled().await;
    store.append(&view(), rows(3..5)).await.expect("rows of the view");
    store.append(&view(), rows(5..6)).await.expect("rows of the view");
    let second = folder.path().join("climate/00000000000000000002.parquet");
    for lost in [first, second] {
        let kept = fs::read(&lost).expect("the file");
        fs::remove_file(&lost).expect("removed");
        let error = scan(&store, Scan::all()).await.expect_err("lost");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let name = lost.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(error.to_string().contains("a file of rows is missing") && error.to_string().contains(name), "{error}");
        fs::write(&lost, kept).expect("written");
    }
    assert_eq!(scan(&store, Scan::all()).await.expect("rows"), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn files_of_other_names_are_not_rows_and_take_no_number() {
    let (store, folder, file) = filled().await;
    for name in ["2.parquet", "+0000000000000000002.parquet", "99999999999999999999.parquet", "copy.parquet"] {
        fs::copy(&file, folder.path().join("climate").join(name)).expect("copied");
    }
    store.append(&view(), rows(3..4)).await.expect("rows of the view");
    assert_eq!(scan(&store, Scan::all()).await.expect("rows"), [0, 1, 2, 3]);
    // The greatest number of all leaves none for the next append.
    fs::copy(&file, folder.path().join(format!("climate/{}.parquet", u64::MAX))).expect("copied");
    let error = store.append(&view(), rows(4..5)).await.expect_err("no number");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert_eq!(scan(&store, Scan::all()).await.expect_err("a gap").kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn damage_anywhere_in_a_file_is_corrupt_or_harmless() {
    let (store, folder) = scratch().await;
    store.apply(&view()).await.expect("a new view");
    store.append(&view(), rows(0..2000)).await.expect("rows of the view");
    let file = folder.path().join("climate/00000000000000000001.parquet");
    let whole = fs::read(&file).expect("the file");
    let mut random = ml_core::Seed::new(1).stream("damage");
    for _ in 0..400 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        fs::write(&file, bytes).expect("written");
        if let Err(error) = scan(&store, Scan::all()).await {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
            assert!(error.to_string().contains("00000000000000000001.parquet"), "byte {at}: {error}");
        }
    }
}

#[tokio::test]
async fn a_broken_definition_is_named() {
    let (store, folder, _) = filled().await;
    fs::write(folder.path().join("climate/view.json"), "{").expect("written");
    let error = store.views().await.expect_err("broken");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("view.json"), "{error}");
}

#[tokio::test]
async fn row_groups_out_of_the_range_are_not_read() {
    let (store, folder) = scratch().await;
    store.apply(&view()).await.expect("a new view");
    store.append(&view(), rows(0..300_000)).await.expect("rows of the view");
    // The first row group is torn; only a scan that needs it may notice.
    let file = folder.path().join("climate/00000000000000000001.parquet");
    let mut bytes = fs::read(&file).expect("the file");
    bytes[4..1000].fill(0xff);
    fs::write(&file, bytes).expect("written");
    let second = |second: i64| EventTime::from_micros(second * 1_000_000);
    let late = scan(&store, Scan::all().with_during(second(299_998)..EventTime::MAX)).await.expect("the last group");
    assert_eq!(late, [299_998, 299_999]);
    let error = scan(&store, Scan::all().with_during(second(0)..second(10))).await.expect_err("torn");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn ingested_files_are_whole_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rows.parquet");
    let error = ingest::parquet::read(&file, None).expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("rows.parquet"), "{error}");

    write(&file, &rows(0..2000));
    let whole = fs::read(&file).expect("the file");
    for length in [0, 3, 8, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("written");
        let error = ingest::parquet::read(&file, None).expect_err("truncated");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes: {error}");
    }
    // No byte, wherever it is, makes the reader panic.
    let mut random = ml_core::Seed::new(1).stream("damage");
    for _ in 0..200 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        fs::write(&file, bytes).expect("written");
        if let Err(error) = ingest::parquet::read(&file, None) {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput), "{error}");
        }
    }
}

#[test]
fn ingestion_picks_columns_and_reads_text_plainly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rows.parquet");
    let dictionary: DictionaryArray<Int32Type> = vec![Some("JFK"), None, Some("JFK")].into_iter().collect();
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("origin", Arc::new(dictionary) as ArrayRef, true),
        ("carrier", Arc::new(LargeStringArray::from(vec!["UA", "AA", "B6"])) as ArrayRef, false),
        ("delay", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef, false),
    ])
    .expect("batch");
    write(&file, &rows);
    let all = ingest::parquet::read(&file, None).expect("whole");
    let types: Vec<_> = all.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8, DataType::Int64]);

    let some = ingest::parquet::read(&file, Some(&["delay", "origin"])).expect("columns of the file");
    let names: Vec<_> = some.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["delay", "origin"]);
    let origins = some.column("origin").expect("read");
    assert_eq!(origins.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("JFK"), None, Some("JFK")]);

    let error = ingest::parquet::read(&file, Some(&["gate"])).expect_err("no such column");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("origin, carrier, delay"), "{error}");

    write(&file, &RecordBatch::new_empty(Arc::new(Schema::new(rows.schema().fields().clone()))));
    assert_eq!(ingest::parquet::read(&file, None).expect("no rows").rows(), 0);
}
