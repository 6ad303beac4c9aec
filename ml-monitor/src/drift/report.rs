//! What a detector found, column by column.

use crate::sample::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a [`DriftDetector`](super::DriftDetector) found. Prints as a table.
///
/// ```
/// use ml_monitor::{DriftDetector, KolmogorovSmirnov, Reference, ReferenceParams, Sample};
///
/// let sample = |from: i32| Sample::new().with_numbers("wind", (0..100).map(|i| f64::from(from + i)));
/// let reference = Reference::freeze(&sample(0)?, &ReferenceParams::default())?;
/// let report = KolmogorovSmirnov::new(Default::default())?.compare(&reference, &sample(50)?)?;
/// assert!(report.has_moved());
/// assert_eq!(report.columns[0].findings[0].statistic, Some(0.5));
/// println!("{report}");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftReport {
    /// Rows of the training data.
    pub reference_rows: u64,
    /// Rows of the current sample.
    pub current_rows: u64,
    /// The columns of the reference, in its order.
    pub columns: Vec<ColumnDrift>,
    /// Columns of the sample that the reference does not know, in the order of the sample.
    pub unknown: Vec<String>,
}

/// What was found about one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDrift {
    /// The name.
    pub name: String,
    /// What the column holds in the reference.
    pub kind: Kind,
    /// Rows and missing values of the training data.
    pub reference: Count,
    /// Rows and missing values of the current sample; `None` when it does not have the column.
    pub current: Option<Count>,
    /// What each method says.
    pub findings: Vec<Finding>,
    /// The shares of both sides in a few bins; `None` when there is nothing to show.
    pub picture: Option<Picture>,
}

/// Rows, and how many of them have no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// All rows.
    pub rows: u64,
    /// Those without a value.
    pub missing: u64,
}

/// What one method says of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The short name of the method, such as `ks`.
    pub method: String,
    /// How far the column has moved, in the terms of the method.
    pub statistic: Option<f64>,
    /// The least statistic that matters.
    pub threshold: f64,
    /// The probability of such a statistic by chance.
    pub p_value: Option<f64>,
    /// The same after the correction for the number of columns.
    pub adjusted_p_value: Option<f64>,
    /// What follows.
    pub outcome: Outcome,
}

/// What follows from a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// The column has moved: the statistic is large, and it is not chance.
    Moved,
    /// Nothing speaks for it.
    NotMoved,
    /// It cannot be told from this sample, for this reason.
    Undefined(String),
    /// The method is not made for such a column, for this reason.
    NotApplicable(String),
}

/// How reference and current values spread over a few bins: shares of each, 0 to 1, missing values left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// The bins.
    pub bins: Bins,
    /// The share of the training values in each bin.
    pub reference: Vec<f64>,
    /// The share of the current values in each bin.
    pub current: Vec<f64>,
}

/// The bins of a [`Picture`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Where bins of numbers meet, one more than there are bins. The first and last also hold what lies beyond.
    Edges(Vec<f64>),
    /// The categories, most frequent first; the last stands for all others.
    Categories(Vec<String>),
}

impl DriftReport {
    /// The columns that at least one method says have moved.
    pub fn moved(&self) -> impl Iterator<Item = &ColumnDrift> {
        self.columns.iter().filter(|column| column.has_moved())
    }

    /// Whether a column has moved.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.moved().next().is_some()
    }

    /// The columns of which no method can tell.
    pub fn undefined(&self) -> impl Iterator<Item = &ColumnDrift> {
        self.columns.iter().filter(|column| column.is_undefined())
    }

    /// The column of this name, if the reference has it.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnDrift> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl ColumnDrift {
    /// Whether at least one method says so.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.findings.iter().any(|finding| finding.outcome == Outcome::Moved)
    }

    /// Whether no method can tell.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        !self.findings.iter().any(|finding| matches!(finding.outcome, Outcome::Moved | Outcome::NotMoved))
    }
}

impl Count {
    /// The share of rows without a value, 0 to 1; `None` when there are no rows.
    #[must_use]
    pub fn missing_share(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.missing as f64 / self.rows as f64)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved => f.write_str("moved"),
            Self::NotMoved => f.write_str("not moved"),
            Self::Undefined(reason) => write!(f, "undefined: {reason}"),
            Self::NotApplicable(reason) => write!(f, "not applicable: {reason}"),
        }
    }
}

impl fmt::Display for DriftReport {
    /// A table with a line for each finding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} columns moved ({} reference rows, {} current rows)",
            self.moved().count(),
            self.columns.len(),
            self.reference_rows,
            self.current_rows
        )?;
        let lines: Vec<[String; 7]> = std::iter::once(HEADER.map(String::from))
            .chain(self.columns.iter().flat_map(|column| column.findings.iter().map(|finding| line(column, finding))))
            .collect();
        let width = |at: usize| lines.iter().map(|cells| cells[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        for cells in &lines {
            let [name, method, statistic, threshold, p_value, missing, outcome] = cells;
            writeln!(
                f,
                "{name:<0$}  {method:<1$}  {statistic:>2$}  {threshold:>3$}  {p_value:>4$}  {missing:>5$}  {outcome}",
                widths[0], widths[1], widths[2], widths[3], widths[4], widths[5],
            )?;
        }
        for name in &self.unknown {
            writeln!(f, "{} is not in the reference", name.escape_debug())?;
        }
        Ok(())
    }
}

fn line(column: &ColumnDrift, finding: &Finding) -> [String; 7] {
    let share = |count: Option<Count>| {
        count.and_then(|count| count.missing_share()).map_or("-".into(), |share| format!("{:.1}%", 100.0 * share))
    };
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.4}"));
    [
        // Names come from data: a control character would let one repaint the terminal.
        column.name.escape_debug().to_string(),
        finding.method.escape_debug().to_string(),
        number(finding.statistic),
        format!("{:.4}", finding.threshold),
        match finding.adjusted_p_value {
            Some(p) if p < LEAST_P => format!("<{LEAST_P:e}"),
            Some(p) if p < 0.001 => format!("{p:.1e}"),
            p => number(p),
        },
        format!("{} -> {}", share(Some(column.reference)), share(column.current)),
        finding.outcome.to_string(),
    ]
}

/// A p-value below this is no longer told apart from zero: the tails of the tests end there.
pub(super) const LEAST_P: f64 = 1e-300;

const HEADER: [&str; 7] = ["column", "method", "statistic", "threshold", "p (adjusted)", "missing", "outcome"];
