//! Integration tests of ml-registry.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod artifact_store;
mod child;
mod crash;
mod damage;
mod experiment_tracker;
mod gate;
mod processes;
mod publish;
mod registry;
