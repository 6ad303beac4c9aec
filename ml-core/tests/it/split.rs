#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ml_core::{
    Dataset, ErrorKind, Seed, Table,
    arrow::array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray, TimestampSecondArray,
    },
    dataset::Role,
    split,
    time::EventTime,
};
use std::sync::Arc;

/// Seconds 0 to 9 in two batches.
fn data() -> Dataset {
    let batch = |range: std::ops::Range<i64>| {
        let times = TimestampSecondArray::from_iter_values(range.clone()).with_timezone("UTC");
        let rows = Int64Array::from_iter_values(range);
        RecordBatch::try_from_iter([("at", Arc::new(times) as ArrayRef), ("row", Arc::new(rows))]).unwrap()
    };
    let table = Table::new(batch(0..0).schema(), vec![batch(0..4), batch(4..10)]).unwrap();
    Dataset::new(table).role("at", Role::EventTime).unwrap()
}

fn seconds(seconds: i64) -> EventTime {
    EventTime::from_micros(seconds * 1_000_000)
}

fn rows(data: &Dataset) -> Vec<f64> {
    data.to_table().unwrap().floats("row").unwrap().values().to_vec()
}

fn one(array: ArrayRef) -> Dataset {
    let batch = RecordBatch::try_from_iter_with_nullable([("at", array, true)]).unwrap();
    Dataset::new(Table::from(batch)).role("at", Role::EventTime).unwrap()
}

mod table {
    use super::*;
    ml_core::dataset_conformance!(async { (data().to_table().unwrap(), ()) });
}

mod by_time {
    use super::*;
    ml_core::dataset_conformance!(async { (split::by_time(&data(), seconds(3)).unwrap().1.source().clone(), ()) });
}

mod random {
    use super::*;
    ml_core::dataset_conformance!(async {
        (split::random(&data(), 0.5, Seed::new(1)).unwrap().0.source().clone(), ())
    });
}

#[test]
fn a_row_at_the_moment_of_the_split_is_after_it() {
    let (before, after) = split::by_time(&data(), seconds(4)).unwrap();
    assert_eq!(rows(&before), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(rows(&after), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert_eq!(before.the(Role::EventTime).unwrap(), "at", "parts keep the roles");
}

#[test]
fn a_span_has_its_start_and_not_its_end() {
    assert_eq!(rows(&split::between(&data(), seconds(2)..seconds(5)).unwrap()), [2.0, 3.0, 4.0]);
    assert!(rows(&split::between(&data(), seconds(5)..seconds(2)).unwrap()).is_empty());
}

#[test]
fn every_unit_of_time_is_read() {
    let micros = EventTime::from_micros(1_500_000);
    let arrays: [ArrayRef; 4] = [
        Arc::new(TimestampSecondArray::from(vec![1, 2])),
        Arc::new(TimestampMillisecondArray::from(vec![1_499, 1_500])),
        Arc::new(TimestampMicrosecondArray::from(vec![1_499_999, 1_500_000])),
        Arc::new(TimestampNanosecondArray::from(vec![1_499_999_999, 1_500_000_000]).with_timezone("+05:00")),
    ];
    for array in arrays {
        let (before, after) = split::by_time(&one(array), micros).unwrap();
        assert_eq!((before.to_table().unwrap().rows(), after.to_table().unwrap().rows()), (1, 1));
    }
}

#[test]
fn a_row_without_time_is_refused_with_its_column() {
    let (before, _) =
        split::by_time(&one(Arc::new(TimestampSecondArray::from(vec![Some(1), None]))), seconds(1)).unwrap();
    insta::assert_snapshot!(before.to_table().unwrap_err(), @"a row has no event time (column: at)");
    let (before, _) = split::by_time(&one(Arc::new(TimestampSecondArray::from(vec![i64::MAX]))), seconds(1)).unwrap();
    insta::assert_snapshot!(before.to_table().unwrap_err(), @"a timestamp is too far away to be told in microseconds (column: at)");
}

#[test]
fn a_split_by_what_is_no_time_is_refused() {
    let error = split::by_time(&one(Arc::new(Float64Array::from(vec![1.0]))), seconds(1)).unwrap_err();
    insta::assert_snapshot!(error, @"the event time is not a timestamp (column: at, type: Float64)");
    let without = Dataset::new(data().to_table().unwrap());
    assert_eq!(split::by_time(&without, seconds(1)).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn random_parts_share_no_row_and_lose_none() {
    let (first, second) = split::random(&data(), 0.5, Seed::new(3)).unwrap();
    let mut all = [rows(&first), rows(&second)].concat();
    assert!(!rows(&first).is_empty() && !rows(&second).is_empty());
    all.sort_by(f64::total_cmp);
    assert_eq!(all, rows(&data()));
    let one_batch = data().with_source(Table::from(data().to_table().unwrap().to_batch().unwrap())).unwrap();
    assert_eq!(rows(&split::random(&one_batch, 0.5, Seed::new(3)).unwrap().0), rows(&first), "batches do not matter");
}

#[test]
fn a_fraction_is_about_that_share_of_the_rows() {
    let many = Int64Array::from_iter_values(0..10_000);
    let batch = RecordBatch::try_from_iter([("row", Arc::new(many) as ArrayRef)]).unwrap();
    let (first, _) = split::random(&Dataset::new(Table::from(batch)), 0.8, Seed::new(0)).unwrap();
    // Five standard deviations of a binomial(10000, 0.8).
    assert!((7_800..=8_200).contains(&first.to_table().unwrap().rows()));
    for bad in [-0.1, 1.1, f64::NAN] {
        assert!(split::random(&data(), bad, Seed::new(0)).is_err());
    }
}
