//! Integration tests of ml-features.

mod feature_store;
mod offline_store;
mod online_store;
