//! What a host allows a model to lose.

use super::Measure;
use crate::{Error, Result};

/// Refuses a model that is worse than the original by more than the host allows.
///
/// ```
/// use ml_core::optimize::{AccuracyGate, Measure};
///
/// let gate = AccuracyGate::new(Measure::Accuracy, 0.005)?;
/// assert_eq!(gate.max_loss(), 0.005);
/// assert!(AccuracyGate::new(Measure::Accuracy, f64::NAN).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccuracyGate {
    measure: Measure,
    max_loss: f64,
}

impl AccuracyGate {
    /// Allows a [loss](Measure::loss) of at most `max_loss`, in the unit of the measure.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the loss is not a number of zero or more.
    pub fn new(measure: Measure, max_loss: f64) -> Result<Self> {
        if max_loss.is_finite() && max_loss >= 0.0 {
            Ok(Self { measure, max_loss })
        } else {
            Err(Error::invalid_input("a loss that is allowed is a number of zero or more").with("max_loss", max_loss))
        }
    }

    /// What is compared.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// How much of it may be lost.
    #[must_use]
    pub const fn max_loss(&self) -> f64 {
        self.max_loss
    }

    /// Whether a model that lost this much passes; a loss that is NaN does not.
    #[must_use]
    pub fn allows(&self, lost: f64) -> bool {
        lost <= self.max_loss
    }
}
