use super::{BiasReport, Disparity, Measure};
use ml_core::report::number;
use std::fmt;

/// Groups beyond these are counted, not printed.
const MOST_GROUPS: usize = 40;

impl fmt::Display for BiasReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Bias audit of {} rows, {} with a label; intervals at {}",
            number::weighted_count(self.overall.cells.rows()),
            number::weighted_count(self.overall.cells.labeled()),
            level(self.confidence)
        )?;
        for attribute in &self.attributes {
            let shown = &attribute.groups[..attribute.groups.len().min(MOST_GROUPS)];
            let names: Vec<_> =
                shown.iter().map(|group| printable(&group.group) + if group.is_compared { "" } else { " *" }).collect();
            let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).clamp(12, 32);
            writeln!(f)?;
            writeln!(
                f,
                "{:<width$} {:>10}  {:>22}  {:>22}  {:>22}  {:>9}",
                printable(&attribute.attribute),
                "rows",
                "selection rate",
                "true positive rate",
                "false positive rate",
                "base rate",
            )?;
            for (group, name) in shown.iter().zip(&names) {
                writeln!(
                    f,
                    "{name:<width$} {:>10}  {:>22}  {:>22}  {:>22}  {:>9}",
                    number::weighted_count(group.cells.rows()),
                    group.selection_rate,
                    group.true_positive_rate,
                    group.false_positive_rate,
                    value(&group.base_rate),
                )?;
            }
            if shown.len() < attribute.groups.len() {
                writeln!(f, "… and {} more groups", attribute.groups.len() - shown.len())?;
            }
            if attribute.groups.iter().any(|group| !group.is_compared) {
                writeln!(f, "* fewer than {} rows: shown, not compared", self.minimum_rows)?;
            }
            for disparity in Disparity::ALL {
                let gap = attribute.gap(disparity);
                write!(f, "  {disparity:<30} {}", gap.measure)?;
                match (gap.measure.reason(), &gap.lowest, &gap.highest) {
                    (Some(reason), ..) => writeln!(f, ": {reason}")?,
                    (None, Some(lowest), Some(highest)) => {
                        writeln!(f, "  lowest {}, highest {}", printable(lowest), printable(highest))?;
                    }
                    (None, ..) => writeln!(f)?,
                }
            }
        }
        Ok(())
    }
}

/// A confidence level as percent, without decimals where it has none.
pub(super) fn level(confidence: f64) -> String {
    let text = number::percent(confidence, 1);
    text.replace(".0%", "%")
}

fn value(measure: &Measure) -> String {
    measure.value().map_or_else(|| number::UNDEFINED.to_owned(), |value| number::fixed(value, 3))
}

/// A name from data, so that it can neither steer the terminal nor break the table.
fn printable(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars().take(30) {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    if name.chars().nth(30).is_some() {
        text.push('…');
    }
    text
}
