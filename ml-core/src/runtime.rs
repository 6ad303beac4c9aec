//! Runtimes: what turns ONNX into a [`Model`].

pub mod native;
#[cfg(any(feature = "ort", feature = "tract"))]
mod no_rows;
#[cfg(feature = "ort")]
pub mod ort;
#[cfg(all(unix, feature = "quarantine"))]
pub mod quarantine;
mod selection;
#[cfg(feature = "tract")]
pub mod tract;

pub use selection::Runtimes;

use crate::{
    Compute, Error, Model, Result, Signature,
    onnx::{OnnxModel, check, proto::ModelProto},
};
use std::{fmt, num::NonZeroUsize, sync::Arc};

/// How to load a model.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Threads that one call to `predict` may use; 1 by default, since a server runs many calls at once.
    pub threads: NonZeroUsize,
    /// The pool to take these threads from, for runtimes that share their work on one: the native. Without it, a model that
    /// may use several threads starts its own.
    pub compute: Option<Compute>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { threads: NonZeroUsize::MIN, compute: None }
    }
}

/// What really runs a loaded model.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The runtime, such as `native` or `onnxruntime`.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The device or execution provider that runs the most nodes, such as `cpu`.
    pub provider: String,
    /// The nodes that each provider runs, as the runtime says after its own optimization; empty when it does not say.
    pub placements: Vec<Placement>,
    /// What the host listed before, and why it does not run the model.
    pub declined: Vec<Declined>,
    /// Threads that one call may use.
    pub threads: NonZeroUsize,
    /// Memory that the runtime's own allocator has taken for the loaded model before any call, in bytes, where it keeps count.
    pub memory_bytes: Option<u64>,
}

impl LoadReport {
    /// Reports on the processor with one thread.
    #[must_use]
    pub fn cpu(runtime: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            runtime: runtime.into(),
            version: version.into(),
            provider: "cpu".into(),
            placements: Vec::new(),
            declined: Vec::new(),
            threads: NonZeroUsize::MIN,
            memory_bytes: None,
        }
    }

    /// The same with another number of threads.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on {}", self.runtime, self.version, self.provider)?;
        if self.placements.len() > 1 {
            let shares: Vec<String> = self.placements.iter().map(Placement::to_string).collect();
            write!(f, " ({})", shares.join(", "))?;
        }
        write!(f, ", threads per call: {}", self.threads)?;
        self.declined.iter().try_for_each(|declined| write!(f, "; declined: {declined}"))
    }
}

/// The share of one provider in a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The provider, such as `cuda`.
    pub provider: String,
    /// The nodes that it runs.
    pub nodes: usize,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes on {}", self.nodes, self.provider)
    }
}

/// A runtime or a provider that the host listed, and why it does not run the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The runtime or provider, such as `native` or `tensorrt`.
    pub candidate: String,
    /// What it says.
    pub reason: String,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.candidate, self.reason)
    }
}

/// A model that is ready, and what runs it.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model.
    pub model: Arc<dyn Model>,
    /// What really runs it.
    pub report: LoadReport,
}

/// An engine that runs ONNX models.
///
/// # Contract
/// 1. `load` gives a model that keeps the contract of [`Model`]. (checks: those of [`Model`])
/// 2. What `supports` refuses, `load` refuses as [`Unsupported`](crate::ErrorKind::Unsupported), naming what is not supported. (check: `unsupported_is_named`)
/// 3. Bytes that are no ONNX model are an error, never a panic or abort. (check: `garbage_is_refused`)
/// 4. A signature that is not the graph's is [`InvalidInput`](crate::ErrorKind::InvalidInput) at load. (check: `foreign_signature_is_refused`)
/// 5. A model gives what the operators of its graph compute, and the report names what runs it. (check: `loaded_models_predict`)
///
/// ```
/// use ml_core::{InferenceRuntime, Model, Tensor, Tensors, signature::TensorSpec, tensor::DType};
/// use ml_core::onnx::graph::{Domain, GraphBuilder};
/// use ml_core::runtime::{LoadOptions, native::NativeRuntime};
///
/// let mut graph = GraphBuilder::new("squash");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1]))?;
/// let y = graph.node(Domain::Onnx, "Sigmoid", &[x], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [1]))?;
///
/// let loaded = NativeRuntime.load(&graph.finish()?, &LoadOptions::default())?;
/// let outputs = loaded.model.predict(&Tensors::new().with("x", Tensor::column(vec![0.0_f32]))?)?;
/// assert_eq!(outputs.require("y")?.values::<f32>()?, [0.5]);
/// println!("{}", loaded.report); // what really runs it
/// # Ok::<(), ml_core::Error>(())
/// ```
pub trait InferenceRuntime: fmt::Debug + Send + Sync + 'static {
    /// The name, such as `native`; a [`LoadReport`] says it of the runtime that took the model.
    fn name(&self) -> &str;

    /// Whether [`load`](InferenceRuntime::load) can take this model, as far as can be told without loading.
    fn supports(&self, model: &OnnxModel) -> bool;

    /// Loads a model. CPU work.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for bytes that are no ONNX model, [`Unsupported`](crate::ErrorKind::Unsupported)
    /// for what this runtime cannot run, [`Unavailable`](crate::ErrorKind::Unavailable) when its library is not there.
    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel>;
}

impl<R: InferenceRuntime + ?Sized> InferenceRuntime for Arc<R> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        (**self).supports(model)
    }

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        (**self).load(model, options)
    }
}

/// A model is called with the signature it was stored with, so that has to be the one of its graph.
fn check_signature(graph: &ModelProto, signature: &Signature) -> Result<()> {
    if check::signature(graph)? == *signature {
        Ok(())
    } else {
        Err(Error::invalid_input("the signature is not the one of the graph"))
    }
}
