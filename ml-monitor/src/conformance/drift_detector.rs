//! The contract of [`DriftDetector`].

use crate::{
    drift::{
        DriftDetector,
        report::{ColumnDrift, Count, DriftReport, Outcome},
    },
    reference::{Reference, ReferenceParams},
    sample::Sample,
};

/// Rows of one month: wind and distance are numbers, carrier is text, and every tenth wind and carrier is missing.
fn month(rows: i32, wind_from: i32) -> Sample {
    let some = move |i: i32| i % 10 != 3;
    Sample::new()
        .with_numbers("distance", (0..rows).map(|i| f64::from(i * 31 % 100)))
        .and_then(|sample| {
            let wind = |i: i32| if some(i) { f64::from(wind_from + i * 17 % 50) } else { f64::NAN };
            sample.with_numbers("wind", (0..rows).map(wind))
        })
        .and_then(|sample| {
            let carriers = ["UA", "DL", "AA", "B6"];
            let carrier = |i: i32| some(i).then_some(carriers[usize::try_from(i / 10 % 4).expect("at least zero")]);
            sample.with_text("carrier", (0..rows).map(carrier))
        })
        .expect("three columns of one length")
}

fn frozen() -> Reference {
    Reference::freeze(&month(2_000, 0), &ReferenceParams::default()).expect("there are rows")
}

fn compare(subject: &impl DriftDetector, current: &Sample) -> DriftReport {
    subject.compare(&frozen(), current).expect("whatever the sample holds is a finding")
}

fn column<'a>(report: &'a DriftReport, name: &str) -> &'a ColumnDrift {
    report.column(name).expect("every column of the reference is there")
}

fn is_undecided(column: &ColumnDrift) -> bool {
    let decided = |outcome: &Outcome| matches!(outcome, Outcome::Moved | Outcome::NotMoved);
    !column.findings.is_empty() && !column.findings.iter().any(|finding| decided(&finding.outcome))
}

/// Clause 1: what was frozen is what it was.
pub async fn the_same_data_has_not_moved(subject: impl DriftDetector) {
    let report = compare(&subject, &month(2_000, 0));
    assert!(!report.has_moved(), "{report}");
}

/// Clause 2: what has moved is told, and told from what has not.
pub async fn a_shifted_column_has_moved(subject: impl DriftDetector) {
    let report = compare(&subject, &month(2_000, 50));
    assert!(column(&report, "wind").has_moved(), "{report}");
    assert!(!column(&report, "distance").has_moved(), "{report}");
}

/// Clause 3: a sample is a set of rows.
pub async fn row_order_does_not_matter(subject: impl DriftDetector) {
    let forward = [1.0, 5.0, 9.0, f64::NAN, 70.0, 2.0, 2.0];
    let carriers = [Some("UA"), None, Some("XX"), Some("DL"), Some("UA"), Some("YY"), None];
    let sample = |reversed: bool| {
        let order: Vec<usize> = if reversed { (0..7).rev().collect() } else { (0..7).collect() };
        Sample::new()
            .with_numbers("distance", order.iter().map(|&i| forward[i]))
            .and_then(|sample| sample.with_numbers("wind", order.iter().map(|&i| forward[i])))
            .and_then(|sample| sample.with_text("carrier", order.iter().map(|&i| carriers[i])))
            .expect("three columns of one length")
    };
    assert_eq!(compare(&subject, &sample(false)), compare(&subject, &sample(true)));
}

/// Clause 4: nothing is left out, whatever came.
pub async fn every_reference_column_is_reported(subject: impl DriftDetector) {
    for current in [month(2_000, 0), month(1, 0), month(0, 0), Sample::new()] {
        let report = compare(&subject, &current);
        let names: Vec<&str> = report.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["distance", "wind", "carrier"]);
        assert!(report.columns.iter().all(|column| !column.findings.is_empty()));
    }
}

/// Clause 5: nothing says nothing.
pub async fn a_sample_without_rows_is_undefined(subject: impl DriftDetector) {
    let report = compare(&subject, &month(0, 0));
    assert!(!report.has_moved());
    assert!(report.columns.iter().all(is_undecided), "{report}");
}

/// Clause 6: a missing value is not lost, and is not drift where it is usual.
pub async fn missing_values_are_counted(subject: impl DriftDetector) {
    let report = compare(&subject, &month(1_000, 0));
    let wind = column(&report, "wind");
    assert_eq!(wind.reference, Count { rows: 2_000, missing: 200 });
    assert_eq!(wind.current, Some(Count { rows: 1_000, missing: 100 }));
    assert!(!report.has_moved(), "{report}");
}

/// Clause 7: a schema that drifts is told, not failed on.
pub async fn schema_drift_is_a_finding(subject: impl DriftDetector) {
    let current = Sample::new()
        .with_text("wind", (0..500).map(|_| Some("strong")))
        .and_then(|sample| sample.with_numbers("carrier", (0..500).map(f64::from)))
        .and_then(|sample| sample.with_numbers("gust", (0..500).map(f64::from)))
        .expect("three columns of one length");
    let report = compare(&subject, &current);
    for name in ["distance", "wind", "carrier"] {
        assert!(is_undecided(column(&report, name)), "{report}");
    }
    assert_eq!(column(&report, "distance").current, None);
    assert_eq!(report.unknown, ["gust"]);
}

/// Clause 8: a detector has no memory.
pub async fn comparisons_repeat_across_threads(subject: impl DriftDetector) {
    let current = month(500, 20);
    let first = compare(&subject, &current);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| compare(&subject, &current))).collect();
        for other in others {
            assert_eq!(other.join().expect("no comparison panics"), first);
        }
    });
}

/// Runs the suite of [`DriftDetector`](crate::DriftDetector) over a detector.
#[macro_export]
macro_rules! drift_detector_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::drift_detector, $factory, [$($($known),*)?];
            the_same_data_has_not_moved,
            a_shifted_column_has_moved,
            row_order_does_not_matter,
            every_reference_column_is_reported,
            a_sample_without_rows_is_undefined,
            missing_values_are_counted,
            schema_drift_is_a_finding,
            comparisons_repeat_across_threads,
        }
    };
}
