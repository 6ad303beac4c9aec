//! Several detectors as one.

use super::{DriftDetector, report::DriftReport};
use crate::{reference::Reference, sample::Sample};
use ml_core::{Error, Result};
use std::sync::Arc;

/// Asks every detector and puts their findings side by side: a column has moved if one of them says so.
///
/// ```
/// use ml_monitor::{KolmogorovSmirnov, Panel, PopulationStability};
/// use std::sync::Arc;
///
/// let detector = Panel::new(vec![
///     Arc::new(KolmogorovSmirnov::new(Default::default())?),
///     Arc::new(PopulationStability::new(Default::default())?),
/// ])?;
/// assert!(Panel::new(vec![]).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Panel(Vec<Arc<dyn DriftDetector>>);

impl Panel {
    /// Keeps the detectors, in the order in which their findings are to stand.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when there are none.
    pub fn new(detectors: Vec<Arc<dyn DriftDetector>>) -> Result<Self> {
        if detectors.is_empty() {
            return Err(Error::invalid_input("a panel needs a detector"));
        }
        Ok(Self(detectors))
    }
}

impl DriftDetector for Panel {
    fn compare(&self, reference: &Reference, current: &Sample) -> Result<DriftReport> {
        let mut reports = self.0.iter().map(|detector| detector.compare(reference, current));
        let mut all = reports.next().ok_or_else(|| Error::internal("a panel has a detector"))??;
        for report in reports {
            let report = report?;
            if !all.columns.iter().map(|column| &column.name).eq(report.columns.iter().map(|column| &column.name)) {
                return Err(Error::internal("a detector did not report every column of the reference"));
            }
            for (column, other) in all.columns.iter_mut().zip(report.columns) {
                column.findings.extend(other.findings);
            }
        }
        Ok(all)
    }
}
