use ml_core::{ErrorKind, report::Page};
use ml_govern::{
    AuditFrame, BiasAuditor, BiasReport, GroupFairness, GroupFairnessParams,
    bias::{Disparity, Measure},
};
use proptest::prelude::*;

fn audit(minimum_rows: u32, frame: &AuditFrame) -> BiasReport {
    GroupFairness::new(GroupFairnessParams { minimum_rows, ..Default::default() })
        .and_then(|auditor| auditor.audit(frame))
        .expect("rows")
}

/// Groups of rows as (name, selected, label, count).
fn frame(parts: &[(&str, bool, Option<bool>, usize)]) -> AuditFrame {
    let rows = || parts.iter().flat_map(|part| std::iter::repeat_n(part, part.3));
    AuditFrame::from_decisions(rows().map(|row| row.1))
        .with_labels(rows().map(|row| row.2))
        .and_then(|frame| frame.with_sensitive("group", rows().map(|row| Some(row.0))))
        .expect("a whole frame")
}

#[test]
fn parameters_without_meaning_are_refused() {
    for (minimum_rows, confidence) in [
        (0, 0.95),
        (30, 0.0),
        (30, 1.0),
        (30, f64::NAN),
        (30, -1.0),
        (30, f64::INFINITY),
        (30, 1.0 - f64::EPSILON / 2.0),
    ] {
        let error = GroupFairness::new(GroupFairnessParams { minimum_rows, confidence }).expect_err("no meaning");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn one_group_has_rates_and_nothing_to_compare_with() {
    let report = audit(1, &frame(&[("only", true, Some(true), 50)]));
    let part = &report.attributes[0];
    assert_eq!(part.groups[0].accuracy.value(), Some(1.0));
    assert_eq!(part.groups[0].false_positive_rate.reason(), Some("no rows with a negative label"));
    for disparity in Disparity::ALL {
        let reason = part.gap(disparity).measure.reason().expect("undefined");
        assert!(reason.ends_with("fewer than two groups to compare"), "{reason}");
    }
}

#[test]
fn a_group_of_one_class_leaves_the_comparison_it_cannot_enter() {
    let report = audit(
        30,
        &frame(&[
            ("A", true, Some(true), 40),
            ("A", false, Some(false), 60),
            ("B", true, Some(true), 30),
            ("B", false, Some(true), 10),
            ("B", true, Some(false), 60),
            ("all negative", false, Some(false), 80),
            ("few positive", true, Some(true), 3),
            ("few positive", false, Some(false), 80),
        ]),
    );
    let part = &report.attributes[0];
    let gap = part.gap(Disparity::EqualOpportunityDifference);
    assert_eq!(gap.measure.value(), Some(0.25));
    let omitted: Vec<_> = gap.omitted.iter().map(|o| (o.group.as_str(), o.reason.as_str())).collect();
    assert_eq!(
        omitted,
        [
            ("all negative", "no rows with a positive label"),
            ("few positive", "3 rows with a positive label, fewer than 30")
        ]
    );
    assert_eq!(part.gap(Disparity::DemographicParityDifference).omitted, []);
    assert_eq!(part.gap(Disparity::EqualizedOddsDifference).measure.value(), Some(1.0));
}

#[test]
fn weights_of_zero_take_a_group_away() {
    let frame = AuditFrame::from_decisions([true, false, true])
        .with_weights(&[1.0, 1.0, 0.0])
        .and_then(|frame| frame.with_sensitive("group", [Some("a"), Some("b"), Some("gone")]))
        .expect("a whole frame");
    let report = audit(1, &frame);
    assert!(report.attributes[0].group("gone").is_none());
    assert_eq!(report.overall.cells.rows(), 2.0);
}

#[test]
fn ten_thousand_groups_are_compared_and_the_page_stays_small() {
    let groups: Vec<_> = (0..10_000).flat_map(|i| std::iter::repeat_n(format!("group {i}"), 4)).collect();
    let frame = AuditFrame::from_decisions((0..groups.len()).map(|i| i % 4 < (i / 4) % 3))
        .with_sensitive("group", groups.iter().map(Some))
        .expect("a whole frame");
    let report = audit(4, &frame);
    assert_eq!(report.attributes[0].groups.len(), 10_000);
    assert_eq!(report.attributes[0].gap(Disparity::DemographicParityDifference).measure.value(), Some(0.5));
    let html = Page::new("Audit", "").section(report.to_section()).render();
    assert!(html.len() < 200_000, "{} bytes", html.len());
    assert!(report.to_string().contains("… and 9960 more groups"));
}

#[test]
fn a_rate_of_too_few_rows_is_pale_even_in_a_group_that_is_large() {
    let report = audit(
        30,
        &frame(&[
            ("A", true, Some(true), 40),
            ("A", false, Some(false), 40),
            ("B", true, Some(true), 5),
            ("B", false, Some(false), 40),
        ]),
    );
    let html = Page::new("Audit", "").section(report.to_section()).render();
    assert_eq!(html.matches(" muted\"").count(), 1, "the true positive rate of B, of 5 rows");
}

#[test]
fn hostile_names_reach_neither_page_nor_terminal() {
    let evil = "<img src=x onerror=alert(1)>\u{1b}[2J\r\n";
    let report = audit(1, &frame(&[(evil, true, Some(true), 5), ("b", false, Some(true), 5)]));
    let html = Page::new("Audit", "").section(report.to_section()).render();
    assert!(!html.contains("<img") && html.contains("&lt;img src=x onerror=alert(1)&gt;"));
    let text = report.to_string();
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
}

#[test]
fn json_has_one_shape_and_comes_back() {
    let defined = audit(
        1,
        &frame(&[
            ("A", true, Some(true), 5),
            ("A", false, Some(false), 5),
            ("B", false, Some(true), 5),
            ("B", true, Some(false), 5),
        ]),
    );
    let undefined = audit(30, &frame(&[("A", true, None, 5), ("B", false, None, 5)]));
    let shapes = [&defined, &undefined].map(|report| {
        let json = serde_json::to_value(report).expect("JSON");
        let back: BiasReport = serde_json::from_value(json.clone()).expect("own JSON");
        assert_eq!(back, *report);
        let mut paths = Vec::new();
        paths_of(&json, String::new(), &mut paths);
        paths
    });
    assert_eq!(shapes[0], shapes[1]);
}

/// The paths of all fields.
fn paths_of(value: &serde_json::Value, at: String, paths: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| paths_of(value, format!("{at}.{name}"), paths));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| paths_of(item, format!("{at}[{i}]"), paths));
        }
        _ => paths.push(at),
    }
}

