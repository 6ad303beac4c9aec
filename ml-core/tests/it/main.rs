//! Integration tests of ml-core.

mod bundle;
mod collective;
mod metric;
mod onnx;
mod onnx_proto;
mod runtime;
#[cfg(feature = "ort")]
mod runtime_ort;
mod split;
mod trainer;
#[cfg(feature = "ort")]
mod trainer_ort;
mod trees;
