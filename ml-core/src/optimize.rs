//! Smaller and faster models, from Rust: quantization, half precision, pruning, smaller trees, folded constants.
//!
//! A [`Pass`] takes an ONNX model and gives another with the same signature, and says what it [changed](Changes). An
//! [`Optimizer`] runs passes one after the other and, on data of the host and through a runtime of the host, measures
//! what each of them gained and lost. An [`AccuracyGate`] refuses what lost more than the host allows: that is a finding,
//! and no error.
//!
//! | pass | what it does | what it needs | loses accuracy |
//! |---|---|---|---|
//! | [`RemoveDeadNodes`] | drops nodes and constants that nothing reads | nothing | nothing |
//! | [`FoldConstants`] | computes once what no input changes | nothing | nothing |
//! | [`ShrinkTrees`] | ensembles of trees with fewer nodes | nothing | nothing; with rounded thresholds a little |
//! | [`DynamicInt8`] | weights of dense layers and embeddings in 8 bits | nothing | a little |
//! | [`StaticInt8`] | weights and activations of dense layers and convolutions in 8 bits | rows for calibration | a little, more on other rows |
//! | [`Fp16`] | weights and most arithmetic in half precision | nothing | very little |
//! | [`StructuredPrune`] | takes whole units and feature maps out | nothing, or training afterwards | by how many |
//! | [`MagnitudePrune`] | sets small weights to zero | nothing, or training afterwards | by how many |
//!
//! ```
//! use ml_core::{
//!     Tensor, Tensors,
//!     onnx::graph::{Domain, GraphBuilder},
//!     optimize::{AccuracyGate, Evaluation, Measure, Optimizer, StructuredPrune, StructuredPruneParams},
//!     runtime::native::NativeRuntime,
//!     signature::TensorSpec,
//!     tensor::DType,
//! };
//! use std::sync::Arc;
//!
//! let mut graph = GraphBuilder::new("two layers");
//! let x = graph.input(TensorSpec::batched("x", DType::Fp32, [8]))?;
//! let waves = |count: usize| (0..count).map(|i| (i as f32).sin()).collect::<Vec<_>>();
//! let (w, v) = (Tensor::new([8, 100], waves(800))?, Tensor::new([100, 3], waves(300))?);
//! let (w, v) = (graph.initializer(w), graph.initializer(v));
//! let hidden = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
//! let hidden = graph.node(Domain::Onnx, "Relu", &[hidden], vec![]);
//! let y = graph.node(Domain::Onnx, "MatMul", &[hidden, v], vec![]);
//! graph.output(y, TensorSpec::batched("y", DType::Fp32, [3]))?;
//! let model = graph.finish()?;
//!
//! // Half of the units go, if nine of ten answers stay the same.
//! let rows = Tensors::new().with("x", Tensor::new([50, 8], waves(400))?)?;
//! let evaluation = Evaluation::new(Arc::new(NativeRuntime), rows)?
//!     .with_gate(AccuracyGate::new(Measure::Agreement, 0.1)?)?;
//! let half = StructuredPrune::new(StructuredPruneParams { fraction: 0.5 })?;
//! let optimized = Optimizer::new().with_pass(half).with_evaluation(evaluation).run(&model)?;
//! println!("{}", optimized.report());
//! match optimized.into_model() {
//!     Some(smaller) => assert!(smaller.bytes.len() < model.bytes.len()),
//!     None => println!("the model stays as it is"),
//! }
//! # Ok::<(), ml_core::Error>(())
//! ```
//!
//! Passes work on the main graph. Graphs within nodes (`If`, `Loop`, `Scan`) and model-local functions are carried along
//! unchanged, and so is what a pass does not know.

mod changes;
mod dynamic_int8;
mod evaluation;
mod fold_constants;
mod fp16;
mod gate;
mod measure;
mod network;
mod predictions;
mod prune;
mod quantize;
mod remove_dead_nodes;
mod report;
mod rows;
mod shrink_trees;
mod static_int8;

pub use changes::{Changes, LeftAlone};
pub use dynamic_int8::{DynamicInt8, DynamicInt8Params};
pub use evaluation::Evaluation;
pub use fold_constants::{FoldConstants, FoldConstantsParams};
pub use fp16::{Fp16, Fp16Params};
pub use gate::AccuracyGate;
pub use measure::{Labels, Measure};
pub use prune::{MagnitudePrune, MagnitudePruneParams, StructuredPrune, StructuredPruneParams};
pub use remove_dead_nodes::RemoveDeadNodes;
pub use report::{Latency, Report, Score, Step, Verdict};
pub use rows::inputs;
pub use shrink_trees::{ShrinkTrees, ShrinkTreesParams};
pub use static_int8::{ActivationType, Calibration, RangeMethod, StaticInt8, StaticInt8Params};

