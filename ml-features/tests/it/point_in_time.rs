//! The point-in-time join: readable cases, two independent oracles, and properties.

use ml_core::{
    Error, Table,
    arrow::{
        array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray},
        datatypes::{DataType, Int64Type},
    },
};
use ml_features::{Entity, FeatureView, PointInTimeJoin};
use proptest::prelude::*;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// One row of the view.
#[derive(Debug, Clone)]
struct Row {
    origin: String,
    gate: i64,
    at: i64,
    known: i64,
    value: i64,
}

/// One row of the spine.
#[derive(Debug, Clone)]
struct Label {
    origin: Option<String>,
    gate: i64,
    at: i64,
}

fn view(ttl: Option<u64>, is_bitemporal: bool) -> FeatureView {
    let keys = [("origin", DataType::Utf8), ("gate", DataType::Int64)];
    let entity = Entity::new("gate".parse().expect("a name"), keys).expect("valid");
    let view =
        FeatureView::new("v".parse().expect("a name"), entity, "at", [("value", DataType::Int64)]).expect("valid");
    let view = if is_bitemporal { view.with_created_time("known").expect("valid") } else { view };
    ttl.map_or(view.clone(), |ttl| view.with_ttl(Duration::from_secs(ttl)))
}

fn seconds(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampSecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn rows_batch(rows: &[Row]) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("origin", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.origin))) as ArrayRef),
        ("gate", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.gate)))),
        ("at", seconds(rows.iter().map(|row| row.at))),
        ("known", seconds(rows.iter().map(|row| row.known))),
        ("value", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.value)))),
    ])
    .expect("columns of one length")
}

fn spine(labels: &[Label]) -> Table {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("origin", Arc::new(labels.iter().map(|l| l.origin.as_deref()).collect::<StringArray>()) as ArrayRef, true),
        ("gate", Arc::new(Int64Array::from_iter_values(labels.iter().map(|l| l.gate))), false),
        ("label", seconds(labels.iter().map(|l| l.at)), false),
    ]);
    Table::from(batch.expect("columns of one length"))
}

/// Joins, pushing a few rows at a time.
fn join(view: &FeatureView, rows: &[Row], labels: &[Label], pushed_at_once: usize) -> Vec<Option<i64>> {
    let mut join =
        PointInTimeJoin::new(view, &["value".parse().expect("a name")], &spine(labels), "label").expect("fits");
    rows.chunks(pushed_at_once).for_each(|rows| join.push(&rows_batch(rows)).expect("rows of the view"));
    join.finish().expect("small")[0].as_primitive::<Int64Type>().iter().collect()
}

/// The definition, word by word.
fn reference(view: &FeatureView, rows: &[Row], label: &Label) -> Option<i64> {
    let is_bitemporal = view.created_time().is_some();
    let known = |row: &Row| if is_bitemporal { row.known } else { 0 };
    let is_visible = |row: &&(usize, &Row)| {
        let row = row.1;
        Some(&row.origin) == label.origin.as_ref()
            && row.gate == label.gate
            && row.at <= label.at
            && (!is_bitemporal || row.known <= label.at)
    };
    let arrived: Vec<(usize, &Row)> = rows.iter().enumerate().collect();
    let (_, best) = arrived.iter().filter(is_visible).max_by_key(|(arrival, row)| (row.at, known(row), *arrival))?;
    let age = best.at.abs_diff(label.at);
    view.ttl().is_none_or(|ttl| age <= ttl.as_secs()).then_some(best.value)
}

/// Checks a case written as a table: rows as `at known value`, labels as `at expected`, all of one key.
#[track_caller]
fn case(view: &FeatureView, rows: &str, labels: &str) {
    let cells = |text: &str| -> Vec<Vec<Option<i64>>> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.split_whitespace().map(|cell| cell.parse().ok()).collect()).collect()
    };
    let number = |cell: Option<i64>| cell.expect("a number");
    let row = |row: Vec<Option<i64>>| Row {
        origin: "JFK".into(),
        gate: 1,
        at: number(row[0]),
        known: number(row[1]),
        value: number(row[2]),
    };
    let rows: Vec<Row> = cells(rows).into_iter().map(row).collect();
    let (labels, expected): (Vec<_>, Vec<_>) = cells(labels)
        .into_iter()
        .map(|label| (Label { origin: Some("JFK".into()), gate: 1, at: number(label[0]) }, label[1]))
        .unzip();
    for pushed_at_once in [1, rows.len().max(1)] {
        assert_eq!(join(view, &rows, &labels, pushed_at_once), expected, "{pushed_at_once} rows at once");
    }
}

