//! Integration tests of ml-features.

mod crash;
mod faults;
mod feature_store;
mod offline_store;
mod online_store;
mod parquet;
mod point_in_time;
