//! How good predictions are: one number at a time, or all at once as [`BinaryScores`] and [`RegressionScores`].
//!
//! One rule throughout: input that cannot be measured (no rows, another length, a NaN or infinite number, a weight that
//! is negative, a total weight of zero) is an error with the reason; a metric that right input leaves undefined, such as
//! the ROC-AUC of rows of one class, is `None`.
//!
//! A row of weight 2 counts as the row twice, and a row of weight 0 not at all; no weights are weights of 1.

pub mod classification;
pub mod regression;

pub use classification::BinaryScores;
pub use regression::RegressionScores;

use crate::{Error, Result};

/// Checks what all metrics check, and gives the total weight.
fn total_weight(rows: usize, predictions: usize, weights: Option<&[f64]>) -> Result<f64> {
    if rows == 0 {
        return Err(Error::invalid_input("no rows to measure"));
    }
    if predictions != rows {
        return Err(Error::invalid_input("labels and predictions have two lengths")
            .with("labels", rows)
            .with("predictions", predictions));
    }
    let Some(weights) = weights else { return Ok(as_f64(rows)) };
    if weights.len() != rows {
        return Err(Error::invalid_input("labels and weights have two lengths")
            .with("labels", rows)
            .with("weights", weights.len()));
    }
    if let Some((row, weight)) = weights.iter().enumerate().find(|(_, w)| !w.is_finite() || **w < 0.0) {
        return Err(Error::invalid_input("a weight is not a number of zero or more")
            .with("row", row)
            .with("weight", weight));
    }
    let total: f64 = weights.iter().sum();
    if total > 0.0 && total.is_finite() {
        Ok(total)
    } else {
        Err(Error::invalid_input("the total weight is not a number above zero").with("total", total))
    }
}

fn finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((row, value)) => Err(Error::invalid_input("a value is NaN or infinite")
            .with("values", what)
            .with("row", row)
            .with("value", value)),
        None => Ok(()),
    }
}

fn weight(weights: Option<&[f64]>, row: usize) -> f64 {
    weights.map_or(1.0, |weights| weights[row])
}

#[expect(clippy::cast_precision_loss, reason = "no slice has 2^53 rows")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
