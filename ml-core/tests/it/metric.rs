#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ml_core::metric::{
    BinaryScores, RegressionScores,
    classification::{accuracy, average_precision, brier, f1, log_loss, precision, recall, roc_auc},
    regression::{mae, r2, rmse},
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    binary: Vec<Binary>,
    regression: Vec<Regression>,
}

#[derive(Deserialize)]
struct Binary {
    labels: Vec<bool>,
    probabilities: Vec<f64>,
    weights: Option<Vec<f64>>,
    expected: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Regression {
    labels: Vec<f64>,
    predicted: Vec<f64>,
    weights: Option<Vec<f64>>,
    expected: serde_json::Map<String, serde_json::Value>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/metrics.json")).unwrap()
}

fn close(name: &str, expected: &serde_json::Value, got: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((expected - got).abs() <= 1e-12 * expected.abs().max(1.0), "{name}: {expected} {got}");
}

#[test]
fn classification_metrics_are_those_of_scikit_learn() {
    let cases = golden().binary;
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let (labels, p, w) = (&case.labels, &case.probabilities, case.weights.as_deref());
        let decisions: Vec<bool> = p.iter().map(|p| *p >= 0.5).collect();
        let single = [
            ("accuracy", accuracy(labels, &decisions, w).unwrap()),
            ("precision", precision(labels, &decisions, w).unwrap().unwrap()),
            ("recall", recall(labels, &decisions, w).unwrap().unwrap()),
            ("f1", f1(labels, &decisions, w).unwrap().unwrap()),
            ("roc_auc", roc_auc(labels, p, w).unwrap().unwrap()),
            ("average_precision", average_precision(labels, p, w).unwrap().unwrap()),
            ("log_loss", log_loss(labels, p, w).unwrap()),
            ("brier", brier(labels, p, w).unwrap()),
        ];
        let report = serde_json::to_value(BinaryScores::new(labels, p, w).unwrap()).unwrap();
        for (name, got) in single {
            close(name, &case.expected[name], got);
            close(name, &case.expected[name], report[name].as_f64().unwrap());
        }
    }
}

#[test]
fn regression_metrics_are_those_of_scikit_learn() {
    for case in &golden().regression {
        let (labels, predicted, w) = (&case.labels, &case.predicted, case.weights.as_deref());
        close("rmse", &case.expected["rmse"], rmse(labels, predicted, w).unwrap());
        close("mae", &case.expected["mae"], mae(labels, predicted, w).unwrap());
        close("r2", &case.expected["r2"], r2(labels, predicted, w).unwrap().unwrap());
        let report = RegressionScores::new(labels, predicted, w).unwrap();
        close("r2", &case.expected["r2"], report.r2.unwrap());
    }
}

#[test]
fn input_that_cannot_be_measured_is_refused_with_the_reason() {
    let binary =
        |labels: &[bool], p: &[f64], w: Option<&[f64]>| BinaryScores::new(labels, p, w).unwrap_err().to_string();
    insta::assert_snapshot!(binary(&[], &[], None), @"no rows to measure");
    insta::assert_snapshot!(binary(&[true], &[0.5, 0.5], None), @"labels and predictions have two lengths (labels: 1, predictions: 2)");
    insta::assert_snapshot!(binary(&[true], &[0.5], Some(&[])), @"labels and weights have two lengths (labels: 1, weights: 0)");
    insta::assert_snapshot!(binary(&[true], &[0.5], Some(&[-1.0])), @"a weight is not a number of zero or more (row: 0, weight: -1)");
    insta::assert_snapshot!(binary(&[true], &[0.5], Some(&[f64::NAN])), @"a weight is not a number of zero or more (row: 0, weight: NaN)");
    insta::assert_snapshot!(binary(&[true], &[0.5], Some(&[0.0])), @"the total weight is not a number above zero (total: 0)");
    insta::assert_snapshot!(binary(&[true], &[f64::NAN], None), @"a probability is not a number from 0 to 1 (row: 0, value: NaN)");
    insta::assert_snapshot!(roc_auc(&[true], &[f64::NAN], None).unwrap_err(), @"a value is NaN or infinite (values: scores, row: 0, value: NaN)");
    insta::assert_snapshot!(rmse(&[f64::INFINITY], &[0.0], None).unwrap_err(), @"a value is NaN or infinite (values: labels, row: 0, value: inf)");
    insta::assert_snapshot!(mae(&[0.0], &[f64::NAN], None).unwrap_err(), @"a value is NaN or infinite (values: predictions, row: 0, value: NaN)");
}

/// Labels, coarse scores with many ties, and small whole weights.
fn rows() -> impl Strategy<Value = Vec<(bool, f64, f64)>> {
    prop::collection::vec(
        (any::<bool>(), (0_u8..=10).prop_map(|s| f64::from(s) / 10.0), (0_u8..4).prop_map(f64::from)),
        1..50,
    )
    .prop_filter("some weight", |rows| rows.iter().any(|row| row.2 > 0.0))
}

fn scores(rows: &[(bool, f64, f64)], weighted: bool) -> Vec<Option<f64>> {
    let labels: Vec<bool> = rows.iter().map(|row| row.0).collect();
    let p: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let weights: Vec<f64> = rows.iter().map(|row| row.2).collect();
    let scores = BinaryScores::new(&labels, &p, weighted.then_some(&weights)).unwrap();
    let numbers: Vec<f64> = labels.iter().map(|label| f64::from(u8::from(*label))).collect();
    let errors = RegressionScores::new(&numbers, &p, weighted.then_some(&weights)).unwrap();
    vec![
        Some(scores.accuracy),
        scores.precision,
        scores.recall,
        scores.f1,
        scores.roc_auc,
        scores.average_precision,
        Some(scores.log_loss),
        Some(scores.brier),
        Some(errors.rmse),
        Some(errors.mae),
        errors.r2,
    ]
}

fn assert_same(a: &[Option<f64>], b: &[Option<f64>]) -> Result<(), TestCaseError> {
    for (a, b) in a.iter().zip(b) {
        match (a, b) {
            (Some(a), Some(b)) => prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{a} {b}"),
            (a, b) => prop_assert_eq!(a, b),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter(rows in rows(), seed in any::<u64>()) {
        let mut shuffled = rows.clone();
        ml_core::Seed::new(seed).stream("test").shuffle(&mut shuffled);
        assert_same(&scores(&rows, true), &scores(&shuffled, true))?;
    }

    #[test]
    fn a_weight_is_as_many_rows(rows in rows()) {
        let repeated: Vec<_> = rows
            .iter()
            .flat_map(|row| (0..3).filter(|copy| f64::from(*copy) < row.2).map(move |_| *row))
            .collect();
        assert_same(&scores(&rows, true), &scores(&repeated, false))?;
    }
}