#[test]
fn a_later_or_damaged_report_is_refused() {
    let report = audit(1, &frame(&[("A", true, Some(true), 5), ("B", false, Some(true), 5)]));
    let json = serde_json::to_string(&report).expect("JSON");
    for (from, to) in [
        (r#""format":1"#, r#""format":2"#),
        (r#""undefined":null"#, r#""undefined":"and a value""#),
        (r#""minimum_rows":1"#, r#""minimum_rows":-1"#),
        (r#""attributes""#, r#""attribute""#),
    ] {
        assert!(json.contains(from), "{from}");
        assert!(serde_json::from_str::<BiasReport>(&json.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn the_report_reads_well_in_a_terminal() {
    let report = audit(
        30,
        &frame(&[
            ("UA United Air Lines", true, Some(true), 400),
            ("UA United Air Lines", true, Some(false), 100),
            ("UA United Air Lines", false, Some(false), 900),
            ("UA United Air Lines", false, Some(true), 100),
            ("B6 JetBlue Airways", true, Some(true), 300),
            ("B6 JetBlue Airways", true, Some(false), 400),
            ("B6 JetBlue Airways", false, Some(false), 500),
            ("B6 JetBlue Airways", false, Some(true), 40),
            ("OO SkyWest", true, Some(true), 12),
            ("OO SkyWest", false, None, 5),
        ]),
    );
    insta::assert_snapshot!(report);
}

proptest! {
    #[test]
    fn every_measure_is_within_its_range(rows in prop::collection::vec((any::<bool>(), any::<Option<bool>>(), 0..5_u8, 0..3_u8), 1..200)) {
        let weights: Vec<_> = rows.iter().map(|row| f64::from(row.3)).collect();
        let frame = AuditFrame::from_decisions(rows.iter().map(|row| row.0))
            .with_labels(rows.iter().map(|row| row.1))
            .and_then(|frame| frame.with_weights(&weights))
            .and_then(|frame| frame.with_sensitive("group", rows.iter().map(|row| Some(row.2.to_string()))))
            .expect("a whole frame");
        let auditor = GroupFairness::new(GroupFairnessParams { minimum_rows: 2, ..Default::default() }).expect("valid");
        let Ok(report) = auditor.audit(&frame) else {
            prop_assert!(weights.iter().all(|weight| *weight == 0.0));
            return Ok(());
        };
        let part = &report.attributes[0];
        let rates = part.groups.iter().flat_map(|g| [&g.selection_rate, &g.base_rate, &g.true_positive_rate, &g.false_positive_rate, &g.accuracy]);
        let gaps = Disparity::ALL.map(|disparity| &part.gap(disparity).measure);
        for measure in rates.chain(gaps) {
            match measure {
                Measure::Defined { value, interval } => {
                    prop_assert!((0.0..=1.0).contains(value));
                    prop_assert!(interval.low <= value + 1e-12 && *value <= interval.high + 1e-12, "{measure:?}");
                    prop_assert!(interval.low.is_finite() && interval.high.is_finite());
                }
                Measure::Undefined { reason } => prop_assert!(!reason.is_empty()),
            }
        }
        let total: f64 = part.groups.iter().map(|group| group.cells.rows()).sum();
        prop_assert_eq!(total, report.overall.cells.rows());
    }
}
