//! Metrics of predicted numbers. The reference for every formula is scikit-learn's function of the same name.

use super::{finite, total_weight, weight};
use crate::Result;
use serde::{Deserialize, Serialize};

/// All metrics of predicted numbers, in the unit of the label.
///
/// ```
/// use ml_core::metric::RegressionScores;
///
/// let scores = RegressionScores::new(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0], None)?;
/// assert_eq!((scores.mae, scores.rmse), (0.5, 0.375_f64.sqrt()));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegressionScores {
    /// The number of rows.
    pub rows: u64,
    /// See [`rmse`].
    pub rmse: f64,
    /// See [`mae`].
    pub mae: f64,
    /// See [`r2`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

impl RegressionScores {
    /// Measures everything.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for input that cannot be measured.
    pub fn new(labels: &[f64], predicted: &[f64], weights: Option<&[f64]>) -> Result<Self> {
        Ok(Self {
            rows: labels.len() as u64,
            rmse: rmse(labels, predicted, weights)?,
            mae: mae(labels, predicted, weights)?,
            r2: r2(labels, predicted, weights)?,
        })
    }
}

/// The root of the mean squared error.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for input that cannot be measured.
pub fn rmse(labels: &[f64], predicted: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    Ok(mean(labels, predicted, weights, |error| error * error)?.sqrt())
}

/// The mean absolute error.
///
/// # Errors
/// As [`rmse`].
pub fn mae(labels: &[f64], predicted: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    mean(labels, predicted, weights, f64::abs)
}

/// The coefficient of determination: 1 minus the squared error relative to that of the mean label. None when the labels
/// do not vary, where scikit-learn gives 0 or 1.
///
/// # Errors
/// As [`rmse`].
pub fn r2(labels: &[f64], predicted: &[f64], weights: Option<&[f64]>) -> Result<Option<f64>> {
    let residual = mean(labels, predicted, weights, |error| error * error)?;
    let total = total_weight(labels.len(), predicted.len(), weights)?;
    // The first counted label as origin: labels that do not vary then have a variance of exactly zero.
    let origin = (0..labels.len()).find(|&i| weight(weights, i) > 0.0).map_or(0.0, |i| labels[i]);
    let center = labels.iter().enumerate().map(|(i, y)| weight(weights, i) * (y - origin)).sum::<f64>() / total;
    let variance =
        labels.iter().enumerate().map(|(i, y)| weight(weights, i) * (y - origin - center).powi(2)).sum::<f64>() / total;
    Ok((variance > 0.0).then(|| 1.0 - residual / variance))
}

fn mean(labels: &[f64], predicted: &[f64], weights: Option<&[f64]>, loss: impl Fn(f64) -> f64) -> Result<f64> {
    let total = total_weight(labels.len(), predicted.len(), weights)?;
    finite("labels", labels)?;
    finite("predictions", predicted)?;
    let rows = labels.iter().zip(predicted).enumerate();
    Ok(rows.map(|(i, (label, p))| weight(weights, i) * loss(label - p)).sum::<f64>() / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_do_not_vary_leave_r2_undefined() {
        assert_eq!(r2(&[0.1; 3], &[1.0, 2.0, 3.0], None).expect("valid"), None);
        assert_eq!(r2(&[0.1, 9.0], &[1.0, 2.0], Some(&[1.0, 0.0])).expect("valid"), None);
    }
}
