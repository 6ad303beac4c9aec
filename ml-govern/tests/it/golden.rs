//! Against fairlearn, scipy and statsmodels; see `tests/golden/fairness.py`.

use ml_core::{
    Table,
    arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray},
};
use ml_govern::{
    AuditColumns, AuditFrame, BiasAuditor, GroupFairness, GroupFairnessParams,
    bias::{Disparity, Interval, Measure},
};
use serde_json::Value;
use std::sync::Arc;

const DATA: &str = include_str!("../golden/fairness.csv");
const EXPECTED: &str = include_str!("../golden/fairness.json");

fn table() -> Table {
    let mut lines = DATA.lines();
    let header: Vec<_> = lines.next().expect("a header").split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let columns = header.iter().enumerate().map(|(i, name)| {
        let values = rows.iter().map(|row| row[i]);
        let column: ArrayRef = match *name {
            "sex" | "race" => Arc::new(StringArray::from_iter_values(values)),
            _ => Arc::new(Float64Array::from_iter_values(values.map(|value| value.parse::<f64>().expect("a number")))),
        };
        (*name, column)
    });
    Table::from(RecordBatch::try_from_iter(columns).expect("one length"))
}

#[test]
fn rates_gaps_and_intervals_are_those_of_independent_libraries() {
    let expected: Value = serde_json::from_str(EXPECTED).expect("JSON");
    let auditor =
        GroupFairness::new(GroupFairnessParams { minimum_rows: 1, ..Default::default() }).expect("valid parameters");
    let columns = AuditColumns::decision("selected").with_label("label").with_sensitive("sex").with_sensitive("race");
    let mut compared = 0;
    for (case, columns) in [("unweighted", columns.clone()), ("weighted", columns.with_weight("weight"))] {
        let frame = AuditFrame::from_table(&table(), &columns)
            .and_then(|frame| frame.with_intersection(&["sex", "race"]))
            .expect("a whole frame");
        let report = auditor.audit(&frame).expect("rows");
        for (attribute, expected) in expected[case].as_object().expect("attributes") {
            let part = report.attribute(attribute).expect("audited");
            for (name, expected) in expected["groups"].as_object().expect("groups") {
                let group = part.group(name).expect("a group of the oracle");
                assert_eq!(Some(group.cells.rows()), expected["rows"].as_f64());
                for (rate, measure) in [
                    ("selection_rate", &group.selection_rate),
                    ("true_positive_rate", &group.true_positive_rate),
                    ("false_positive_rate", &group.false_positive_rate),
                    ("accuracy", &group.accuracy),
                ] {
                    let at = format!("{case} {attribute} {name} {rate}");
                    assert_close(measure.value(), &expected[rate]["value"], &at);
                    if expected[rate]["wilson"].is_array() {
                        assert_interval(measure, &expected[rate]["wilson"], &at);
                    }
                    compared += 1;
                }
            }
            assert_eq!(part.groups.len(), expected["groups"].as_object().expect("groups").len());
            for disparity in Disparity::ALL {
                let key = serde_json::to_value(disparity).expect("a name");
                let key = key.as_str().expect("a name");
                let measure = &part.gap(disparity).measure;
                assert_close(measure.value(), &expected[key], &format!("{case} {attribute} {key}"));
            }
            let difference = &part.gap(Disparity::DemographicParityDifference).measure;
            assert_interval(difference, &expected["demographic_parity_difference_newcombe"], "newcombe");
            let ratio = &part.gap(Disparity::DemographicParityRatio).measure;
            assert_interval(ratio, &expected["demographic_parity_ratio_interval"], "ratio");
        }
    }
    assert_eq!(compared, 2 * 4 * (2 + 4 + 8));
}

fn assert_interval(measure: &Measure, expected: &Value, at: &str) {
    let Interval { low, high } = measure.interval().unwrap_or_else(|| panic!("{at} is undefined"));
    assert_close(Some(low), &expected[0], at);
    assert_close(Some(high), &expected[1], at);
}

fn assert_close(got: Option<f64>, expected: &Value, at: &str) {
    let (got, expected) = (got.unwrap_or(f64::NAN), expected.as_f64().unwrap_or_else(|| panic!("{at}: no oracle")));
    assert!((got - expected).abs() <= 1e-12, "{at}: {got} is not {expected}");
}
