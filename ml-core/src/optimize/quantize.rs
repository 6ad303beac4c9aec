//! Whole numbers in place of weights.

use crate::{Error, Result};

/// Symmetric codes of weights: weight ≈ code × scale of its channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codes {
    pub(super) codes: Vec<i8>,
    /// One a channel.
    pub(super) scales: Vec<f32>,
}

/// How the elements of a row-major tensor belong to channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    /// Channel `i % n`: the columns of a matrix of `n` columns.
    Columns(usize),
    /// Channel `i / width`: the rows of a matrix of that width.
    Rows { rows: usize, width: usize },
}

impl Channels {
    fn count(self) -> usize {
        match self {
            Self::Columns(count) => count,
            Self::Rows { rows, .. } => rows,
        }
    }

    fn of(self, element: usize) -> usize {
        match self {
            Self::Columns(count) => element % count,
            Self::Rows { width, .. } => element / width,
        }
    }
}

impl Codes {
    /// Codes within `±limit` of the least squared error that alternating finds.
    ///
    /// The first scale brings the largest weight to the limit, as quantizers commonly do. Then codes and scale are fitted
    /// to each other in turn: the scale of least squared error for given codes is `Σ w q / Σ q²`, and the nearest codes
    /// for a given scale are the rounded ones. Neither step makes the error larger (Lloyd 1982).
    pub(super) fn of(weights: &[f32], channels: Channels, limit: i8) -> Result<Self> {
        if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::invalid_input("a weight is NaN or infinite, so it has no code").with("weight", weight));
        }
        let limit = f32::from(limit);
        let mut scales = vec![0.0_f32; channels.count()];
        for (at, weight) in weights.iter().enumerate() {
            let scale = &mut scales[channels.of(at)];
            *scale = scale.max(weight.abs());
        }
        for scale in &mut scales {
            // A channel of zeros has codes of zero whatever its scale; numbers too small to divide are zero nearly.
            let first = *scale / limit;
            *scale = first.max(f32::MIN_POSITIVE);
        }
        for _ in 0..2 {
            let mut products = vec![(0.0_f64, 0.0_f64); scales.len()];
            for (at, weight) in weights.iter().enumerate() {
                let channel = channels.of(at);
                let code = f64::from(nearest(*weight, scales[channel], limit));
                products[channel].0 += f64::from(*weight) * code;
                products[channel].1 += code * code;
            }
            for (scale, (weighted, squares)) in scales.iter_mut().zip(products) {
                if squares > 0.0 {
                    *scale = single(weighted / squares).max(f32::MIN_POSITIVE);
                }
            }
        }
        let code = |(at, weight): (usize, &f32)| small(nearest(*weight, scales[channels.of(at)], limit));
        let codes = weights.iter().enumerate().map(code).collect();
        Ok(Self { codes, scales })
    }
}

/// Codes of weights whose scales have codes as well: weight ≈ code × scale code × unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScaledCodes {
    pub(super) codes: Vec<i8>,
    /// One a channel.
    pub(super) scales: Vec<u8>,
    pub(super) unit: f32,
}

