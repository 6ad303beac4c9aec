//! The contract of [`FeatureStore`].

use super::sample::{Row, batch, row, seconds, view};
use crate::{Entity, FeatureStore, FeatureStoreExt, FeatureView, HistoricalRequest};
use ml_core::{
    ErrorKind, Table,
    arrow::{
        array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Float64Type},
    },
    id::FeatureRef,
    time::EventTime,
};
use std::{ops::Range, sync::Arc};

const ALWAYS: Range<EventTime> = EventTime::MIN..EventTime::MAX;

fn wind() -> FeatureRef {
    "weather:wind".parse().expect("a feature")
}

fn note() -> FeatureRef {
    "weather:note".parse().expect("a feature")
}

/// Spine rows of gate 1: airport, if known, and second of the label.
fn spine(rows: &[(Option<&str>, i64)]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("origin", Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>()) as ArrayRef, true),
        ("late", Arc::new(Int32Array::from_iter_values((0..).take(rows.len()))), false),
        ("gate", Arc::new(Int32Array::from(vec![1; rows.len()])), false),
        ("departure", seconds(rows.iter().map(|row| row.1)), false),
    ])
    .expect("columns of one length")
}

/// A store with the view and some rows, one append a row.
async fn filled(subject: &impl FeatureStore, rows: &[Row]) {
    subject.apply(&[view("weather")]).await.expect("a new view");
    for row in rows {
        subject.append(view("weather").name(), batch(std::slice::from_ref(row))).await.expect("rows of the view");
    }
}

async fn historical(subject: &impl FeatureStore, rows: &[(Option<&str>, i64)]) -> Vec<Option<f64>> {
    let request = HistoricalRequest::new(Table::from(spine(rows)), "departure").with_feature(wind());
    let table = subject.historical_table(request).await.expect("keys of the view");
    table.floats("weather:wind").expect("numbers").iter().collect()
}

async fn online(subject: &impl FeatureStore, origins: &[Option<&str>]) -> Vec<Option<f64>> {
    let keys: Vec<_> = origins.iter().map(|origin| (*origin, 0)).collect();
    let read = subject.online(&[wind()], &spine(&keys)).await.expect("keys of the view");
    read["weather:wind"].as_primitive::<Float64Type>().iter().collect()
}

/// Clause 1.
pub async fn applying_again_changes_nothing(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 1, 1.0)]).await;
    subject.apply(&[view("weather")]).await.expect("the same view");
    assert_eq!(subject.views().await.expect("one"), [view("weather")]);
    assert_eq!(historical(&subject, &[(Some("JFK"), 2)]).await, [Some(1.0)]);
}

/// Clause 1.
pub async fn breaking_changes_conflict(subject: impl FeatureStore) {
    filled(&subject, &[]).await;
    let entity = Entity::new("gate".parse().expect("a name"), [("gate", DataType::Int32)]).expect("valid");
    let broken = FeatureView::new("weather".parse().expect("a name"), entity, "at", [("wind", DataType::Float64)]);
    let error = subject.apply(&[view("other"), broken.expect("valid")]).await.expect_err("another key");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(subject.views().await.expect("one"), [view("weather")], "nothing of the call was applied");
}

/// Clause 2.
pub async fn historical_completes_the_spine(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 1, 1.0), row("LGA", 1, 2.0)]).await;
    let parts = vec![
        spine(&[(Some("LGA"), 9), (Some("JFK"), 5)]),
        spine(&[]),
        spine(&[(Some("JFK"), 5), (Some("JFK"), 5), (Some("LGA"), 2)]),
    ];
    let spine = Table::new(parts[0].schema(), parts).expect("one schema");
    let request = HistoricalRequest::new(spine.clone(), "departure").with_features([note(), wind()]);
    let table = subject.historical_table(request).await.expect("keys of the view");
    let names: Vec<_> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["origin", "late", "gate", "departure", "weather:note", "weather:wind"]);
    for name in &names[..4] {
        assert_eq!(&table.column(name).expect("of the spine"), &spine.column(name).expect("of the spine"), "{name}");
    }
    assert_eq!(table.floats("weather:wind").expect("numbers").values(), &[2.0, 1.0, 1.0, 1.0, 2.0]);
    assert_eq!(table.column("weather:note").expect("there").null_count(), 5);
}

/// Clause 3.
pub async fn historical_is_correct_at_each_label(subject: impl FeatureStore) {
    let rows = [
        row("JFK", 20, 2.0),
        row("JFK", 10, 1.0).known(15), // late
        row("JFK", 20, 3.0).known(40), // corrects the first
        row("JFK", 30, 4.0).known(50), // later and later known
        row("LGA", 30, 9.0),
    ];
    filled(&subject, &rows).await;
    let at = |second| (Some("JFK"), second);
    let read = historical(&subject, &[at(14), at(15), at(19), at(20), at(39), at(40), at(49), at(50), at(99)]).await;
    let expected = [None, Some(1.0), Some(1.0), Some(2.0), Some(2.0), Some(3.0), Some(3.0), Some(4.0), Some(4.0)];
    assert_eq!(read, expected);
}

