//! The contract of [`OnlineStore`].

use super::sample::{Row, at, batch, keys, misfits, row, view};
use crate::{Entity, EntityKey, FeatureRow, FeatureView, OnlineStore};
use ml_core::{
    ErrorKind,
    arrow::{
        array::{Array, AsArray, Int64Array, RecordBatch},
        datatypes::{DataType, Float64Type},
    },
};
use std::{sync::Arc, time::Duration};

async fn write(subject: &impl OnlineStore, view: &FeatureView, rows: &[Row]) -> u64 {
    subject.write(view, &batch(rows)).await.expect("rows of the view")
}

/// The wind at some airports, at a second.
async fn winds(subject: &impl OnlineStore, view: &FeatureView, origins: &[&'static str], now: i64) -> Vec<Option<f64>> {
    let rows = subject.read(view, &keys(origins), at(now)).await.expect("keys of the view");
    let columns = FeatureRow::decode(view, &[0], &rows).expect("rows of the view");
    columns[0].as_primitive::<Float64Type>().iter().collect()
}

/// Clause 1.
pub async fn absent_keys_keep_their_slots(subject: impl OnlineStore) {
    let view = view("weather");
    assert_eq!(winds(&subject, &view, &["JFK"], 10).await, [None], "nothing was written yet");
    write(&subject, &view, &[row("JFK", 1, 1.0), row("LGA", 1, 2.0)]).await;
    let read = winds(&subject, &view, &["LGA", "EWR", "JFK", "LGA"], 10).await;
    assert_eq!(read, [Some(2.0), None, Some(1.0), Some(2.0)]);
    assert!(winds(&subject, &view, &[], 10).await.is_empty());
}

/// Clause 2.
pub async fn values_come_back_as_written(subject: impl OnlineStore) {
    let view = view("weather");
    let values = [Some(f64::NAN), Some(f64::NEG_INFINITY), Some(-0.0), None];
    let notes = [Some(""), None, Some("naïve ✓"), Some("a\0b")];
    let origins = ["A", "B", "C", "D"];
    let rows: Vec<Row> = (0..4).map(|i| Row { wind: values[i], note: notes[i], ..row(origins[i], 1, 0.0) }).collect();
    write(&subject, &view, &rows).await;
    let read = subject.read(&view, &keys(&origins), at(1)).await.expect("keys of the view");
    assert!(read.iter().flatten().all(|row| row.event_time() == at(1) && row.created_time() == Some(at(1).into())));
    let columns = FeatureRow::decode(&view, &[0, 1], &read).expect("rows of the view");
    let bits: Vec<_> = columns[0].as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits)).collect();
    assert_eq!(bits, values.map(|v| v.map(f64::to_bits)));
    assert_eq!(columns[1].as_string::<i32>().iter().collect::<Vec<_>>(), notes);
}

/// Clause 3.
pub async fn expired_rows_read_as_absent(subject: impl OnlineStore) {
    let view = view("weather").with_ttl(Duration::from_secs(60));
    write(&subject, &view, &[row("JFK", 100, 1.0)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 160).await, [Some(1.0)]);
    assert_eq!(winds(&subject, &view, &["JFK"], 161).await, [None]);
}

/// Clause 4.
pub async fn rows_of_the_future_read_as_absent(subject: impl OnlineStore) {
    let view = view("weather");
    write(&subject, &view, &[row("JFK", 100, 1.0)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 99).await, [None]);
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(1.0)]);
}

/// Clause 5.
pub async fn late_writes_do_not_win(subject: impl OnlineStore) {
    let view = view("weather");
    assert_eq!(write(&subject, &view, &[row("JFK", 20, 2.0)]).await, 1);
    assert_eq!(write(&subject, &view, &[row("JFK", 10, 1.0).known(90)]).await, 0);
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(2.0)]);
    write(&subject, &view, &[row("JFK", 40, 4.0), row("JFK", 30, 3.0)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(4.0)]);
}

/// Clause 6.
pub async fn ties_go_to_the_later_created_then_the_last_written(subject: impl OnlineStore) {
    let view = view("weather");
    write(&subject, &view, &[row("JFK", 10, 2.0).known(20), row("JFK", 10, 1.0).known(15)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(2.0)]);
    write(&subject, &view, &[row("JFK", 10, 3.0).known(20)]).await;
    write(&subject, &view, &[row("JFK", 10, 4.0).known(20)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(4.0)]);
}

