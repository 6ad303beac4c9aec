//! Ranges of activations, and how they follow from what was seen.

use crate::{Error, Result};

/// How the range of an activation follows from what was seen of it.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeMethod {
    /// From the smallest to the largest number.
    MinMax,
    /// The range that holds this share of the numbers, with as many cut off at either end: 0.9999 leaves out one of ten
    /// thousand.
    Percentile(f64),
    /// The range whose codes tell least less than the numbers themselves: the least Kullback-Leibler divergence between
    /// the histogram of absolute values and the one of 128 levels (Migacz 2017, "8-bit inference with TensorRT").
    Entropy,
}

impl RangeMethod {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Percentile(share) if !(share > 0.0 && share <= 1.0) => {
                Err(Error::invalid_input("a percentile is a share above 0 and up to 1").with("share", share))
            }
            _ => Ok(()),
        }
    }

    /// Whether the numbers have to be seen once more, sorted into bins.
    pub(super) const fn needs_histogram(self) -> bool {
        !matches!(self, Self::MinMax)
    }
}

/// The numbers that codes stand for; zero is always among them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    low: f32,
    high: f32,
}

impl Range {
    pub(super) fn new(low: f32, high: f32) -> Self {
        Self { low: low.min(0.0), high: high.max(0.0) }
    }

    /// Step and zero point of codes from 0 to 255.
    pub(super) fn unsigned(self) -> (f32, u8) {
        let step = usable((f64::from(self.high) - f64::from(self.low)) / 255.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        let zero = (-self.low / step).round().clamp(0.0, 255.0) as u8;
        (step, zero)
    }

    /// Step of codes from -127 to 127.
    pub(super) fn signed(self) -> f32 {
        usable(f64::from(self.high.max(-self.low)) / 127.0)
    }
}

/// A step that can be divided by: an activation that is always zero has code zero whatever the step.
fn usable(step: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "scales are in single precision")]
    let step = step as f32;
    if step.is_normal() { step } else { 1.0 }
}

/// Bins of a histogram.
const BINS: usize = 2048;

/// Levels of half a range in 8 bits.
const LEVELS: usize = 128;

/// What was seen of an activation.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    low: f32,
    high: f32,
    count: u64,
    /// Counts between the smallest and the largest number.
    bins: Vec<u64>,
    /// Counts of absolute values between zero and the largest.
    absolute: Vec<u64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { low: f32::INFINITY, high: f32::NEG_INFINITY, count: 0, bins: Vec::new(), absolute: Vec::new() }
    }
}

impl Seen {
    /// Takes note of the ends of the range.
    pub(super) fn widen(&mut self, values: &[f32]) -> Result<()> {
        for value in values {
            if !value.is_finite() {
                return Err(Error::invalid_input("an activation is NaN or infinite").with("value", value));
            }
            self.low = self.low.min(*value);
            self.high = self.high.max(*value);
        }
        self.count += values.len() as u64;
        Ok(())
    }

    /// Sorts numbers within the ends into bins.
    pub(super) fn count(&mut self, values: &[f32]) {
        self.bins.resize(BINS, 0);
        self.absolute.resize(BINS, 0);
        let (low, width) = (f64::from(self.low), f64::from(self.high) - f64::from(self.low));
        let largest = self.largest();
        for value in values {
            let value = f64::from(*value);
            self.bins[bin(value - low, width)] += 1;
            // Zero has a code of its own, so its share, which is half behind a `Relu`, says nothing about the range.
            self.absolute[bin(value.abs(), largest)] += u64::from(value != 0.0);
        }
    }

    pub(super) fn range(&self, method: RangeMethod) -> Range {
        if self.count == 0 {
            return Range::new(0.0, 0.0);
        }
        match method {
            RangeMethod::MinMax => Range::new(self.low, self.high),
            RangeMethod::Percentile(share) => self.percentile(share),
            RangeMethod::Entropy => self.entropy(),
        }
    }

    fn largest(&self) -> f64 {
        f64::from(self.high.max(-self.low))
    }

    fn percentile(&self, share: f64) -> Range {
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
        let most = self.count as f64 * (1.0 - share) / 2.0;
        let width = (f64::from(self.high) - f64::from(self.low)) / as_f64(BINS);
        let cut = |bins: &mut dyn Iterator<Item = &u64>| {
            let (mut below, mut whole) = (0.0, 0);
            for count in bins {
                #[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
                let more = below + *count as f64;
                if more > most {
                    break;
                }
                (below, whole) = (more, whole + 1);
            }
            as_f64(whole) * width
        };
        let (left, right) = (cut(&mut self.bins.iter()), cut(&mut self.bins.iter().rev()));
        Range::new(single(f64::from(self.low) + left), single(f64::from(self.high) - right))
    }

