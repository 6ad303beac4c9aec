//! The public behavior suites of this crate. How they run is told in [`ml_core::conformance`].

pub mod server;
