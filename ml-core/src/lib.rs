//! The vocabulary that every crate of ml-platform speaks: errors, ids, time, tables, tensors, data sets, metrics,
//! trainers, runtimes, the model bundle, and the ports through which the sibling crates meet.
//!
//! | to | start at |
//! |---|---|
//! | bring rows in memory to a trainer | [`Table`], [`Dataset`], [`split`] |
//! | learn a model and measure it | [`Trainer`], [`trainer::linear`], [`trainer::logistic`], [`metric`] |
//! | freeze all that has to be known about it | [`trainer::bundle`], [`Bundle`] |
//! | run it, or any ONNX model | [`runtime`], [`InferenceRuntime`], [`Model`], [`Tensors`] |
//! | bring in a model of LightGBM, XGBoost or another exporter | [`import`] |
//! | write a graph by hand, or check one | [`onnx`] |
//! | make a model smaller and faster | [`optimize`] |
//! | put something of your own between the crates | [`port`] |
//! | show what was found | [`report`] |
//!
//! Every error is an [`Error`], whose kind says what a caller can do. CPU work in async code goes through [`Compute`].
//!
//! `ml-core` imports no sibling; the others import only `ml-core`.

pub mod bundle;
pub mod cancel;
pub mod collective;
pub mod compute;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dataset;
pub mod error;
pub mod id;
pub mod import;
pub mod metric;
pub mod model;
pub mod onnx;
pub mod optimize;
pub mod port;
pub mod report;
pub mod runtime;
pub mod seed;
pub mod signature;
pub mod split;
pub mod table;
pub mod tensor;
pub mod time;
pub mod trainer;
pub mod transform;

/// The one Arrow of the family: depend on this re-export rather than on a version of your own.
pub use arrow;

pub use bundle::Bundle;
pub use cancel::CancelToken;
pub use compute::Compute;
pub use dataset::Dataset;
pub use error::{Error, ErrorKind, Result};
pub use model::Model;
pub use runtime::InferenceRuntime;
pub use seed::Seed;
pub use signature::Signature;
pub use table::Table;
pub use tensor::{Tensor, Tensors};
pub use trainer::Trainer;

/// A boxed stream, as returned by object-safe traits.
pub type BoxStream<'a, T> = std::pin::Pin<Box<dyn futures_core::Stream<Item = T> + Send + 'a>>;
