//! What all detectors that go column by column share.

use super::{
    Rule, benjamini_hochberg,
    report::{Bins, ColumnDrift, Count, DriftReport, Finding, Outcome, Picture},
};
use crate::{
    reference::{Frozen, Histogram, Reference, ReferenceColumn},
    sample::{Column, Sample, Values},
};

/// What a method says of one column: a statistic and its p-value, or why there is none.
pub(super) enum Measure {
    Value { statistic: f64, p_value: f64 },
    None(Outcome),
}

/// Measures every column of the reference, corrects the p-values for their number, and applies the rule.
pub(super) fn compare(
    method: &str,
    rule: Rule,
    reference: &Reference,
    current: &Sample,
    measure: impl Fn(&ReferenceColumn, &Column) -> Measure,
) -> DriftReport {
    let mut columns: Vec<ColumnDrift> = reference
        .columns()
        .iter()
        .map(|frozen| {
            let column = current.column(frozen.name());
            let measured = match column {
                None => Measure::None(Outcome::Undefined("the column is missing".into())),
                Some(column) if column.kind() != frozen.kind() => Measure::None(Outcome::Undefined(format!(
                    "the column is {}, and {} in the reference",
                    column.kind(),
                    frozen.kind()
                ))),
                Some(column) if column.rows() == 0 => Measure::None(Outcome::Undefined("there are no rows".into())),
                Some(column) => measure(frozen, column),
            };
            let finding = match measured {
                Measure::Value { statistic, p_value } => Finding {
                    method: method.into(),
                    statistic: Some(statistic),
                    threshold: rule.threshold,
                    p_value: Some(p_value),
                    adjusted_p_value: None,
                    outcome: Outcome::NotMoved,
                },
                Measure::None(outcome) => Finding {
                    method: method.into(),
                    statistic: None,
                    threshold: rule.threshold,
                    p_value: None,
                    adjusted_p_value: None,
                    outcome,
                },
            };
            ColumnDrift {
                name: frozen.name().into(),
                kind: frozen.kind(),
                reference: Count { rows: reference.rows(), missing: frozen.missing() },
                current: column.map(|column| Count { rows: column.rows() as u64, missing: column.missing() as u64 }),
                findings: vec![finding],
                picture: column.and_then(|column| picture(frozen, column)),
            }
        })
        .collect();

    let mut measured: Vec<&mut Finding> = columns
        .iter_mut()
        .flat_map(|column| &mut column.findings)
        .filter(|finding| finding.p_value.is_some())
        .collect();
    let p_values: Vec<f64> = measured.iter().filter_map(|finding| finding.p_value).collect();
    for (finding, adjusted) in measured.iter_mut().zip(benjamini_hochberg(&p_values)) {
        finding.adjusted_p_value = Some(adjusted);
        if finding.statistic.is_some_and(|statistic| statistic >= rule.threshold) && adjusted <= rule.alpha {
            finding.outcome = Outcome::Moved;
        }
    }

    let is_unknown = |column: &&Column| reference.columns().iter().all(|known| known.name() != column.name());
    DriftReport {
        reference_rows: reference.rows(),
        current_rows: current.rows() as u64,
        columns,
        unknown: current.columns().filter(is_unknown).map(|column| column.name().to_owned()).collect(),
    }
}

/// The shares of both sides in a few bins, for people to look at.
fn picture(reference: &ReferenceColumn, current: &Column) -> Option<Picture> {
    match (reference.frozen(), current.values()) {
        (Frozen::Numeric(frozen), Values::Numeric(values)) => {
            let Histogram { low, high, counts } = frozen.histogram.as_ref()?;
            let (low, high) = (f64::from(*low), f64::from(*high));
            let width = (high - low) / counts.len() as f64;
            let edges = (0..=counts.len()).map(|edge| low + width * edge as f64).collect();
            let current = frozen.histogram.as_ref()?.count(values);
            Some(Picture { bins: Bins::Edges(edges), reference: shares(counts), current: shares(&current) })
        }
        (Frozen::Categorical(frozen), Values::Categorical(values)) => {
            let shown = frozen.names.len().min(MAX_CATEGORIES);
            let fold = |counts: &[u64]| {
                let (shown, others) = counts.split_at(shown);
                shares(&[shown, &[others.iter().sum()]].concat())
            };
            Some(Picture {
                bins: Bins::Categories(frozen.names[..shown].iter().cloned().chain(["all others".into()]).collect()),
                reference: fold(&[frozen.counts.as_slice(), &[frozen.other]].concat()),
                current: fold(&frozen.count(values)),
            })
        }
        _ => None,
    }
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|&count| count as f64 / total).collect()
}

const MAX_CATEGORIES: usize = 12;
