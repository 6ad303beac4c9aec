//! Public behavior suites for registries, trackers and artifact stores; see [`ml_core::conformance`].

pub mod artifact_store;
pub mod experiment_tracker;
pub mod registry;
