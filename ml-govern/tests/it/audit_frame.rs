use ml_core::{
    ErrorKind, Table,
    arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray},
};
use ml_govern::{AuditColumns, AuditFrame, audit_frame::MISSING};
use std::sync::Arc;

fn table(column: &str, values: ArrayRef) -> Table {
    let score = Arc::new(Float64Array::from(vec![0.5, 0.499, 1.0]));
    let group = Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]));
    let table =
        Table::from(RecordBatch::try_from_iter([("score", score as ArrayRef), ("group", group)]).expect("batch"));
    table.with_column(column, values).expect("three rows")
}

fn refused(column: &str, values: ArrayRef, columns: &AuditColumns) -> String {
    let error = AuditFrame::from_table(&table(column, values), columns).expect_err("a bad column");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.to_string()
}

#[test]
fn columns_of_any_type_are_read() {
    let columns = AuditColumns::score("score", 0.5).with_label("label").with_sensitive("group");
    for labels in [
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as ArrayRef,
        Arc::new(Int64Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(Float64Array::from(vec![Some(1.0), None, Some(-0.0)])),
    ] {
        let frame = AuditFrame::from_table(&table("label", labels), &columns).expect("a whole frame");
        assert_eq!(frame.decisions(), [true, false, true], "the threshold itself selects");
        assert_eq!(frame.labels(), Some(&[Some(true), None, Some(false)][..]));
        assert_eq!(frame.groups("group"), Some(&[MISSING.to_owned(), "a".to_owned()][..]));
        assert_eq!(frame.group_of_rows("group"), Some(&[1, 0, 1][..]));
    }
}

#[test]
fn bad_columns_are_named() {
    let score = AuditColumns::score("score", 0.5);
    for (score_values, expected) in [
        (
            vec![Some(0.1), Some(f64::NAN), Some(0.2)],
            "a score is not a probability (row: 1, score: NaN, column: score)",
        ),
        (vec![Some(0.1), Some(0.2), Some(-0.1)], "a score is not a probability (row: 2, score: -0.1, column: score)"),
        (vec![None, Some(0.2), Some(0.1)], "a value is null (row: 0, column: score)"),
    ] {
        assert_eq!(refused("score", Arc::new(Float64Array::from(score_values)), &score), expected);
    }
    let label = score.clone().with_label("label");
    assert_eq!(
        refused("label", Arc::new(Float64Array::from(vec![0.0, 1.0, f64::NAN])), &label),
        "neither 0 nor 1 (row: 2, value: NaN, column: label)"
    );
    assert_eq!(
        refused("label", Arc::new(StringArray::from(vec!["yes", "no", "no"])), &label),
        "a column holds no numbers (type: Utf8, column: label)"
    );
    assert_eq!(
        refused("other", Arc::new(Int64Array::from(vec![1, 2, 3])), &label),
        "no such column (column: label, columns: score, group, other)"
    );
    let decision = AuditColumns::decision("decision");
    assert_eq!(
        refused("decision", Arc::new(BooleanArray::from(vec![Some(true), None, None])), &decision),
        "a value is null (row: 1, column: decision)"
    );
    let weight = score.with_weight("weight");
    for (weights, expected) in [
        (vec![1.0, -1.0, 1.0], "a weight is not a number of zero or more (row: 1, weight: -1, column: weight)"),
        (
            vec![1.0, 1.0, f64::INFINITY],
            "a weight is not a number of zero or more (row: 2, weight: inf, column: weight)",
        ),
        (vec![1e300, 1e300, 1.0], "the weights sum to more than 2^53 (column: weight)"),
    ] {
        assert_eq!(refused("weight", Arc::new(Float64Array::from(weights)), &weight), expected);
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let frame = AuditFrame::from_decisions([true, false]);
    for error in [
        frame.clone().with_labels([Some(true)]).expect_err("one label"),
        frame.clone().with_weights(&[1.0; 3]).expect_err("three weights"),
        frame.clone().with_sensitive("sex", [Some("F")]).expect_err("one value"),
        frame.clone().with_intersection(&["sex"]).expect_err("no such attribute"),
        AuditFrame::from_scores(&[0.5], f64::NAN).expect_err("no threshold"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let frame = frame.with_sensitive("sex", [Some("F"), Some("M")]).expect("two values");
    let twice = frame.with_sensitive("sex", [Some("F"), Some("M")]).expect_err("twice");
    assert_eq!(twice.to_string(), "the frame has this attribute already (attribute: sex)");
}

#[test]
fn intersections_name_all_their_parts() {
    let frame = AuditFrame::from_decisions([true, false, true])
        .with_sensitive("sex", [Some("F"), Some("M"), None])
        .and_then(|frame| frame.with_sensitive("race", [Some("A"), Some("B"), Some("B")]))
        .and_then(|frame| frame.with_intersection(&["sex", "race"]))
        .expect("a whole frame");
    assert_eq!(frame.groups("sex × race").expect("added"), ["(missing) × B", "F × A", "M × B"]);
}
