//! The contract of [`BiasAuditor`].

use crate::{
    AuditFrame, BiasAuditor, BiasReport,
    audit_frame::MISSING,
    bias::{Disparity, Gap, GroupReport, Measure},
};
use ml_core::{ErrorKind, Seed};

/// Clause 1: a shuffled frame has the same report.
pub async fn row_order_does_not_matter(subject: impl BiasAuditor) {
    let mut rows = unequal();
    let report = audit(&subject, &rows);
    Seed::new(5).stream("rows").shuffle(&mut rows);
    assert_eq!(audit(&subject, &rows), report);
    rows.reverse();
    assert_eq!(audit(&subject, &rows), report);
}

/// Clause 2: equal groups differ by nothing.
pub async fn equal_groups_have_no_disparity(subject: impl BiasAuditor) {
    let rows: Vec<_> = ["A", "B", "C"].into_iter().flat_map(|group| rows(group, [120, 40, 90, 50])).collect();
    let report = audit(&subject, &rows);
    for disparity in Disparity::ALL {
        let expected = if disparity.is_ratio() { 1.0 } else { 0.0 };
        let measure = &report.attributes[0].gap(disparity).measure;
        assert_eq!(measure.value(), Some(expected), "{disparity}");
        let interval = measure.interval().expect("defined");
        assert!(interval.low <= expected && expected <= interval.high, "{disparity}: {interval:?}");
    }
}

/// Clause 3: groups under other names, in another order, have the same numbers.
pub async fn names_do_not_change_the_numbers(subject: impl BiasAuditor) {
    let names = [("A", "<b>z</b>"), ("B", "Ω"), ("C", "")];
    let renamed: Vec<_> = unequal()
        .into_iter()
        .map(|row| Row { group: names.iter().find(|(old, _)| row.group == Some(*old)).map(|(_, new)| *new), ..row })
        .collect();
    let (before, after) = (audit(&subject, &unequal()), audit(&subject, &renamed));
    for (old, new) in names {
        let (old, new) = (group(&before, old), group(&after, new));
        assert_eq!((old.cells, &old.selection_rate, &old.accuracy), (new.cells, &new.selection_rate, &new.accuracy));
    }
    for disparity in Disparity::ALL {
        assert_eq!(gap(&before, disparity).measure, gap(&after, disparity).measure, "{disparity}");
    }
}

/// Clause 4: a group below the minimum is shown, and the comparisons are those without it.
pub async fn small_groups_are_shown_and_not_compared(subject: impl BiasAuditor) {
    let without = audit(&subject, &unequal());
    let mut with = unequal();
    with.push(Row { group: Some("tiny"), selected: true, label: Some(false), weight: 1.0 });
    let report = audit(&subject, &with);
    for group in &report.attributes[0].groups {
        assert_eq!(group.is_compared, group.cells.rows() >= f64::from(report.minimum_rows), "{}", group.group);
    }
    let tiny = group(&report, "tiny");
    assert_eq!(tiny.selection_rate.value(), Some(1.0));
    if !tiny.is_compared {
        for disparity in Disparity::ALL {
            assert_eq!(gap(&report, disparity), gap(&without, disparity), "{disparity}");
        }
    }
}

/// Clause 5: a rate of nothing and a comparison of nothing have no value but a reason.
pub async fn undefined_is_said_with_a_reason(subject: impl BiasAuditor) {
    // Nobody of B has a positive label, and nobody at all is selected.
    let rows: Vec<_> = rows("A", [0, 0, 150, 150]).into_iter().chain(rows("B", [0, 0, 300, 0])).collect();
    let report = audit(&subject, &rows);
    assert_undefined(&group(&report, "B").true_positive_rate);
    assert_eq!(group(&report, "B").false_positive_rate.value(), Some(0.0));
    assert_undefined(&gap(&report, Disparity::DemographicParityRatio).measure);
    assert_eq!(gap(&report, Disparity::DemographicParityDifference).measure.value(), Some(0.0));
    assert_undefined(&gap(&report, Disparity::EqualOpportunityDifference).measure);
    assert_undefined(&gap(&report, Disparity::EqualizedOddsDifference).measure);
    let omitted = &gap(&report, Disparity::EqualOpportunityDifference).omitted;
    assert!(omitted.iter().any(|omitted| omitted.group == "B" && !omitted.reason.is_empty()), "{omitted:?}");

    let unlabeled: Vec<_> = unequal().into_iter().map(|row| Row { label: None, ..row }).collect();
    let report = audit(&subject, &unlabeled);
    assert_undefined(&report.overall.accuracy);
    assert!(gap(&report, Disparity::DemographicParityDifference).measure.value().is_some());
}

