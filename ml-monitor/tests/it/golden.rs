//! Against scipy and numpy: `tests/golden/generate.py` wrote the numbers.

use ml_monitor::{
    DriftDetector, KolmogorovSmirnov, KsParams, PopulationStability, PsiParams, Reference, ReferenceParams, Sample,
    drift::report::Finding, reference::Frozen,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    ks: Vec<Ks>,
    psi_numeric: Vec<PsiNumeric>,
    psi_categorical: Vec<PsiCategorical>,
    corrected: Vec<Corrected>,
}

#[derive(Deserialize)]
struct Ks {
    name: String,
    reference: Runs,
    current: Runs,
    statistic: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct PsiNumeric {
    name: String,
    bins: usize,
    reference: Runs,
    reference_missing: usize,
    current: Runs,
    current_missing: usize,
    edges: Runs,
    statistic: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct PsiCategorical {
    name: String,
    reference: BTreeMap<String, usize>,
    current: BTreeMap<String, usize>,
    statistic: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Corrected {
    p_values: Vec<f64>,
    adjusted: Vec<f64>,
}

/// Distinct values and how often each is there.
#[derive(Deserialize)]
struct Runs(Vec<(Number, usize)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Infinite(String),
}

impl Runs {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().flat_map(|(number, count)| {
            let value = match number {
                Number::Finite(value) => *value,
                Number::Infinite(text) => text.parse().expect("inf or -inf"),
            };
            std::iter::repeat_n(value, *count)
        })
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/drift.json")).expect("the golden file is of this form")
}

fn numbers(values: &Runs, missing: usize) -> Sample {
    Sample::new().with_numbers("x", values.values().chain(std::iter::repeat_n(f64::NAN, missing))).expect("one column")
}

fn finding(detector: &impl DriftDetector, reference: &Reference, current: &Sample) -> Finding {
    let report = detector.compare(reference, current).expect("columns fit");
    report.columns[0].findings[0].clone()
}

fn assert_is(name: &str, finding: &Finding, statistic: f64, p_value: f64) {
    let got = finding.statistic.expect("defined");
    assert!(
        (got - statistic).abs() <= 1e-12 * statistic.abs().max(1.0),
        "{name}: statistic {got}, expected {statistic}"
    );
    let got = finding.p_value.expect("defined");
    assert!((got - p_value).abs() <= 1e-9 * p_value.max(1e-300), "{name}: p {got}, expected {p_value}");
}

#[test]
fn kolmogorov_smirnov_is_that_of_scipy() {
    let detector = KolmogorovSmirnov::new(KsParams::default()).expect("in range");
    for case in golden().ks {
        let reference =
            Reference::freeze(&numbers(&case.reference, 0), &ReferenceParams::default()).expect("there are rows");
        let finding = finding(&detector, &reference, &numbers(&case.current, 0));
        assert_is(&case.name, &finding, case.statistic, case.p_value);
    }
}

#[test]
fn population_stability_of_numbers_is_that_of_numpy() {
    let detector = PopulationStability::new(PsiParams { min_rows: 1, ..PsiParams::default() }).expect("in range");
    for case in golden().psi_numeric {
        let params = ReferenceParams { bins: case.bins, ..ReferenceParams::default() };
        let reference =
            Reference::freeze(&numbers(&case.reference, case.reference_missing), &params).expect("there are rows");
        let Frozen::Numeric(frozen) = reference.columns()[0].frozen() else { panic!("numbers stay numbers") };
        let edges: Vec<f64> = frozen.edges.iter().copied().map(f64::from).collect();
        let mut expected: Vec<f64> = case.edges.values().collect();
        expected.dedup();
        assert_eq!(edges, expected, "{}", case.name);
        let finding = finding(&detector, &reference, &numbers(&case.current, case.current_missing));
        assert_is(&case.name, &finding, case.statistic, case.p_value);
    }
}

#[test]
fn population_stability_of_categories_is_that_of_numpy() {
    let detector = PopulationStability::new(PsiParams { min_rows: 1, ..PsiParams::default() }).expect("in range");
    let sample = |counts: &BTreeMap<String, usize>| {
        let rows = counts.iter().flat_map(|(name, &count)| std::iter::repeat_n(Some(name), count));
        Sample::new().with_text("c", rows).expect("one column")
    };
    for case in golden().psi_categorical {
        let reference =
            Reference::freeze(&sample(&case.reference), &ReferenceParams::default()).expect("there are rows");
        let finding = finding(&detector, &reference, &sample(&case.current));
        assert_is(&case.name, &finding, case.statistic, case.p_value);
    }
}

#[test]
fn p_values_are_corrected_as_in_scipy() {
    for case in golden().corrected {
        let adjusted = ml_monitor::drift::benjamini_hochberg(&case.p_values);
        for (got, expected) in adjusted.iter().zip(&case.adjusted) {
            assert!((got - expected).abs() <= 1e-12 * expected, "{:?}: {adjusted:?}", case.p_values);
        }
    }
}