#[test]
fn a_label_sees_what_happened_at_or_before_it() {
    let rows = "
        10 10 1
        20 20 2";
    let labels = "
        20 2
        9  -
        10 1
        19 1
        99 2";
    case(&view(None, false), rows, labels);
    case(&view(None, true), rows, labels);
}

#[test]
fn rows_may_come_in_any_order_of_time() {
    let rows = "
        30 30 3
        10 10 1
        20 20 2";
    case(&view(None, false), rows, "10 1 \n 25 2 \n 31 3");
}

#[test]
fn a_row_holds_up_to_its_ttl_and_no_longer() {
    case(&view(Some(5), false), "10 10 1", "10 1 \n 15 1 \n 16 -");
    // A younger row that is too old is not replaced by an older one, known later.
    case(&view(Some(5), true), "10 10 1 \n 8 14 2", "13 1 \n 15 1 \n 16 -");
    case(&view(Some(0), false), "10 10 1", "9 - \n 10 1 \n 11 -");
}

#[test]
fn of_equal_event_times_the_later_known_wins_then_the_last_to_arrive() {
    case(&view(None, true), "10 12 1 \n 10 11 2", "10 - \n 11 2 \n 12 1");
    case(&view(None, true), "10 12 1 \n 10 12 2", "12 2");
    case(&view(None, false), "10 12 1 \n 10 11 2", "10 2");
}

#[test]
fn late_data_is_seen_only_after_it_arrived() {
    case(&view(None, true), "10 10 1 \n 20 50 2", "25 1 \n 49 1 \n 50 2");
}

#[test]
fn a_correction_of_the_past_does_not_hide_what_came_later() {
    // What happened at 10 is corrected at 40; what happened at 20 still is the latest.
    let rows = "
        10 10 1
        20 20 2
        10 40 3";
    case(&view(None, true), rows, "15 1 \n 20 2 \n 45 2");
    // Seen alone, the correction counts from 40 on.
    case(&view(None, true), "10 10 1 \n 10 40 3", "39 1 \n 40 3");
}

#[test]
fn a_forecast_is_not_joined_before_its_event() {
    // Known at 5, about 20.
    case(&view(None, true), "10 10 1 \n 20 5 2", "9 - \n 19 1 \n 20 2");
}

#[test]
fn a_spine_row_without_key_gets_null() {
    let rows = [Row { origin: "JFK".into(), gate: 1, at: 1, known: 1, value: 7 }];
    let labels = [None, Some("JFK".into())].map(|origin| Label { origin, gate: 1, at: 9 });
    assert_eq!(join(&view(None, true), &rows, &labels, 1), [None, Some(7)]);
}

#[test]
fn what_does_not_fit_is_named() {
    let view = view(None, true);
    let feature = ["value".parse().expect("a name")];
    let labels = [Label { origin: Some("JFK".into()), gate: 1, at: 9 }];
    let told = |result: Result<PointInTimeJoin, Error>| result.expect_err("does not fit").to_string();

    let nameless = spine(&labels).select(&["origin", "label"]).expect("columns");
    insta::assert_snapshot!(told(PointInTimeJoin::new(&view, &feature, &nameless, "label")),
        @"a column is missing (column: gate, columns: origin, label, entity: gate)");
    let narrow = spine(&labels).with_column("gate", Arc::new(Float64Array::from(vec![1.0]))).expect("one row");
    insta::assert_snapshot!(told(PointInTimeJoin::new(&view, &feature, &narrow, "label")),
        @"a column has another type than declared (column: gate, expected: Int64, got: Float64, entity: gate)");
    let naive = spine(&labels).with_column("label", Arc::new(TimestampSecondArray::from(vec![9]))).expect("one row");
    insta::assert_snapshot!(told(PointInTimeJoin::new(&view, &feature, &naive, "label")),
        @"a time column has no time zone (type: Timestamp(s), column: label)");

    let mut join = PointInTimeJoin::new(&view, &feature, &spine(&labels), "label").expect("fits");
    let rows = Table::from(rows_batch(&[Row { origin: "JFK".into(), gate: 1, at: 1, known: 1, value: 7 }]));
    let unknown: ArrayRef = Arc::new(TimestampSecondArray::from(vec![None]).with_timezone("UTC"));
    let timeless = rows.with_column("at", unknown).and_then(|rows| rows.to_batch()).expect("one row");
    insta::assert_snapshot!(join.push(&timeless).expect_err("null"),
        @"a key or time of a feature row is null (column: at, nulls: 1, view: v)");
}

