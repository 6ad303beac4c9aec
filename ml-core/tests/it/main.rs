//! Integration tests of ml-core.

mod bundle;
mod collective;
mod fuzz;
mod import;
#[cfg(feature = "ort")]
mod import_ort;
mod metric;
mod native;
mod node;
mod node_native;
#[cfg(feature = "ort")]
mod node_ort;
mod onnx;
mod onnx_proto;
mod optimize;
#[cfg(feature = "ort")]
mod own_process;
#[cfg(feature = "ort")]
mod provider;
#[cfg(all(unix, feature = "ort", feature = "quarantine"))]
mod quarantine;
#[cfg(feature = "ort")]
mod real_models;
mod runtime;
#[cfg(feature = "ort")]
mod runtime_ort;
#[cfg(feature = "tract")]
mod runtime_tract;
mod split;
mod threads;
mod trainer;
#[cfg(feature = "ort")]
mod trainer_ort;
mod trees;
