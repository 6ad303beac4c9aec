//! The population stability index.

use super::{
    DriftDetector, Rule,
    compare::{Measure, compare},
    report::{DriftReport, Outcome},
};
use crate::{
    reference::{Frozen, Reference, count_bins},
    sample::{Sample, Values},
};
use ml_core::Result;
use statrs::function::gamma;

/// When [`PopulationStability`] says that a column has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct PsiParams {
    /// The least index that matters, above 0: 0.2 by default, the bound of practice for "has changed".
    pub threshold: f64,
    /// The greatest corrected p-value that is not chance, between 0 and 1: 0.05 by default.
    pub alpha: f64,
    /// The fewest rows of a sample of which anything is said: 50 by default, five for each of ten bins. The distribution of
    /// the p-value is that of many rows; with fewer it is too small.
    pub min_rows: usize,
}

impl Default for PsiParams {
    fn default() -> Self {
        Self { threshold: 0.2, alpha: 0.05, min_rows: 50 }
    }
}

/// The population stability index: `Σ (current - reference) · ln(current / reference)` over shares of rows in bins.
///
/// - A numeric column is cut at the quantiles of the reference (equal ones count once; the bins below and above all
///   reference values are open), a categorical one by category. Categories that the reference has not seen, or was too
///   full to keep, share a bin.
/// - Missing values have a bin of their own, so that a column that goes missing has moved.
/// - Shares below 0.0001 count as 0.0001, so that an empty bin is large and not infinite. The sums are not rescaled.
///
/// The index of unchanged data is about `(bins - 1)(1/n + 1/m)`, far above any fixed bound when rows are few or categories
/// many. Therefore a column has moved only if its p-value says so too: index over `1/n + 1/m` is chi-squared with
/// `bins - 1` degrees of freedom (Yurdakul 2018, "Statistical Properties of Population Stability Index"), bins without
/// rows on either side left out. P-values are corrected over the columns by Benjamini and Hochberg. Of fewer than
/// [`min_rows`](PsiParams::min_rows) rows nothing is said.
///
/// ```
/// use ml_monitor::{DriftDetector, PopulationStability, PsiParams, Reference, ReferenceParams, Sample};
///
/// let sample = |shares: [usize; 2]| {
///     let rows = ["a", "b"].into_iter().zip(shares).flat_map(|(name, count)| vec![Some(name); count]);
///     Sample::new().with_text("c", rows)
/// };
/// let reference = Reference::freeze(&sample([50, 50])?, &ReferenceParams::default())?;
/// let report = PopulationStability::new(PsiParams::default())?.compare(&reference, &sample([80, 20])?)?;
/// // 0.3 ln 1.6 - 0.3 ln 0.4
/// assert!((report.columns[0].findings[0].statistic.unwrap() - 0.4158883083).abs() < 1e-9);
/// assert!(report.has_moved());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PopulationStability {
    rule: Rule,
    min_rows: usize,
}

impl PopulationStability {
    /// Makes the detector.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a parameter is out of range.
    pub fn new(params: PsiParams) -> Result<Self> {
        Ok(Self { rule: Rule::new(params.threshold, params.alpha)?, min_rows: params.min_rows })
    }
}

impl DriftDetector for PopulationStability {
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport> {
        Ok(compare("psi", self.rule, reference, current, |frozen, column| {
            if column.rows() < self.min_rows {
                return Measure::None(Outcome::Undefined(format!("there are fewer than {} rows", self.min_rows)));
            }
            let (before, now) = match (frozen.frozen(), column.values()) {
                (Frozen::Numeric(numbers), Values::Numeric(values)) => {
                    (numbers.bins.clone(), count_bins(&numbers.edges, values))
                }
                (Frozen::Categorical(categories), Values::Categorical(values)) => {
                    let known = categories.counts.iter().copied();
                    (known.chain([categories.other]).collect(), categories.count(values))
                }
                _ => return Measure::None(Outcome::Undefined("the column is of another kind".into())),
            };
            let with_missing = |mut counts: Vec<u64>, missing| {
                counts.push(missing);
                counts
            };
            let before = with_missing(before, frozen.missing());
            let now = with_missing(now, column.missing() as u64);
            measure(&before, &now)
        }))
    }
}

fn measure(reference: &[u64], current: &[u64]) -> Measure {
    let (n, m) = (reference.iter().sum::<u64>() as f64, current.iter().sum::<u64>() as f64);
    let mut statistic = 0.0;
    let mut bins = 0_u32;
    for (&before, &now) in reference.iter().zip(current).filter(|&(&before, &now)| before + now > 0) {
        let (before, now) = ((before as f64 / n).max(MIN_SHARE), (now as f64 / m).max(MIN_SHARE));
        statistic += (now - before) * (now / before).ln();
        bins += 1;
    }
    let scaled = statistic / (1.0 / n + 1.0 / m);
    let p_value = match bins.saturating_sub(1) {
        0 => 1.0,
        _ if scaled <= 0.0 => 1.0,
        degrees => gamma::gamma_ur(f64::from(degrees) / 2.0, scaled / 2.0).clamp(0.0, 1.0),
    };
    Measure::Value { statistic, p_value }
}

const MIN_SHARE: f64 = 1e-4;