/// `tests/golden/point_in_time.json`, made by the script beside it.
#[derive(Deserialize)]
struct Golden {
    ttl_seconds: u64,
    rows: GoldenRows,
    spine: GoldenSpine,
    expected: GoldenExpected,
}

#[derive(Deserialize)]
struct GoldenRows {
    origin: Vec<String>,
    gate: Vec<i64>,
    at: Vec<i64>,
    known: Vec<i64>,
    value: Vec<i64>,
}

#[derive(Deserialize)]
struct GoldenSpine {
    origin: Vec<String>,
    gate: Vec<i64>,
    label: Vec<i64>,
}

#[derive(Deserialize)]
struct GoldenExpected {
    plain: GoldenValues,
    bitemporal: GoldenValues,
}

#[derive(Deserialize)]
struct GoldenValues {
    forever: Vec<Option<i64>>,
    ttl: Vec<Option<i64>>,
}

#[test]
fn the_join_agrees_with_pandas_and_duckdb() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/point_in_time.json")).expect("the script's form");
    let (r, s) = (&golden.rows, &golden.spine);
    let rows: Vec<Row> = (0..r.at.len())
        .map(|i| Row {
            origin: r.origin[i].clone(),
            gate: r.gate[i],
            at: r.at[i],
            known: r.known[i],
            value: r.value[i],
        })
        .collect();
    let labels: Vec<Label> = (0..s.label.len())
        .map(|i| Label { origin: Some(s.origin[i].clone()), gate: s.gate[i], at: s.label[i] })
        .collect();
    let ttl = Some(golden.ttl_seconds);
    assert_eq!(join(&view(None, false), &rows, &labels, 64), golden.expected.plain.forever);
    assert_eq!(join(&view(ttl, false), &rows, &labels, 64), golden.expected.plain.ttl);
    assert_eq!(join(&view(None, true), &rows, &labels, 64), golden.expected.bitemporal.forever);
    assert_eq!(join(&view(ttl, true), &rows, &labels, 64), golden.expected.bitemporal.ttl);
}

prop_compose! {
    fn any_row()(origin in "[ab]?", gate in 0..2_i64, at in 0..30_i64, known in -5..40_i64) -> Row {
        Row { origin, gate, at, known, value: 0 }
    }
}

prop_compose! {
    fn any_label()(origin in prop::option::of("[ab]?"), gate in 0..2_i64, at in -5..50_i64) -> Label {
        Label { origin, gate, at }
    }
}

proptest! {
    #[test]
    fn every_label_gets_what_the_definition_says(
        mut rows in prop::collection::vec(any_row(), 0..60),
        labels in prop::collection::vec(any_label(), 0..30),
        ttl in prop::option::of(0..20_u64),
        is_bitemporal: bool,
        pushed_at_once in 1..20_usize,
    ) {
        (0..).zip(&mut rows).for_each(|(value, row)| row.value = value);
        let view = view(ttl, is_bitemporal);
        let joined = join(&view, &rows, &labels, pushed_at_once);
        let expected: Vec<_> = labels.iter().map(|label| reference(&view, &rows, label)).collect();
        prop_assert_eq!(&joined, &expected);
        // The promise by itself, whatever the reference says.
        for (label, value) in labels.iter().zip(joined).filter_map(|(label, value)| Some((label, value?))) {
            let row = rows.iter().find(|row| row.value == value).expect("a value of a row");
            prop_assert!(row.at <= label.at && (!is_bitemporal || row.known <= label.at));
        }
    }
}
