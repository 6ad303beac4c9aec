//! Promotion gates: what has to be shown before a version gets an alias.

mod all;
mod evidence;

pub use all::All;
pub use evidence::{EvidenceGate, GateParams};