/// Clause 6: weights are counts.
pub async fn weights_count_rows(subject: impl BiasAuditor) {
    let numbered = || unequal().into_iter().enumerate();
    let weighted: Vec<_> = numbered().map(|(i, row)| Row { weight: [0.0, 1.0, 2.0][i % 3], ..row }).collect();
    let repeated: Vec<_> = numbered().flat_map(|(i, row)| std::iter::repeat_n(row, i % 3)).collect();
    assert_eq!(audit(&subject, &weighted), audit(&subject, &repeated));
}

/// Clause 7: not saying is a group.
pub async fn missing_is_a_group(subject: impl BiasAuditor) {
    let mut rows = unequal();
    rows.extend(unequal().into_iter().map(|row| Row { group: None, ..row }));
    let report = audit(&subject, &rows);
    let missing = group(&report, MISSING);
    assert_eq!(missing.cells.rows(), unequal().len() as f64);
    assert!(missing.is_compared);
}

/// Clause 8: nothing to audit is the caller's mistake.
pub async fn nothing_to_audit_is_refused(subject: impl BiasAuditor) {
    let nobody = AuditFrame::from_decisions([]).with_sensitive("group", [None::<&str>; 0]).expect("no rows");
    let weightless = frame(&unequal().into_iter().map(|row| Row { weight: 0.0, ..row }).collect::<Vec<_>>());
    let no_attribute = AuditFrame::from_decisions([true, false]);
    for frame in [nobody, weightless, no_attribute] {
        let error = subject.audit(&frame).expect_err("nothing to audit");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[derive(Debug, Clone, Copy)]
struct Row {
    group: Option<&'static str>,
    selected: bool,
    label: Option<bool>,
    weight: f64,
}

/// Rows of one group: true positives, false positives, true negatives, false negatives.
fn rows(group: &'static str, cells: [usize; 4]) -> Vec<Row> {
    let kinds = [(true, true), (true, false), (false, false), (false, true)];
    let kinds = kinds.into_iter().zip(cells);
    kinds
        .flat_map(|((selected, label), count)| {
            std::iter::repeat_n(Row { group: Some(group), selected, label: Some(label), weight: 1.0 }, count)
        })
        .collect()
}

/// Three groups treated differently, with some labels not known.
fn unequal() -> Vec<Row> {
    let groups = [("A", [150, 60, 300, 90]), ("B", [200, 110, 150, 140]), ("C", [90, 200, 210, 180])];
    let mut all: Vec<_> = groups.into_iter().flat_map(|(group, cells)| rows(group, cells)).collect();
    for row in all.iter_mut().step_by(7) {
        row.label = None;
    }
    all
}

fn frame(rows: &[Row]) -> AuditFrame {
    let weights: Vec<_> = rows.iter().map(|row| row.weight).collect();
    AuditFrame::from_decisions(rows.iter().map(|row| row.selected))
        .with_labels(rows.iter().map(|row| row.label))
        .and_then(|frame| frame.with_weights(&weights))
        .and_then(|frame| frame.with_sensitive("group", rows.iter().map(|row| row.group)))
        .expect("a whole frame")
}

fn audit(subject: &impl BiasAuditor, rows: &[Row]) -> BiasReport {
    subject.audit(&frame(rows)).expect("something to audit")
}

fn group<'a>(report: &'a BiasReport, name: &str) -> &'a GroupReport {
    report.attributes[0].group(name).unwrap_or_else(|| panic!("group {name} is not in the report"))
}

fn gap(report: &BiasReport, disparity: Disparity) -> &Gap {
    report.attributes[0].gap(disparity)
}

fn assert_undefined(measure: &Measure) {
    assert_eq!(measure.value(), None);
    assert!(measure.reason().is_some_and(|reason| !reason.is_empty()), "{measure:?}");
}

/// Runs the suite of [`BiasAuditor`] over an auditor.
#[macro_export]
macro_rules! bias_auditor_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::bias_auditor, $factory, [$($($known),*)?];
            row_order_does_not_matter,
            equal_groups_have_no_disparity,
            names_do_not_change_the_numbers,
            small_groups_are_shown_and_not_compared,
            undefined_is_said_with_a_reason,
            weights_count_rows,
            missing_is_a_group,
            nothing_to_audit_is_refused,
        }
    };
}