use crate::{Error, Result, onnx::OnnxModel};
use std::{fmt, sync::Arc};

/// A change of a model that keeps its signature.
///
/// A host writes its own by taking [`OnnxModel::bytes`] apart.
///
/// # Contract
/// 1. The new model has the signature of the old one. [`Optimizer::run`] refuses another.
/// 2. The same model gives the same new model.
pub trait Pass: fmt::Debug + Send + Sync + 'static {
    /// A short name for reports, such as `int8-dynamic`.
    fn name(&self) -> &'static str;

    /// Makes the new model. CPU work.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for a node that cannot be what its operator says, naming the node;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the pass cannot take the model at all.
    fn apply(&self, model: &OnnxModel) -> Result<Applied>;
}

impl<P: Pass + ?Sized> Pass for Arc<P> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        (**self).apply(model)
    }
}

/// What a [`Pass`] made of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The new model.
    pub model: OnnxModel,
    /// What is different.
    pub changes: Changes,
}

/// Runs passes one after the other, and measures.
///
/// ```
/// use ml_core::{
///     Tensor,
///     onnx::graph::{Domain, GraphBuilder},
///     optimize::{DynamicInt8, Optimizer},
///     signature::TensorSpec,
///     tensor::DType,
/// };
///
/// let mut graph = GraphBuilder::new("dense");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [64]))?;
/// let w = graph.initializer(Tensor::new([64, 32], (0..64 * 32).map(|i| (i as f32).sin()).collect())?);
/// let b = graph.initializer(Tensor::vector(vec![0.5_f32; 32]));
/// let y = graph.node(Domain::Onnx, "Gemm", &[x, w, b], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [32]))?;
/// let model = graph.finish()?;
///
/// // Without data, only sizes are measured.
/// let optimized = Optimizer::new().with_pass(DynamicInt8::new(Default::default())?).run(&model)?;
/// println!("{}", optimized.report());
/// let smaller = optimized.into_model().expect("no gate was asked");
/// assert!(smaller.bytes.len() < model.bytes.len() / 2);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Optimizer {
    passes: Vec<Box<dyn Pass>>,
    evaluation: Option<Evaluation>,
}

impl Optimizer {
    /// No passes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pass behind those that are there.
    #[must_use]
    pub fn with_pass(mut self, pass: impl Pass) -> Self {
        self.passes.push(Box::new(pass));
        self
    }

    /// Measures every step on data, and refuses what its gate refuses.
    #[must_use]
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.evaluation = Some(evaluation);
        self
    }

    /// Runs the passes in order, up to the first whose model the gate refuses. CPU work.
    ///
    /// # Errors
    /// As [`Pass::apply`], naming the pass; [`Internal`](crate::ErrorKind::Internal) when a pass breaks its contract; as the runtime of the evaluation, when it cannot load or run a model;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the data do not fit the model.
    pub fn run(&self, model: &OnnxModel) -> Result<Optimized> {
        let baseline = self.evaluation.as_ref().map(|evaluation| evaluation.baseline(model)).transpose()?;
        let gate = self.evaluation.as_ref().and_then(Evaluation::gate);
        let mut report = Report::new(model, baseline.as_ref(), gate);
        let mut current = model.clone();
        for pass in &self.passes {
            let Applied { model: next, changes } =
                pass.apply(&current).map_err(|error| error.op("optimize").with("pass", pass.name()))?;
            if next.signature != model.signature {
                return Err(Error::internal("a pass changed the signature of the model")
                    .op("optimize")
                    .with("pass", pass.name()));
            }
            let measured = baseline
                .as_ref()
                .map(|baseline| baseline.measure(&next))
                .transpose()
                .map_err(|error| error.with("pass", pass.name()))?;
            report.push(pass.name(), &next, changes, measured, gate);
            if !report.verdict.is_accepted() {
                return Ok(Optimized { model: None, report });
            }
            current = next;
        }
        Ok(Optimized { model: Some(current), report })
    }
}

/// What an [`Optimizer`] made of a model, and what it measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimized {
    model: Option<OnnxModel>,
    report: Report,
}

impl Optimized {
    /// What was measured.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The new model; none when the gate refused it.
    #[must_use]
    pub fn model(&self) -> Option<&OnnxModel> {
        self.model.as_ref()
    }

    /// Takes the new model; none when the gate refused it.
    #[must_use]
    pub fn into_model(self) -> Option<OnnxModel> {
        self.model
    }
}