    fn entropy(&self) -> Range {
        let mut best = (f64::INFINITY, BINS);
        for bins in (LEVELS..=BINS).step_by(8) {
            let divergence = divergence(&self.absolute, bins);
            if divergence < best.0 {
                best = (divergence, bins);
            }
        }
        let bound = single(self.largest() * as_f64(best.1) / as_f64(BINS));
        Range::new(self.low.max(-bound), self.high.min(bound))
    }
}

/// The divergence of the first `bins` with the rest put into the last of them, from what 128 levels keep of them.
fn divergence(counts: &[u64], bins: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^52")]
    let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
    let (kept, cut) = counts.split_at(bins);
    let total: f64 = counts.iter().sum();
    let within: f64 = kept.iter().sum();
    if within == 0.0 {
        return f64::INFINITY;
    }
    let cut: f64 = cut.iter().sum();
    let mut sum = 0.0;
    for level in 0..LEVELS {
        let part = &kept[level * bins / LEVELS..(level + 1) * bins / LEVELS];
        let filled = part.iter().filter(|count| **count > 0.0).count();
        let mean = part.iter().sum::<f64>() / as_f64(filled.max(1));
        for (at, count) in part.iter().enumerate() {
            let is_last = level * bins / LEVELS + at + 1 == bins;
            let p = (count + if is_last { cut } else { 0.0 }) / total;
            if p > 0.0 {
                // A code that stands for nothing that was seen keeps nothing of it.
                let q = if *count > 0.0 { mean / within } else { f64::MIN_POSITIVE };
                sum += p * (p / q).ln();
            }
        }
    }
    sum
}

/// The bin of a number from zero to `width`.
fn bin(value: f64, width: f64) -> usize {
    if width <= 0.0 {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of a bin")]
    let at = (value / width * as_f64(BINS)).max(0.0) as usize;
    at.min(BINS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of bins")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "between two numbers of single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn seen(values: &[f32]) -> Seen {
        let mut seen = Seen::default();
        seen.widen(values).expect("finite");
        seen.count(values);
        seen
    }

    /// A bell over -4 to 4 (the sum of twelve uniform numbers), and one number far out.
    fn bell() -> Vec<f32> {
        let mut random = crate::Seed::new(11).stream("bell");
        let mut values: Vec<f32> =
            (0..20_000).map(|_| single((0..12).map(|_| random.next_f64()).sum::<f64>() - 6.0)).collect();
        values.push(40.0);
        values
    }

    #[test]
    fn zero_has_a_code_and_the_ends_are_reached() {
        let (step, zero) = Range::new(-1.0, 3.0).unsigned();
        assert_eq!(zero, 64);
        assert!((f32::from(255 - zero) * step - 3.0).abs() < step);
        assert_eq!(Range::new(2.0, 5.1).unsigned(), (0.02, 0), "zero is always among the numbers");
        assert_eq!(Range::new(0.0, 0.0).unsigned(), (1.0, 0));
        assert_eq!(Range::new(-12.7, 1.0).signed(), 0.1);
    }

    #[test]
    fn a_number_far_out_widens_only_the_range_from_end_to_end() {
        let seen = seen(&bell());
        let high = |method| seen.range(method).high;
        assert_eq!(high(RangeMethod::MinMax), 40.0);
        assert!((3.0..5.0).contains(&high(RangeMethod::Percentile(0.999))), "{}", high(RangeMethod::Percentile(0.999)));
        assert!((3.0..12.0).contains(&high(RangeMethod::Entropy)), "{}", high(RangeMethod::Entropy));
        assert_eq!(high(RangeMethod::Percentile(1.0)), 40.0);
    }

    #[test]
    fn what_is_never_negative_has_a_range_from_zero() {
        let values: Vec<f32> = bell().iter().map(|value| value.abs()).collect();
        for method in [RangeMethod::MinMax, RangeMethod::Percentile(0.999), RangeMethod::Entropy] {
            assert_eq!(seen(&values).range(method).low, 0.0);
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let error = Seen::default().widen(&[1.0, f32::NAN]).expect_err("NaN");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        for share in [0.0, 1.1, f64::NAN] {
            assert!(RangeMethod::Percentile(share).check().is_err());
        }
    }
}
