//! The view and the rows that the suites work on.

use crate::{Entity, EntityKey, FeatureView};
use ml_core::{
    arrow::{
        array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, TimestampSecondArray},
        datatypes::DataType,
    },
    time::EventTime,
};
use std::sync::Arc;

/// A row of the view: airport, gate, second of the event, second of its becoming known, features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) origin: &'static str,
    pub(super) gate: i32,
    pub(super) at: i64,
    pub(super) known: i64,
    pub(super) wind: Option<f64>,
    pub(super) note: Option<&'static str>,
}

/// A row of gate 1 that was known when it happened.
pub(super) fn row(origin: &'static str, at: i64, wind: f64) -> Row {
    Row { origin, gate: 1, at, known: at, wind: Some(wind), note: None }
}

impl Row {
    pub(super) fn known(mut self, second: i64) -> Self {
        self.known = second;
        self
    }
}

pub(super) fn view(name: &str) -> FeatureView {
    let keys = [("origin", DataType::Utf8), ("gate", DataType::Int32)];
    let entity = Entity::new("gate".parse().expect("a name"), keys).expect("valid");
    let features = [("wind", DataType::Float64), ("note", DataType::Utf8)];
    FeatureView::new(name.parse().expect("a name"), entity, "at", features)
        .and_then(|view| view.with_created_time("known"))
        .expect("valid")
}

pub(super) fn seconds(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampSecondArray::from_iter_values(values).with_timezone("UTC"))
}

pub(super) fn batch(rows: &[Row]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([
        ("origin", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.origin))) as ArrayRef, false),
        ("gate", Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.gate))), false),
        ("at", seconds(rows.iter().map(|r| r.at)), false),
        ("known", seconds(rows.iter().map(|r| r.known)), false),
        ("wind", Arc::new(rows.iter().map(|r| r.wind).collect::<Float64Array>()), true),
        ("note", Arc::new(rows.iter().map(|r| r.note).collect::<StringArray>()), true),
    ])
    .expect("columns of one length")
}

/// Batches that do not fit the view, each with what is wrong.
pub(super) fn misfits() -> Vec<(&'static str, RecordBatch)> {
    let good = batch(&[row("JFK", 1, 1.0), row("LGA", 2, 2.0)]);
    let without = |name: &str| {
        let kept: Vec<usize> = (0..good.num_columns()).filter(|&at| good.schema().field(at).name() != name).collect();
        good.project(&kept).expect("columns that are there")
    };
    let with = |name: &str, column: ArrayRef| {
        let columns = good.schema_ref().fields().iter().map(|f| f.name().clone()).zip(good.columns().iter().cloned());
        let columns = columns.map(|(n, c)| if n == name { (n, column.clone()) } else { (n, c) });
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    };
    vec![
        ("a feature is missing", without("wind")),
        ("a key is missing", without("gate")),
        ("the event time is missing", without("at")),
        ("a feature has another type", with("wind", Arc::new(Int32Array::from(vec![1, 2])))),
        ("a key has another type", with("gate", Arc::new(Float64Array::from(vec![1.0, 2.0])))),
        ("a key is null", with("origin", Arc::new(StringArray::from(vec![Some("JFK"), None])))),
        ("a time has no zone", with("at", Arc::new(TimestampSecondArray::from(vec![1, 2])))),
        ("a time is null", with("at", Arc::new(TimestampSecondArray::from(vec![Some(1), None]).with_timezone("UTC")))),
    ]
}

pub(super) fn keys(origins: &[&'static str]) -> Vec<EntityKey> {
    let rows: Vec<Row> = origins.iter().map(|origin| row(origin, 0, 0.0)).collect();
    let keys = EntityKey::encode(view("any").entity(), &batch(&rows)).expect("rows of the view");
    keys.into_iter().flatten().collect()
}

pub(super) fn at(second: i64) -> EventTime {
    EventTime::from_micros(second * 1_000_000)
}
