//! Behavior suites: run them over a store of your own with [`online_store_conformance`](crate::online_store_conformance),
//! [`offline_store_conformance`](crate::offline_store_conformance) and
//! [`feature_store_conformance`](crate::feature_store_conformance). How they run is told in [`ml_core::conformance`].

pub mod feature_store;
pub mod offline_store;
pub mod online_store;
mod sample;
