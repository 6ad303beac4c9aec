//! What the steps of an optimization gained and lost.

use super::{
    AccuracyGate, Changes, Measure,
    evaluation::{Baseline, Measured},
};
use crate::onnx::OnnxModel;
use serde::Serialize;
use std::fmt;

/// What every pass of an [`Optimizer`](super::Optimizer) did, gained and lost, in comparison with the original model.
///
/// It prints as a table.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The size of the original.
    pub bytes: u64,
    /// What ran the models; none without an evaluation.
    pub runtime: Option<String>,
    /// The rows they were measured on; none without an evaluation.
    pub rows: Option<u64>,
    /// The passes that ran, in order. Each works on the model of the one before it.
    pub steps: Vec<Step>,
    /// What the gate says of the last of them.
    pub verdict: Verdict,
}

/// The model that a pass made.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The name of the pass.
    pub pass: String,
    /// What the pass did.
    pub changes: Changes,
    /// The size of the model that it made.
    pub bytes: u64,
    /// How long a call takes, by number of rows.
    pub latencies: Vec<Latency>,
    /// How good it is.
    pub scores: Vec<Score>,
}

/// The median time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Rows of the call.
    pub rows: usize,
    /// Microseconds that the original takes.
    pub before_micros: f64,
    /// Microseconds that the changed model takes.
    pub after_micros: f64,
}

/// A measure of the original and of a changed model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// What is measured.
    pub measure: Measure,
    /// The value of the original.
    pub before: f64,
    /// The value of the changed model.
    pub after: f64,
}

impl Score {
    /// How much worse the changed model is; NaN when it gives what cannot be measured.
    #[must_use]
    pub fn lost(&self) -> f64 {
        self.measure.loss(self.before, self.after)
    }
}

/// What an [`AccuracyGate`] says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There was no gate.
    NotAsked,
    /// The last model lost no more than is allowed.
    Accepted {
        /// What the gate compares.
        measure: Measure,
        /// What was lost; negative when the model is better.
        lost: f64,
        /// What may be lost.
        max_loss: f64,
    },
    /// The last step lost more, so there is no new model.
    Refused {
        /// The pass of that step.
        pass: String,
        /// What the gate compares.
        measure: Measure,
        /// What was lost since the original; NaN when the model gives what cannot be measured.
        lost: f64,
        /// What may be lost.
        max_loss: f64,
    },
}

impl Verdict {
    /// Whether there is a new model.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    fn of(gate: Option<&AccuracyGate>, pass: &str, lost: f64) -> Self {
        let Some(gate) = gate else { return Self::NotAsked };
        let (measure, max_loss) = (gate.measure(), gate.max_loss());
        if gate.allows(lost) {
            Self::Accepted { measure, lost, max_loss }
        } else {
            Self::Refused { pass: pass.into(), measure, lost, max_loss }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("no gate was asked"),
            Self::Accepted { measure, lost, max_loss } => {
                write!(f, "accepted: {measure} lost {lost:.5} of {max_loss} allowed")
            }
            Self::Refused { pass, measure, lost, max_loss } => {
                write!(f, "refused after {pass}: {measure} lost {lost:.5} where {max_loss} is allowed")
            }
        }
    }
}

impl Report {
    pub(super) fn new(model: &OnnxModel, baseline: Option<&Baseline<'_>>, gate: Option<&AccuracyGate>) -> Self {
        let conditions = baseline.map(Baseline::conditions);
        Self {
            bytes: model.bytes.len() as u64,
            runtime: conditions.as_ref().map(|(runtime, _)| runtime.clone()),
            rows: conditions.map(|(_, rows)| rows as u64),
            steps: Vec::new(),
            verdict: Verdict::of(gate, "", 0.0),
        }
    }

    /// Adds a step, and asks the gate about it.
    pub(super) fn push(
        &mut self,
        pass: &str,
        model: &OnnxModel,
        changes: Changes,
        measured: Option<Measured>,
        gate: Option<&AccuracyGate>,
    ) {
        let Measured { latencies, scores } = measured.unwrap_or(Measured { latencies: Vec::new(), scores: Vec::new() });
        let gated = scores.iter().find(|score| gate.is_some_and(|gate| gate.measure() == score.measure));
        self.verdict = Verdict::of(gate, pass, gated.map_or(f64::NAN, Score::lost));
        self.steps.push(Step { pass: pass.into(), changes, bytes: model.bytes.len() as u64, latencies, scores });
    }

    /// The table, row by row; the first is its head.
    fn cells(&self) -> Vec<Vec<String>> {
        let mut head = vec!["pass".to_owned(), "bytes".to_owned(), "of original".to_owned()];
        let latencies: Vec<usize> =
            self.steps.first().map_or(Vec::new(), |step| step.latencies.iter().map(|latency| latency.rows).collect());
        head.extend(latencies.iter().map(|rows| format!("p50 of {rows} row{}", if *rows == 1 { "" } else { "s" })));
        let measures: Vec<Measure> =
            self.steps.first().map_or(Vec::new(), |step| step.scores.iter().map(|score| score.measure).collect());
        head.extend(measures.iter().map(ToString::to_string));
        let mut original = vec!["(original)".to_owned(), self.bytes.to_string(), share(self.bytes, self.bytes)];
        original.resize(3 + latencies.len(), String::new());
        original.extend(self.steps.first().into_iter().flat_map(|step| &step.scores).map(|score| number(score.before)));
        let mut cells = vec![head, original];
        for step in &self.steps {
            let mut row = vec![step.pass.clone(), step.bytes.to_string(), share(step.bytes, self.bytes)];
            row.extend(
                step.latencies
                    .iter()
                    .map(|latency| format!("{:.1} -> {:.1} us", latency.before_micros, latency.after_micros)),
            );
            row.extend(step.scores.iter().map(|score| number(score.after)));
            cells.push(row);
        }
        cells
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(runtime), Some(rows)) = (&self.runtime, self.rows) {
            writeln!(f, "measured on {rows} rows with {runtime}")?;
        }
        let cells = self.cells();
        let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &cells {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        for step in &self.steps {
            writeln!(f, "{}: {}", step.pass, step.changes)?;
        }
        write!(f, "{}", self.verdict)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of sizes in print")]
fn share(bytes: u64, of: u64) -> String {
    format!("{:.1} %", 100.0 * bytes as f64 / of.max(1) as f64)
}

fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.2e}") } else { format!("{value:.5}") }
}
