//! Metrics of predictions of one of two classes.
//!
//! Labels and decisions are `bool`, scores are larger where the positive class is more likely, and probabilities are
//! those of the positive class. The reference for every formula is scikit-learn's function of the same name.

use super::{finite, total_weight, weight};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// All metrics of probabilities, from one sort.
///
/// ```
/// use ml_core::metric::BinaryScores;
///
/// let scores = BinaryScores::new(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8], None)?;
/// assert_eq!(scores.roc_auc, Some(0.75));
/// assert_eq!((scores.accuracy, scores.precision, scores.recall), (0.75, Some(1.0), Some(0.5)));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryScores {
    /// The number of rows.
    pub rows: u64,
    /// The weighted share of rows that are positive.
    pub positive_rate: f64,
    /// The probability from which on a row is taken as positive.
    pub threshold: f64,
    /// The weighted share of right decisions.
    pub accuracy: f64,
    /// The share of positive decisions that are right; none without a positive decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// The share of positive rows that are found; none without a positive row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall; none without a positive row or decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// See [`roc_auc`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roc_auc: Option<f64>,
    /// See [`average_precision`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_precision: Option<f64>,
    /// See [`log_loss`].
    pub log_loss: f64,
    /// See [`brier`].
    pub brier: f64,
}

impl BinaryScores {
    /// Measures with a threshold of 0.5.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for input that cannot be measured.
    pub fn new(labels: &[bool], probabilities: &[f64], weights: Option<&[f64]>) -> Result<Self> {
        Self::at_threshold(labels, probabilities, weights, 0.5)
    }

    /// Measures with decisions made at a threshold: a row is positive when its probability is no smaller.
    ///
    /// # Errors
    /// As [`BinaryScores::new`]; also when the threshold is not a probability.
    pub fn at_threshold(
        labels: &[bool],
        probabilities: &[f64],
        weights: Option<&[f64]>,
        threshold: f64,
    ) -> Result<Self> {
        let total = total_weight(labels.len(), probabilities.len(), weights)?;
        check_probabilities(probabilities)?;
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::invalid_input("the threshold is no probability").with("threshold", threshold));
        }
        let decisions: Vec<bool> = probabilities.iter().map(|p| *p >= threshold).collect();
        let counts = Confusion::new(labels, &decisions, weights);
        let ranking = Ranking::new(labels, probabilities, weights);
        Ok(Self {
            rows: labels.len() as u64,
            positive_rate: (counts.true_positive + counts.false_negative) / total,
            threshold,
            accuracy: counts.accuracy(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            roc_auc: ranking.roc_auc(),
            average_precision: ranking.average_precision(),
            log_loss: mean_log_loss(labels, probabilities, weights, total),
            brier: mean_brier(labels, probabilities, weights, total),
        })
    }
}

/// The weighted share of predictions that equal the label, for any kind of class.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) for input that cannot be measured.
pub fn accuracy<T: PartialEq>(labels: &[T], predicted: &[T], weights: Option<&[f64]>) -> Result<f64> {
    let total = total_weight(labels.len(), predicted.len(), weights)?;
    let right: f64 =
        labels.iter().zip(predicted).enumerate().filter(|(_, (a, b))| a == b).map(|(i, _)| weight(weights, i)).sum();
    Ok(right / total)
}

/// The share of positive decisions that are right; none when no decision is positive.
///
/// # Errors
/// As [`accuracy`].
pub fn precision(labels: &[bool], predicted: &[bool], weights: Option<&[f64]>) -> Result<Option<f64>> {
    total_weight(labels.len(), predicted.len(), weights)?;
    Ok(Confusion::new(labels, predicted, weights).precision())
}

/// The share of positive rows that are found; none when no row is positive.
///
/// # Errors
/// As [`accuracy`].
pub fn recall(labels: &[bool], predicted: &[bool], weights: Option<&[f64]>) -> Result<Option<f64>> {
    total_weight(labels.len(), predicted.len(), weights)?;
    Ok(Confusion::new(labels, predicted, weights).recall())
}

/// The harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`; none when no row and no decision is positive.
///
/// # Errors
/// As [`accuracy`].
pub fn f1(labels: &[bool], predicted: &[bool], weights: Option<&[f64]>) -> Result<Option<f64>> {
    total_weight(labels.len(), predicted.len(), weights)?;
    Ok(Confusion::new(labels, predicted, weights).f1())
}

/// The area under the receiver operating characteristic: the chance that a positive row has a larger score than a
/// negative one, where a tie counts half (Hanley and McNeil 1982). None when only one class is there.
///
/// # Errors
/// As [`accuracy`].
pub fn roc_auc(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<Option<f64>> {
    total_weight(labels.len(), scores.len(), weights)?;
    finite("scores", scores)?;
    Ok(Ranking::new(labels, scores, weights).roc_auc())
}

/// The area under the precision-recall curve (PR-AUC) as average precision, `Σ (Rᵢ - Rᵢ₋₁) Pᵢ` over falling thresholds,
/// which does not interpolate between them. None when no row is positive.
///
/// # Errors
/// As [`accuracy`].
pub fn average_precision(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<Option<f64>> {
    total_weight(labels.len(), scores.len(), weights)?;
    finite("scores", scores)?;
    Ok(Ranking::new(labels, scores, weights).average_precision())
}

/// The mean of `-ln p` of the true class. Probabilities are kept 2⁻⁵² away from 0 and 1, so that a single sure mistake
/// costs 36 and not infinity.
///
/// # Errors
/// As [`accuracy`]; also when a probability is not a number from 0 to 1.
pub fn log_loss(labels: &[bool], probabilities: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    let total = total_weight(labels.len(), probabilities.len(), weights)?;
    check_probabilities(probabilities)?;
    Ok(mean_log_loss(labels, probabilities, weights, total))
}

/// The mean squared difference of probability and label (Brier 1950, in the form for two classes).
///
/// # Errors
/// As [`log_loss`].
pub fn brier(labels: &[bool], probabilities: &[f64], weights: Option<&[f64]>) -> Result<f64> {
    let total = total_weight(labels.len(), probabilities.len(), weights)?;
    check_probabilities(probabilities)?;
    Ok(mean_brier(labels, probabilities, weights, total))
}

fn check_probabilities(probabilities: &[f64]) -> Result<()> {
    match probabilities.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        Some((row, p)) => {
            Err(Error::invalid_input("a probability is not a number from 0 to 1").with("row", row).with("value", p))
        }
        None => Ok(()),
    }
}

fn mean_log_loss(labels: &[bool], probabilities: &[f64], weights: Option<&[f64]>, total: f64) -> f64 {
    mean(labels, probabilities, weights, total, |label, p| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        if label { -p.ln() } else { -(-p).ln_1p() }
    })
}