/// Clause 7.
pub async fn concurrent_writes_keep_the_latest(subject: impl OnlineStore) {
    let (subject, view) = (Arc::new(subject), view("weather"));
    let writers = (0..8_i32).map(|writer| {
        let (subject, view) = (subject.clone(), view.clone());
        tokio::spawn(async move {
            for i in 0..50_i32 {
                let second = i64::from(i * 8 + writer);
                let rows =
                    [row("JFK", second, f64::from(i * 8 + writer)), Row { gate: writer, ..row("LGA", second, 0.0) }];
                subject.write(&view, &batch(&rows)).await.expect("rows of the view");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    assert_eq!(winds(&subject, &view, &["JFK"], 1000).await, [Some(399.0)]);
    assert_eq!(winds(&subject, &view, &["LGA"], 1000).await, [Some(0.0)]);
}

/// Clause 8.
pub async fn keys_of_other_types_are_refused(subject: impl OnlineStore) {
    let view = view("weather");
    write(&subject, &view, &[row("JFK", 1, 1.0)]).await;
    let entity = Entity::new("gate".parse().expect("a name"), [("gate", DataType::Int64)]).expect("valid");
    let rows = RecordBatch::try_from_iter([("gate", Arc::new(Int64Array::from(vec![1])) as Arc<dyn Array>)]);
    let foreign = EntityKey::encode(&entity, &rows.expect("one column")).expect("keys of that entity");
    let foreign: Vec<EntityKey> = foreign.into_iter().flatten().collect();
    let error = subject.read(&view, &foreign, at(10)).await.expect_err("other types");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    if subject.capabilities().can_delete {
        let error = subject.delete(&view, &foreign).await.expect_err("other types");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

/// Clause 9.
pub async fn rows_that_do_not_fit_are_refused(subject: impl OnlineStore) {
    let view = view("weather");
    for (what, rows) in misfits() {
        let error = subject.write(&view, &rows).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error}");
        assert!(error.to_string().contains("weather"), "{what}: {error}");
    }
    assert_eq!(winds(&subject, &view, &["JFK", "LGA"], 100).await, [None, None]);
}

/// Clause 10.
pub async fn views_do_not_share_rows(subject: impl OnlineStore) {
    write(&subject, &view("a"), &[row("JFK", 1, 1.0)]).await;
    write(&subject, &view("b"), &[row("JFK", 1, 2.0)]).await;
    assert_eq!(winds(&subject, &view("a"), &["JFK"], 10).await, [Some(1.0)]);
    assert_eq!(winds(&subject, &view("b"), &["JFK"], 10).await, [Some(2.0)]);
    assert_eq!(winds(&subject, &view("c"), &["JFK"], 10).await, [None]);
}

/// Clause 11.
pub async fn deleted_keys_read_as_absent(subject: impl OnlineStore) {
    let view = view("weather");
    write(&subject, &view, &[row("JFK", 10, 1.0), row("LGA", 10, 2.0)]).await;
    if !subject.capabilities().can_delete {
        let error = subject.delete(&view, &keys(&["JFK"])).await.expect_err("not an ability");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        return;
    }
    assert_eq!(subject.delete(&view, &keys(&["JFK", "EWR"])).await.expect("keys of the view"), 1);
    assert_eq!(winds(&subject, &view, &["JFK", "LGA"], 100).await, [None, Some(2.0)]);
    write(&subject, &view, &[row("JFK", 5, 3.0)]).await;
    assert_eq!(winds(&subject, &view, &["JFK"], 100).await, [Some(3.0)]);
}

/// Runs the suite of [`OnlineStore`](crate::OnlineStore) over a backend.
#[macro_export]
macro_rules! online_store_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::online_store, $factory, [$($($known),*)?];
            absent_keys_keep_their_slots,
            values_come_back_as_written,
            expired_rows_read_as_absent,
            rows_of_the_future_read_as_absent,
            late_writes_do_not_win,
            ties_go_to_the_later_created_then_the_last_written,
            concurrent_writes_keep_the_latest,
            keys_of_other_types_are_refused,
            rows_that_do_not_fit_are_refused,
            views_do_not_share_rows,
            deleted_keys_read_as_absent,
        }
    };
}
