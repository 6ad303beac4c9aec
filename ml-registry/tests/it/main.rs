//! Integration tests of ml-registry.

mod artifact_store;
mod experiment_tracker;
mod registry;