fn mean_brier(labels: &[bool], probabilities: &[f64], weights: Option<&[f64]>, total: f64) -> f64 {
    mean(labels, probabilities, weights, total, |label, p| (f64::from(u8::from(label)) - p).powi(2))
}

fn mean(
    labels: &[bool],
    probabilities: &[f64],
    weights: Option<&[f64]>,
    total: f64,
    loss: impl Fn(bool, f64) -> f64,
) -> f64 {
    let rows = labels.iter().zip(probabilities).enumerate();
    rows.map(|(i, (label, p))| weight(weights, i) * loss(*label, *p)).sum::<f64>() / total
}

/// The weighted counts of the four outcomes.
struct Confusion {
    true_positive: f64,
    false_positive: f64,
    true_negative: f64,
    false_negative: f64,
}

impl Confusion {
    fn new(labels: &[bool], predicted: &[bool], weights: Option<&[f64]>) -> Self {
        let mut counts = Self { true_positive: 0.0, false_positive: 0.0, true_negative: 0.0, false_negative: 0.0 };
        for (i, (label, decision)) in labels.iter().zip(predicted).enumerate() {
            *match (label, decision) {
                (true, true) => &mut counts.true_positive,
                (false, true) => &mut counts.false_positive,
                (false, false) => &mut counts.true_negative,
                (true, false) => &mut counts.false_negative,
            } += weight(weights, i);
        }
        counts
    }

    fn accuracy(&self) -> f64 {
        let right = self.true_positive + self.true_negative;
        right / (right + self.false_positive + self.false_negative)
    }

    fn precision(&self) -> Option<f64> {
        share(self.true_positive, self.true_positive + self.false_positive)
    }

    fn recall(&self) -> Option<f64> {
        share(self.true_positive, self.true_positive + self.false_negative)
    }

    fn f1(&self) -> Option<f64> {
        let twice = 2.0 * self.true_positive;
        share(twice, twice + self.false_positive + self.false_negative)
    }
}

/// The weights of both classes at each distinct score, from the largest down.
struct Ranking(Vec<(f64, f64)>);

impl Ranking {
    fn new(labels: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Self {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let mut groups: Vec<(f64, f64)> = Vec::new();
        let mut last = None;
        for row in order {
            // Compared as numbers, so that 0 and -0 tie.
            if last != Some(scores[row]) {
                groups.push((0.0, 0.0));
                last = Some(scores[row]);
            }
            let (positive, negative) = groups.last_mut().expect("pushed for the first row");
            *if labels[row] { positive } else { negative } += weight(weights, row);
        }
        Self(groups)
    }

    fn roc_auc(&self) -> Option<f64> {
        let (mut above, mut all_negative, mut area) = (0.0, 0.0, 0.0);
        for (positive, negative) in &self.0 {
            area += negative * (above + positive / 2.0);
            above += positive;
            all_negative += negative;
        }
        share(area, above * all_negative)
    }

    fn average_precision(&self) -> Option<f64> {
        let (mut found, mut taken, mut area) = (0.0, 0.0, 0.0);
        for (positive, negative) in &self.0 {
            found += positive;
            taken += positive + negative;
            // A group of weight zero before any other has no precision and adds nothing.
            if *positive > 0.0 {
                area += positive * found / taken;
            }
        }
        share(area, found)
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half_and_zero_equals_minus_zero() {
        assert_eq!(roc_auc(&[true, false], &[0.0, -0.0], None).expect("valid"), Some(0.5));
    }

    #[test]
    fn what_one_class_leaves_undefined_is_none() {
        let scores = BinaryScores::new(&[false, false], &[0.1, 0.2], None).expect("valid");
        assert_eq!(
            (scores.precision, scores.recall, scores.f1, scores.roc_auc, scores.average_precision),
            (None, None, None, None, None)
        );
        assert_eq!(scores.accuracy, 1.0);
        let json = serde_json::to_value(&scores).expect("json");
        assert!(json.as_object().expect("object").values().all(serde_json::Value::is_number), "{json}");
        assert_eq!(serde_json::from_value::<BinaryScores>(json).expect("own json"), scores);
    }

    #[test]
    fn a_sure_mistake_costs_a_finite_loss() {
        let loss = log_loss(&[true, false], &[0.0, 1.0], None).expect("valid");
        assert!((loss - 36.043_653_389_117_15).abs() < 1e-9, "{loss}");
    }

    #[test]
    fn accuracy_serves_any_kind_of_class() {
        assert_eq!(accuracy(&["a", "b", "c"], &["a", "c", "c"], Some(&[1.0, 2.0, 1.0])).expect("valid"), 0.5);
    }
}
