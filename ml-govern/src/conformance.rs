//! Behavior suites for this crate's headline traits: see [`ml_core::conformance`] for how they run.

pub mod bias_auditor;
