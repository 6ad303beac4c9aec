//! Drift: whether current data still looks like the training data.

mod compare;
pub mod ks;
pub mod panel;
pub mod psi;
pub mod report;
mod section;

use crate::{drift::report::DriftReport, reference::Reference, sample::Sample};
use ml_core::{Error, Result};
use std::{fmt, sync::Arc};

/// Compares current data with the reference frozen at training time.
///
/// That something has moved is a finding, and so is that it cannot be told: both are in the report. Data whose schema has
/// drifted is not an error either, since a monitor that fails then is silent when it matters.
///
/// # Contract
/// 1. The data that was frozen has not moved. (check: `the_same_data_has_not_moved`)
/// 2. A column shifted by its whole range has moved, and a column that stayed has not. (check: `a_shifted_column_has_moved`)
/// 3. The order of the rows does not matter. (check: `row_order_does_not_matter`)
/// 4. The report has every column of the reference, in its order. (check: `every_reference_column_is_reported`)
/// 5. A sample without rows is undefined and has not moved. (check: `a_sample_without_rows_is_undefined`)
/// 6. Missing values are counted on both sides, and the same share of them has not moved. (check: `missing_values_are_counted`)
/// 7. A column that is missing from the sample, or of another kind, is undefined with the reason; a column unknown to the
///    reference is listed. (check: `schema_drift_is_a_finding`)
/// 8. Any number of threads may compare at once, with the same result. (check: `comparisons_repeat_across_threads`)
///
/// ```
/// use ml_core::Result;
/// use ml_monitor::{DriftDetector, Panel, KolmogorovSmirnov, PopulationStability, Reference, ReferenceParams, Sample};
/// use std::sync::Arc;
///
/// fn moved(detector: &dyn DriftDetector, reference: &Reference, current: &Sample) -> Result<Vec<String>> {
///     Ok(detector.compare(reference, current)?.moved().map(|column| column.name.clone()).collect())
/// }
///
/// let month = |from: i32, carrier| {
///     Sample::new()
///         .with_numbers("distance", (0..500).map(|i| f64::from(i % 50)))?
///         .with_numbers("wind", (0..500).map(|i| f64::from(from + i % 20)))?
///         .with_text("carrier", (0..500).map(|i| Some(if i % 2 == 0 { "UA" } else { carrier })))
/// };
/// let reference = Reference::freeze(&month(0, "DL")?, &ReferenceParams::default())?;
/// let detector = Panel::new(vec![
///     Arc::new(KolmogorovSmirnov::new(Default::default())?),
///     Arc::new(PopulationStability::new(Default::default())?),
/// ])?;
/// assert_eq!(moved(&detector, &reference, &month(0, "DL")?)?, Vec::<String>::new());
/// assert_eq!(moved(&detector, &reference, &month(9, "XX")?)?, ["wind", "carrier"]);
/// # Ok::<(), ml_core::Error>(())
/// ```
pub trait DriftDetector: fmt::Debug + Send + Sync + 'static {
    /// Compares every column of the reference. CPU work: async callers go through [`Compute`](ml_core::Compute).
    ///
    /// # Errors
    /// [`Internal`](ml_core::ErrorKind::Internal) only: whatever the sample holds is a finding.
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport>;
}

impl<D: DriftDetector + ?Sized> DriftDetector for Arc<D> {
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport> {
        (**self).compare(reference, current)
    }
}

impl<D: DriftDetector + ?Sized> DriftDetector for Box<D> {
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport> {
        (**self).compare(reference, current)
    }
}

/// Corrects p-values for the number of tests, so that alpha bounds the share of false findings among all findings. In the
/// order given.
///
/// Benjamini and Hochberg 1995, "Controlling the False Discovery Rate"; as `scipy.stats.false_discovery_control`.
///
/// ```
/// assert_eq!(ml_monitor::drift::benjamini_hochberg(&[0.01, 0.5, 0.02]), [0.03, 0.5, 0.03]);
/// ```
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (above, &at) in order.iter().enumerate() {
        let rank = p_values.len() - above;
        least = least.min(p_values[at] * p_values.len() as f64 / rank as f64);
        adjusted[at] = least;
    }
    adjusted
}

/// When a statistic means that a column has moved: it is large, and it is not chance.
///
/// Either alone misleads. Over a million rows every p-value is tiny; over thirty, statistics are large by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule {
    /// The least statistic that matters.
    threshold: f64,
    /// The greatest p-value, after the correction for many columns, that is not chance.
    alpha: f64,
}

impl Rule {
    fn new(threshold: f64, alpha: f64) -> Result<Self> {
        let refuse = |parameter, value: f64, must: &str| {
            Err(Error::invalid_input("a parameter is out of range")
                .with("parameter", parameter)
                .with("value", value)
                .with("must", must))
        };
        if !(threshold.is_finite() && threshold > 0.0) {
            return refuse("threshold", threshold, "be above zero");
        }
        if !(alpha > 0.0 && alpha < 1.0) {
            return refuse("alpha", alpha, "be between 0 and 1");
        }
        Ok(Self { threshold, alpha })
    }
}
