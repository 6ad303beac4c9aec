//! Fewer weights: single ones set to zero, or whole units taken out.

mod chain;
mod magnitude;
mod structured;

pub use magnitude::{MagnitudePrune, MagnitudePruneParams};
pub use structured::{StructuredPrune, StructuredPruneParams};

use crate::{Error, Result};

/// Refuses a share that leaves nothing, or is none.
fn check_fraction(fraction: f64) -> Result<()> {
    if (0.0..1.0).contains(&fraction) {
        Ok(())
    } else {
        Err(Error::invalid_input("the share to prune is from 0 to below 1").with("fraction", fraction))
    }
}

/// How many of `count` are pruned, rounded down.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most one of a count that fits memory"
)]
fn share_of(count: usize, fraction: f64) -> usize {
    ((count as f64 * fraction) as usize).min(count)
}

/// Refuses weights that cannot be compared.
fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::invalid_input("a weight is NaN or infinite")
            .with("weight", value)
            .with("tensor", name.escape_debug())),
        None => Ok(()),
    }
}
