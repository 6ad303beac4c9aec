//! Bringing data in from outside.

#[cfg(feature = "parquet")]
pub mod parquet;
