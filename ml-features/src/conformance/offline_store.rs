//! The contract of [`OfflineStore`].

use super::sample::{Row, at, batch, misfits, row, view};
use crate::{Entity, FeatureView, OfflineStore, offline::Scan};
use futures_util::TryStreamExt;
use ml_core::{
    ErrorKind, Table,
    arrow::{
        array::{AsArray, RecordBatch},
        datatypes::{DataType, Float64Type},
    },
    time::EventTime,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

async fn append(subject: &impl OfflineStore, view: &FeatureView, rows: &[Row]) {
    subject.append(view, batch(rows)).await.expect("rows of the view");
}

async fn scan(subject: &impl OfflineStore, view: &FeatureView, scan: Scan) -> Vec<RecordBatch> {
    subject.scan(view, scan).await.expect("a view that was applied").try_collect().await.expect("rows")
}

/// The wind of every row scanned, in order.
async fn winds(subject: &impl OfflineStore, view: &FeatureView, asked: Scan) -> Vec<f64> {
    let batches = scan(subject, view, asked).await;
    let wind = |batch: RecordBatch| batch["wind"].as_primitive::<Float64Type>().values().to_vec();
    batches.into_iter().flat_map(wind).collect()
}

async fn applied(subject: &impl OfflineStore) -> FeatureView {
    let view = view("weather");
    subject.apply(&view).await.expect("a new view");
    view
}

/// Clause 1.
pub async fn applied_views_are_listed(subject: impl OfflineStore) {
    assert!(subject.views().await.expect("none").is_empty());
    for name in ["b", "a", "c"] {
        subject.apply(&view(name)).await.expect("a new view");
    }
    let described = view("c").with_description("described").with_ttl(Duration::from_secs(1));
    subject.apply(&described).await.expect("nothing that readers see");
    assert_eq!(subject.views().await.expect("three"), [view("a"), view("b"), described]);
}

/// Clause 2.
pub async fn applying_again_changes_nothing(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    append(&subject, &view, &[row("JFK", 1, 1.0)]).await;
    subject.apply(&view).await.expect("the same view");
    assert_eq!(winds(&subject, &view, Scan::all()).await, [1.0]);
}

/// Clause 3.
pub async fn breaking_changes_conflict(subject: impl OfflineStore) {
    let old = applied(&subject).await;
    let entity = Entity::new("gate".parse().expect("a name"), [("gate", DataType::Int32)]).expect("valid");
    let new = FeatureView::new(old.name().clone(), entity, "at", [("wind", DataType::Float64)]).expect("valid");
    let error = subject.apply(&new).await.expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("the key was origin Utf8, gate Int32"), "{error}");
    assert_eq!(subject.views().await.expect("one"), [old]);
}

/// Clause 4.
pub async fn added_features_are_null_in_old_rows(subject: impl OfflineStore) {
    let keys = view("weather").entity().clone();
    let old = FeatureView::new("weather".parse().expect("a name"), keys, "at", [("wind", DataType::Float64)])
        .and_then(|view| view.with_created_time("known"))
        .expect("valid");
    subject.apply(&old).await.expect("a new view");
    append(&subject, &old, &[row("JFK", 1, 1.0)]).await;
    let new = applied(&subject).await;
    append(&subject, &new, &[Row { note: Some("gusty"), ..row("JFK", 2, 2.0) }]).await;
    let table = Table::new(new.schema().clone(), scan(&subject, &new, Scan::all()).await).expect("one schema");
    let notes = table.strings("note").expect("text");
    assert_eq!(notes.iter().collect::<Vec<_>>(), [None, Some("gusty")]);
}