/// Clause 4.
pub async fn unknown_entities_get_nulls(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 1, 1.0)]).await;
    assert_eq!(historical(&subject, &[(None, 9), (Some("EWR"), 9), (Some("JFK"), 9)]).await, [None, None, Some(1.0)]);
    subject.materialize(&[wind().view], ALWAYS).await.expect("a known view");
    assert_eq!(online(&subject, &[None, Some("EWR"), Some("JFK")]).await, [None, None, Some(1.0)]);
}

/// Clause 5.
pub async fn an_empty_spine_gives_the_columns(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 1, 1.0)]).await;
    let none = Table::new(spine(&[]).schema(), Vec::new()).expect("no batches");
    let request = HistoricalRequest::new(none, "departure").with_feature(wind());
    let table = subject.historical_table(request).await.expect("keys of the view");
    assert_eq!((table.rows(), table.schema().fields().len()), (0, 5));
}

/// Clause 6.
pub async fn materialized_rows_are_online(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 20, 2.0), row("JFK", 10, 1.0), row("LGA", 10, 3.0), row("LGA", 99, 4.0)]).await;
    assert_eq!(online(&subject, &[Some("JFK"), Some("LGA")]).await, [None, None]);
    let until = EventTime::from_micros(50_000_000);
    let report = subject.materialize(&[wind().view], EventTime::MIN..until).await.expect("a known view");
    assert_eq!((report.read(), report.views.len()), (3, 1));
    assert_eq!(online(&subject, &[Some("LGA"), Some("JFK")]).await, [Some(3.0), Some(2.0)]);
    subject.materialize(&[wind().view], until..EventTime::MAX).await.expect("a known view");
    assert_eq!(online(&subject, &[Some("LGA"), Some("JFK")]).await, [Some(4.0), Some(2.0)]);
}

/// Clause 6.
pub async fn online_and_historical_agree(subject: impl FeatureStore) {
    let year_3000 = 32_503_680_000;
    let rows = [
        row("JFK", 20, 2.0),
        row("JFK", 20, 3.0).known(40),
        row("LGA", 10, 1.0),
        row("LGA", year_3000, 5.0),
        row("EWR", 10, 1.0).known(year_3000),
        row("EWR", 5, 7.0),
    ];
    filled(&subject, &rows).await;
    subject.materialize(&[wind().view], ALWAYS).await.expect("a known view");
    let origins = [Some("JFK"), Some("LGA"), Some("EWR")];
    // No clock is needed for what happened long ago or will long from now.
    let now = 1_700_000_000;
    let labels = origins.map(|origin| (origin, now));
    assert_eq!(online(&subject, &origins).await, [Some(3.0), Some(1.0), Some(7.0)]);
    assert_eq!(online(&subject, &origins).await, historical(&subject, &labels).await);
}

/// Clause 7.
pub async fn materializing_again_changes_nothing(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 10, 1.0), row("JFK", 10, 2.0), row("LGA", 5, 3.0)]).await;
    for _ in 0..2 {
        subject.materialize(&[wind().view], ALWAYS).await.expect("a known view");
        assert_eq!(online(&subject, &[Some("JFK"), Some("LGA")]).await, [Some(2.0), Some(3.0)]);
    }
}

/// Clause 8.
pub async fn unknown_names_are_not_found(subject: impl FeatureStore) {
    filled(&subject, &[]).await;
    for name in ["weather:gusts", "traffic:queue"] {
        let feature: FeatureRef = name.parse().expect("a feature");
        let request = HistoricalRequest::new(Table::from(spine(&[])), "departure").with_feature(feature.clone());
        let error = subject.historical(request).await.err().expect(name);
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = subject.online(&[feature], &spine(&[])).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let traffic = "traffic".parse().expect("a name");
    let error = subject.append(&traffic, batch(&[])).await.expect_err("no such view");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = subject.materialize(&[traffic], ALWAYS).await.expect_err("no such view");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Clause 9.
pub async fn keys_of_other_types_are_refused(subject: impl FeatureStore) {
    filled(&subject, &[row("JFK", 1, 1.0)]).await;
    subject.materialize(&[wind().view], ALWAYS).await.expect("a known view");
    let good = spine(&[(Some("JFK"), 9)]);
    let wide = Table::from(good.clone()).with_column("gate", Arc::new(Int64Array::from(vec![1]))).expect("one row");
    let missing = Table::from(good).select(&["origin", "departure"]).expect("columns");
    for spine in [wide, missing] {
        let error = subject.online(&[wind()], &spine.batches()[0]).await.expect_err("no key of the view");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let request = HistoricalRequest::new(spine, "departure").with_feature(wind());
        let error = subject.historical(request).await.err().expect("no key of the view");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("gate"), "{error}");
    }
}

/// Runs the suite of [`FeatureStore`](crate::FeatureStore) over a backend.
#[macro_export]
macro_rules! feature_store_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::feature_store, $factory, [$($($known),*)?];
            applying_again_changes_nothing,
            breaking_changes_conflict,
            historical_completes_the_spine,
            historical_is_correct_at_each_label,
            unknown_entities_get_nulls,
            an_empty_spine_gives_the_columns,
            materialized_rows_are_online,
            online_and_historical_agree,
            materializing_again_changes_nothing,
            unknown_names_are_not_found,
            keys_of_other_types_are_refused,
        }
    };
}
