//! The two-sample test of Kolmogorov and Smirnov.

mod exact;
mod limit;

use super::{
    DriftDetector, Rule,
    compare::{Measure, compare},
    report::{DriftReport, Outcome},
};
use crate::{
    reference::{Frozen, FrozenNumbers, Reference},
    sample::Sample,
};
use ml_core::Result;

/// When [`KolmogorovSmirnov`] says that a column has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct KsParams {
    /// The least statistic that matters, above 0: 0.1 by default, a tenth of the rows on the other side of some value.
    pub threshold: f64,
    /// The greatest corrected p-value that is not chance, between 0 and 1: 0.05 by default, so that at most one in twenty
    /// columns reported has not moved.
    pub alpha: f64,
}

impl Default for KsParams {
    fn default() -> Self {
        Self { threshold: 0.1, alpha: 0.05 }
    }
}

/// The greatest distance between the distribution functions of reference and current values.
///
/// For numeric columns; the order it compares is one that categories do not have. The p-value is exact where the product
/// of both sizes is at most 2¹⁸, counting ties as if they were broken (then it is too large, never too small), and
/// asymptotic otherwise: that of the one-sample statistic for `n·m/(n+m)` values, as in scipy's `ks_2samp`. P-values are
/// corrected over the columns by Benjamini and Hochberg. Missing values are left out.
///
/// The current values are counted between those of the reference, which are sorted already: nothing is sorted here.
///
/// ```
/// use ml_monitor::{DriftDetector, KolmogorovSmirnov, KsParams, Reference, ReferenceParams, Sample};
///
/// let sample = |values: &[f64]| Sample::new().with_numbers("x", values.iter().copied());
/// let reference = Reference::freeze(&sample(&[1.0, 2.0, 3.0, 4.0])?, &ReferenceParams::default())?;
/// let report = KolmogorovSmirnov::new(KsParams::default())?.compare(&reference, &sample(&[3.5, 4.0, 5.0])?)?;
/// // scipy.stats.ks_2samp([1, 2, 3, 4], [3.5, 4, 5])
/// assert_eq!(report.columns[0].findings[0].statistic, Some(0.75));
/// assert!((report.columns[0].findings[0].p_value.unwrap() - 0.22857142857142856).abs() < 1e-12);
/// assert!(!report.has_moved(), "three values may be chance");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct KolmogorovSmirnov(Rule);

impl KolmogorovSmirnov {
    /// Makes the detector.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a parameter is out of range.
    pub fn new(params: KsParams) -> Result<Self> {
        Rule::new(params.threshold, params.alpha).map(Self)
    }
}

impl DriftDetector for KolmogorovSmirnov {
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport> {
        Ok(compare("ks", self.0, reference, current, |frozen, column| match (frozen.frozen(), column.numbers()) {
            (Frozen::Numeric(numbers), Some(values)) => measure(numbers, values),
            _ => Measure::None(Outcome::NotApplicable("categories have no order".into())),
        }))
    }
}

fn measure(reference: &FrozenNumbers, current: &[f32]) -> Measure {
    if reference.values.is_empty() {
        return Measure::None(Outcome::Undefined("the reference has no values".into()));
    }
    let Distance { numerator, n, m } = distance(reference, current);
    if m == 0 {
        return Measure::None(Outcome::Undefined("there are no values".into()));
    }
    let statistic = numerator as f64 / (n as f64 * m as f64);
    let p_value = if u128::from(n) * u128::from(m) <= MAX_EXACT_CELLS {
        exact::survival(n, m, numerator)
    } else {
        let effective = (n as f64 * m as f64 / (n as f64 + m as f64)).round_ties_even();
        limit::survival(effective, statistic)
    };
    Measure::Value { statistic, p_value }
}

/// The statistic as a fraction of integers, `numerator / (n·m)`: ties of distances are then exact.
struct Distance {
    numerator: u128,
    n: u64,
    m: u64,
}

fn distance(reference: &FrozenNumbers, current: &[f32]) -> Distance {
    // For each reference value, the current values strictly below it (and above the one before), and those equal to it.
    let values = reference.values.as_slice();
    let mut places = vec![[0_u64; 2]; values.len() + 1];
    let mut m = 0;
    for &value in current.iter().filter(|value| !value.is_nan()) {
        let place = values.partition_point(|&known| known < value);
        let is_equal = values.get(place) == Some(&value);
        places[place][usize::from(is_equal)] += 1;
        m += 1;
    }
    let n = reference.counts.iter().map(|&count| u64::from(count)).sum();
    let (mut i, mut j, mut numerator) = (0_u64, 0_u64, 0);
    let mut widen = |i: u64, j: u64| {
        numerator = numerator.max((u128::from(i) * u128::from(m)).abs_diff(u128::from(j) * u128::from(n)));
    };
    for (&count, [below, equal]) in reference.counts.iter().zip(&places) {
        j += below;
        widen(i, j);
        i += u64::from(count);
        j += equal;
        widen(i, j);
    }
    Distance { numerator, n, m }
}

/// Half a millisecond of work for the exact p-value at most.
const MAX_EXACT_CELLS: u128 = 1 << 18;