impl ScaledCodes {
    /// Codes within `±limit` for scales that are the next whole multiples of one 255th of the largest: codes are fitted to
    /// them, so a scale a little too large costs a little resolution and is no error of its own.
    pub(super) fn of(weights: &[f32], channels: Channels, limit: i8) -> Result<Self> {
        let Codes { scales, .. } = Codes::of(weights, channels, limit)?;
        let largest = scales.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let unit = (largest / 255.0).max(f32::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        let scales: Vec<u8> = scales.iter().map(|scale| (scale / unit).ceil().clamp(1.0, 255.0) as u8).collect();
        let code = |(at, weight): (usize, &f32)| {
            small(nearest(*weight, f32::from(scales[channels.of(at)]) * unit, f32::from(limit)))
        };
        let codes = weights.iter().enumerate().map(code).collect();
        Ok(Self { codes, scales, unit })
    }
}

/// The whole number nearest to `weight / scale` within the limit.
fn nearest(weight: f32, scale: f32, limit: f32) -> f32 {
    (weight / scale).round().clamp(-limit, limit)
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the codes of a signed byte")]
fn small(code: f32) -> i8 {
    code as i8
}

#[expect(clippy::cast_possible_truncation, reason = "a mean of numbers of single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;

    fn squared_error(weights: &[f32], channels: Channels, codes: &Codes) -> f64 {
        weights
            .iter()
            .enumerate()
            .map(|(at, weight)| {
                let got = f64::from(codes.codes[at]) * f64::from(codes.scales[channels.of(at)]);
                (f64::from(*weight) - got).powi(2)
            })
            .sum()
    }

    /// What quantizers commonly do: the largest weight is at the limit.
    fn at_the_limit(weights: &[f32], channels: Channels) -> Codes {
        let mut scales = vec![f32::MIN_POSITIVE; channels.count()];
        for (at, weight) in weights.iter().enumerate() {
            let scale = &mut scales[channels.of(at)];
            *scale = scale.max(weight.abs() / 127.0);
        }
        let codes = weights.iter().enumerate().map(|(at, w)| small(nearest(*w, scales[channels.of(at)], 127.0)));
        Codes { codes: codes.collect(), scales }
    }

    proptest! {
        #[test]
        fn the_error_is_no_larger_than_that_of_scales_from_the_largest_weight(
            weights in prop::collection::vec(-3.0_f32..3.0, 24),
        ) {
            for channels in [Channels::Columns(4), Channels::Rows { rows: 4, width: 6 }] {
                let fitted = Codes::of(&weights, channels, 127).expect("finite");
                let common = squared_error(&weights, channels, &at_the_limit(&weights, channels));
                prop_assert!(squared_error(&weights, channels, &fitted) <= common * (1.0 + 1e-6) + 1e-12);
            }
        }
    }

    #[test]
    fn coded_scales_cost_little_more_than_their_own_rounding() {
        let mut random = crate::Seed::new(5).stream("table");
        // Rows of very different size, as rare and common words have.
        let weights: Vec<f32> =
            (0..40 * 64).map(|at| single((random.next_f64() - 0.5) * f64::from(1 + at / 64 % 8))).collect();
        let channels = Channels::Rows { rows: 40, width: 64 };
        let fitted = Codes::of(&weights, channels, 127).expect("finite");
        let ScaledCodes { codes, scales, unit } = ScaledCodes::of(&weights, channels, 127).expect("finite");
        let coded = Codes { codes, scales: scales.iter().map(|scale| f32::from(*scale) * unit).collect() };
        let (least, got) = (squared_error(&weights, channels, &fitted), squared_error(&weights, channels, &coded));
        assert!(got < least * 1.1, "{got} where {least} is the least");
    }

    #[test]
    fn whole_multiples_of_one_scale_are_exact() {
        let codes = Codes::of(&[127.0, -64.0, 0.5, 0.0], Channels::Columns(2), 127).expect("finite");
        assert_eq!(codes.codes, [127, -127, 1, 0]);
        assert!((codes.scales[1] - 64.0 / 127.0).abs() < 1e-6);
    }

    #[test]
    fn zeros_and_the_smallest_numbers_have_a_scale_that_can_be_divided_by() {
        let codes = Codes::of(&[0.0, 1e-44, 0.0, -1e-45], Channels::Columns(2), 127).expect("finite");
        assert!(codes.scales.iter().all(|scale| scale.is_normal()), "{:?}", codes.scales);
        assert_eq!(codes.codes, [0; 4]);
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused() {
        for weight in [f32::NAN, f32::INFINITY] {
            let error = Codes::of(&[1.0, weight], Channels::Columns(1), 127).expect_err("no code");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
