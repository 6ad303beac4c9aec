//! Columns that break monitors.

use ml_monitor::{
    DriftDetector, DriftReport, KolmogorovSmirnov, KsParams, Panel, PopulationStability, PsiParams, Reference,
    ReferenceParams, Sample, drift::report::Outcome,
};
use std::sync::Arc;

fn compare(reference: &Sample, current: &Sample) -> DriftReport {
    let reference = Reference::freeze(reference, &ReferenceParams::default()).expect("there are rows");
    let panel = Panel::new(vec![
        Arc::new(KolmogorovSmirnov::new(KsParams::default()).expect("in range")),
        Arc::new(PopulationStability::new(PsiParams::default()).expect("in range")),
    ]);
    panel.and_then(|panel| panel.compare(&reference, current)).expect("whatever the sample holds is a finding")
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Sample {
    Sample::new().with_numbers("x", values).expect("one column")
}

fn text(values: impl IntoIterator<Item = &'static str>) -> Sample {
    Sample::new().with_text("x", values.into_iter().map(Some)).expect("one column")
}

/// The outcomes of both methods, in words.
fn outcomes(report: &DriftReport) -> [String; 2] {
    [0, 1].map(|at| report.columns[0].findings[at].outcome.to_string())
}

#[test]
fn a_constant_moves_up_and_down_and_stays() {
    let constant = numbers([4.0; 300]);
    assert_eq!(outcomes(&compare(&constant, &numbers([4.0; 200]))), ["not moved", "not moved"]);
    assert_eq!(outcomes(&compare(&constant, &numbers([4.5; 200]))), ["moved", "moved"]);
    assert_eq!(outcomes(&compare(&constant, &numbers([3.5; 200]))), ["moved", "moved"]);
}

#[test]
fn a_column_that_goes_missing_has_moved() {
    let all_missing = numbers([f64::NAN; 200]);
    let some = numbers((0..200).map(f64::from));
    assert_eq!(outcomes(&compare(&some, &all_missing)), ["undefined: there are no values", "moved"]);
    assert_eq!(outcomes(&compare(&all_missing, &some)), ["undefined: the reference has no values", "moved"]);
    assert_eq!(outcomes(&compare(&all_missing, &all_missing)), ["undefined: the reference has no values", "not moved"]);
}

#[test]
fn a_handful_of_rows_is_not_drift() {
    let reference = numbers((0..2000).map(f64::from));
    for rows in 1..5 {
        let report = compare(&reference, &numbers((0..rows).map(|i| 900.0 + f64::from(i))));
        assert_eq!(outcomes(&report), ["not moved", "undefined: there are fewer than 50 rows"]);
    }
}

#[test]
fn a_million_rows_do_not_make_a_hair_a_drift() {
    let reference = numbers((0..100_000).map(|i| f64::from(i % 1000)));
    let report = compare(&reference, &numbers((0..1_000_000).map(|i| f64::from(i % 1000) + 20.0)));
    assert!(report.columns[0].findings[0].p_value.expect("defined") < 0.01, "the p-value alone would flag it");
    assert_eq!(outcomes(&report), ["not moved", "not moved"]);
}

#[test]
fn infinities_are_values() {
    let reference = numbers((0..300).map(|i| if i % 3 == 0 { f64::INFINITY } else { f64::from(i) }));
    assert_eq!(outcomes(&compare(&reference, &reference)), ["not moved", "not moved"]);
    let report = compare(&reference, &numbers([f64::NEG_INFINITY; 100]));
    assert_eq!(outcomes(&report), ["moved", "moved"]);
    let infinite = numbers([f64::INFINITY; 50]);
    assert_eq!(compare(&infinite, &infinite).columns[0].picture, None, "there is no axis to draw it on");
}

#[test]
fn categories_have_no_order_but_have_shares() {
    let reference = text((0..400).map(|i| ["UA", "DL"][i % 2]));
    let no_order = "not applicable: categories have no order";
    assert_eq!(outcomes(&compare(&reference, &reference)), [no_order, "not moved"]);
    let unseen = text((0..400).map(|i| ["UA", "DL", "XX"][i % 3]));
    assert_eq!(outcomes(&compare(&reference, &unseen)), [no_order, "moved"]);
}

#[test]
fn many_categories_in_few_rows_are_not_drift() {
    let names: Vec<String> = (0..500).map(|i| format!("airport {i}")).collect();
    let sample = |step: usize, rows: usize| {
        Sample::new().with_text("x", (0..rows).map(|i| Some(&names[i * step % 500]))).expect("one column")
    };
    let report = compare(&sample(1, 5_000), &sample(7, 250));
    assert!(report.columns[0].findings[1].statistic.expect("defined") > 0.2, "the index alone would flag it");
    assert!(!report.has_moved(), "{report}");
}

#[test]
fn single_and_double_precision_are_the_same_values() {
    let steps = |i: u32| f64::from(i % 10) * 0.1;
    let training = numbers((0..500).map(steps));
    #[expect(clippy::cast_possible_truncation, reason = "what the wire does")]
    let serving = numbers((0..500).map(|i| f64::from(steps(i) as f32)));
    let report = compare(&training, &serving);
    assert_eq!(report.columns[0].findings[0].statistic, Some(0.0), "{report}");
}

#[test]
fn the_report_reads_as_a_table() {
    let reference = Sample::new()
        .with_numbers("wind", (0..500).map(|i| f64::from(i % 50)))
        .and_then(|sample| sample.with_text("carrier", (0..500).map(|i| Some(["UA", "DL"][i % 2]))))
        .and_then(|sample| sample.with_numbers("gust\u{1b}[2J", (0..500).map(f64::from)))
        .expect("three columns of one length");
    let current = Sample::new()
        .with_numbers("wind", (0..200).map(|i| if i % 10 == 0 { f64::NAN } else { f64::from(i % 50 + 25) }))
        .and_then(|sample| sample.with_text("carrier", (0..200).map(|i| Some(["UA", "DL"][i % 2]))))
        .and_then(|sample| sample.with_text("season", (0..200).map(|_| Some("winter"))))
        .expect("three columns of one length");
    let report = compare(&reference, &current);
    insta::assert_snapshot!(report);

    let json = serde_json::to_string(&report).expect("json");
    assert_eq!(serde_json::from_str::<DriftReport>(&json).expect("own json").to_string(), report.to_string());
    assert_eq!(report.undefined().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["gust\u{1b}[2J"]);
    assert_eq!(report.columns[2].findings[0].outcome, Outcome::Undefined("the column is missing".into()),);
}