/// Clause 5.
pub async fn unknown_views_are_not_found(subject: impl OfflineStore) {
    let view = view("weather");
    let error = subject.append(&view, batch(&[row("JFK", 1, 1.0)])).await.expect_err("not applied");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = subject.scan(&view, Scan::all()).await.err().expect("not applied");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    subject.apply(&view).await.expect("a new view");
    let unknown = Scan::all().with_features(["gusts".parse().expect("a name")]);
    let error = subject.scan(&view, unknown).await.err().expect("no such feature");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Clause 6.
pub async fn other_definitions_conflict(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    let entity = Entity::new("gate".parse().expect("a name"), [("gate", DataType::Int32)]).expect("valid");
    let other = FeatureView::new(view.name().clone(), entity, "at", [("wind", DataType::Float64)]).expect("valid");
    let error = subject.append(&other, batch(&[row("JFK", 1, 1.0)])).await.expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = subject.scan(&other, Scan::all()).await.err().expect("another key");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(winds(&subject, &view, Scan::all()).await.is_empty());
}

/// Clause 7.
pub async fn rows_come_back_in_order_of_arrival(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    append(&subject, &view, &[row("JFK", 30, 1.0), row("JFK", 10, 2.0)]).await;
    for i in 3..=12_i32 {
        append(&subject, &view, &[row("LGA", 20 - i64::from(i), f64::from(i))]).await;
    }
    let expected: Vec<f64> = (1..=12).map(f64::from).collect();
    assert_eq!(winds(&subject, &view, Scan::all()).await, expected);
}

/// Clause 7.
pub async fn values_come_back_as_written(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    let values = [Some(f64::NAN), Some(f64::INFINITY), Some(-0.0), None];
    let notes = [Some(""), None, Some("naïve ✓"), Some("a\0b")];
    let rows: Vec<Row> = (0..4).map(|i| Row { wind: values[i], note: notes[i], ..row("JFK", -1, 0.0) }).collect();
    append(&subject, &view, &rows).await;
    let read = scan(&subject, &view, Scan::all()).await;
    let expected = view.conform(&batch(&rows)).expect("rows of the view");
    let read = Table::new(view.schema().clone(), read).and_then(|table| table.to_batch()).expect("one schema");
    let bits = |rows: &RecordBatch| -> Vec<_> {
        rows["wind"].as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect()
    };
    assert_eq!(bits(&read), bits(&expected));
    for column in ["origin", "gate", "at", "known", "note"] {
        assert_eq!(&read[column], &expected[column], "{column}");
    }
}

/// Clause 8.
pub async fn scans_keep_to_their_range(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    append(&subject, &view, &[row("JFK", 10, 1.0), row("JFK", 20, 2.0)]).await;
    append(&subject, &view, &[row("JFK", 30, 3.0)]).await;
    append(&subject, &view, &[row("JFK", 15, 4.0), row("JFK", 40, 5.0)]).await;
    let during = |start: i64, end: i64| Scan::all().with_during(at(start)..at(end));
    assert_eq!(winds(&subject, &view, during(10, 20)).await, [1.0, 4.0]);
    assert_eq!(winds(&subject, &view, during(20, 41)).await, [2.0, 3.0, 5.0]);
    assert!(winds(&subject, &view, during(50, 60)).await.is_empty());
    assert!(winds(&subject, &view, during(20, 20)).await.is_empty());
    assert_eq!(winds(&subject, &view, Scan::all().with_during(EventTime::MIN..at(11))).await, [1.0]);
}

/// Clause 8.
pub async fn scans_bring_the_features_asked_for(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    append(&subject, &view, &[Row { note: Some("calm"), ..row("JFK", 1, 1.0) }]).await;
    let names = |rows: &RecordBatch| rows.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let one = scan(&subject, &view, Scan::all().with_features(["note".parse().expect("a name")])).await;
    assert_eq!(names(&one[0]), ["origin", "gate", "at", "known", "note"]);
    let two = Scan::all().with_features(["note", "wind"].map(|name| name.parse().expect("a name")));
    assert_eq!(names(&scan(&subject, &view, two).await[0]), ["origin", "gate", "at", "known", "note", "wind"]);
}

/// Clause 9.
pub async fn scans_see_one_moment(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    append(&subject, &view, &[row("JFK", 1, 1.0)]).await;
    let begun = subject.scan(&view, Scan::all()).await.expect("a view that was applied");
    append(&subject, &view, &[row("JFK", 2, 2.0)]).await;
    let batches: Vec<RecordBatch> = begun.try_collect().await.expect("rows");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert_eq!(winds(&subject, &view, Scan::all()).await, [1.0, 2.0]);
}

/// Clause 10.
pub async fn rows_that_do_not_fit_are_refused(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    for (what, rows) in misfits() {
        let error = subject.append(&view, rows).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error}");
        assert!(error.to_string().contains("weather"), "{what}: {error}");
    }
    assert!(winds(&subject, &view, Scan::all()).await.is_empty());
}

/// Clause 11.
pub async fn no_rows_are_no_trouble(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    assert!(winds(&subject, &view, Scan::all()).await.is_empty());
    append(&subject, &view, &[]).await;
    append(&subject, &view, &[row("JFK", 1, 1.0)]).await;
    append(&subject, &view, &[]).await;
    assert_eq!(winds(&subject, &view, Scan::all()).await, [1.0]);
}

/// Clause 12.
pub async fn concurrent_appends_are_all_kept(subject: impl OfflineStore) {
    let view = applied(&subject).await;
    let subject = Arc::new(subject);
    let writers = (0..4_i32).map(|writer| {
        let (subject, view) = (subject.clone(), view.clone());
        tokio::spawn(async move {
            for i in 0..5 {
                append(&subject, &view, &[row("JFK", i64::from(i), f64::from(writer * 5 + i))]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    let read = winds(&subject, &view, Scan::all()).await;
    assert_eq!(read.len(), 20);
    let distinct: BTreeSet<u64> = read.iter().map(|wind| wind.to_bits()).collect();
    assert_eq!(distinct.len(), 20);
}

/// Runs the suite of [`OfflineStore`](crate::OfflineStore) over a backend.
#[macro_export]
macro_rules! offline_store_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::offline_store, $factory, [$($($known),*)?];
            applied_views_are_listed,
            applying_again_changes_nothing,
            breaking_changes_conflict,
            added_features_are_null_in_old_rows,
            unknown_views_are_not_found,
            other_definitions_conflict,
            rows_come_back_in_order_of_arrival,
            values_come_back_as_written,
            scans_keep_to_their_range,
            scans_bring_the_features_asked_for,
            scans_see_one_moment,
            rows_that_do_not_fit_are_refused,
            no_rows_are_no_trouble,
            concurrent_appends_are_all_kept,
        }
    };
}
