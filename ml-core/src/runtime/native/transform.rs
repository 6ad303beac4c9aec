//! What becomes of the scores of a row at the end.

use super::{activation::logistic, node::Attributes, softmax::shares_of_one};
use crate::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
    /// Softmax among the scores that are not zero; the others stay zero.
    SoftmaxZero,
    Probit,
}

impl Transform {
    pub(super) fn of(attributes: Attributes<'_>) -> Result<Self> {
        match attributes.string("post_transform")? {
            None | Some(b"NONE") => Ok(Self::None),
            Some(b"LOGISTIC") => Ok(Self::Logistic),
            Some(b"SOFTMAX") => Ok(Self::Softmax),
            Some(b"SOFTMAX_ZERO") => Ok(Self::SoftmaxZero),
            Some(b"PROBIT") => Ok(Self::Probit),
            Some(other) => Err(Error::unsupported("the native runtime does not know this transform")
                .with("post_transform", other.escape_ascii())),
        }
    }

    pub(super) fn apply(self, scores: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Softmax => shares_of_one(scores),
            Self::SoftmaxZero => softmax_zero(scores),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        }
    }
}

impl Transform {
    /// As [`Transform::apply`], for the sums of a linear or a support vector machine, which may be anything.
    pub(super) fn apply_to_sums(self, sums: &mut [f32]) {
        if self == Self::SoftmaxZero { softmax_zero_of_sums(sums) } else { self.apply(sums) }
    }
}

/// [`softmax_zero`] as ONNX Runtime computes it here: zeros are scaled as well, so that NaN stays, and where all are zero
/// they become NaN.
fn softmax_zero_of_sums(sums: &mut [f32]) {
    let greatest = sums.iter().copied().fold(f32::MIN, f32::max);
    let mut total = 0.0;
    for sum in sums.iter_mut() {
        if sum.abs() > 1e-7 {
            *sum = (*sum - greatest).exp();
            total += *sum;
        } else {
            *sum *= (-greatest).exp();
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= total);
}

/// As in ONNX Runtime, to which a score within 1e-7 of zero is zero.
fn softmax_zero(scores: &mut [f32]) {
    let greatest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if score.abs() > 1e-7 {
            *score = (*score - greatest).exp();
            sum += *score;
        } else {
            *score = 0.0;
        }
    }
    // Where all are zero there is nothing to share.
    if sum > 0.0 {
        scores.iter_mut().for_each(|score| *score /= sum);
    }
}

/// The quantile of the normal distribution, by the approximation of the inverse error function that ONNX Runtime uses
/// (Winitzki 2008, equation 7, `a = 0.147`): 2e-3 relative. Outside of zero to one it is not a number.
fn probit(p: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * p - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let inverse = (-v + (v * v - log / A).sqrt()).sqrt();
    std::f32::consts::SQRT_2 * if x < 0.0 { -inverse } else { inverse }
}
