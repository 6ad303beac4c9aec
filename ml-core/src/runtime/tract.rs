//! Neural nets in pure Rust, on tract.

mod coverage;
mod value;

use super::{InferenceRuntime, LoadOptions, LoadReport, LoadedModel, no_rows, selection::reason};
use crate::{
    Error, ErrorKind, Model, Result, Signature, Tensors,
    onnx::{OnnxModel, check, proto::ModelProto},
    signature::Dim,
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tract_onnx::{
    prelude::{Framework, IntoRunnable, TValue, TVec, TractResult, TypedRunnableModel},
    tract_hir::internal::{InferenceFact, InferenceModelExt, TDim},
};

/// Runs neural nets on tract: for edge targets where ONNX Runtime cannot go.
///
/// A load checks every operator before tract sees the model, and refuses those that tract has not and those that it is known to
/// compute otherwise than ONNX Runtime: the trees and linear classifiers of `ai.onnx.ml` among them, which the
/// native runtime runs. Its activations are approximations that give some number for NaN. A call works on the thread that makes it, whatever [`LoadOptions::threads`] allows.
///
/// ```
/// use ml_core::{
///     InferenceRuntime, Tensor, Tensors,
///     onnx::graph::{Domain, GraphBuilder},
///     runtime::{LoadOptions, tract::TractRuntime},
///     signature::TensorSpec,
///     tensor::DType,
/// };
///
/// let mut graph = GraphBuilder::new("squash");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2]))?;
/// let y = graph.node(Domain::Onnx, "Tanh", &[x], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [2]))?;
///
/// let loaded = TractRuntime.load(&graph.finish()?, &LoadOptions::default())?;
/// let outputs = loaded.model.predict(&Tensors::new().with("x", Tensor::new([1, 2], vec![0.0_f32, 1.0])?)?)?;
/// assert_eq!(outputs.require("y")?.values::<f32>()?[0], 0.0);
/// assert_eq!(loaded.report.runtime, "tract");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct TractRuntime;

/// The version that is pinned, which is the one that [`coverage`] speaks of.
const VERSION: &str = "0.23.9";

impl InferenceRuntime for TractRuntime {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        read(model).map_or_else(|error| error.kind() != ErrorKind::Unsupported, |_| true)
    }

    fn load(&self, model: &OnnxModel, _options: &LoadOptions) -> Result<LoadedModel> {
        let plan = read(model)
            .and_then(|_| {
                caught(|| compile(model)).map_err(|said| {
                    Error::unsupported("the model cannot run on tract").with("version", VERSION).with_source(said)
                })
            })
            .map_err(|error| error.op("runtime.tract.load"))?;
        let model = TractModel { signature: model.signature.clone(), plan };
        Ok(LoadedModel { model: Arc::new(model), report: LoadReport::cpu("tract", VERSION) })
    }
}

/// The checked graph, with operators that tract is known to compute rightly.
fn read(model: &OnnxModel) -> Result<ModelProto> {
    let proto = check::decode(&model.bytes)?;
    super::check_signature(&proto, &model.signature)?;
    coverage::check(&proto)?;
    let specs = || model.signature.inputs().iter().chain(model.signature.outputs());
    match specs().find(|spec| value::datum_type(spec.dtype).is_none()) {
        Some(spec) => Err(Error::unsupported("tract has no tensors of this element type")
            .with("tensor", spec.name.escape_debug())
            .with("datatype", spec.dtype)),
        None => Ok(proto),
    }
}

fn compile(model: &OnnxModel) -> TractResult<Arc<TypedRunnableModel>> {
    let mut graph = tract_onnx::onnx().model_for_read(&mut model.bytes.as_ref())?;
    for (at, spec) in model.signature.inputs().iter().enumerate() {
        let datum_type = value::datum_type(spec.dtype).expect("checked when the model was read");
        let shape: TVec<TDim> = spec
            .shape
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(length) => TDim::from(*length),
                Dim::Named(name) => graph.symbols.sym(name).into(),
            })
            .collect();
        graph.set_input_fact(at, InferenceFact::dt_shape(datum_type, shape))?;
    }
    graph.into_optimized()?.into_runnable()
}

struct TractModel {
    signature: Signature,
    plan: Arc<TypedRunnableModel>,
}

impl fmt::Debug for TractModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractModel").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl Model for TractModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.signature.check_inputs(inputs)?;
        // tract takes no empty tensors.
        if let Some(nothing) = no_rows::outputs(&self.signature, inputs) {
            return nothing;
        }
        let values = self
            .signature
            .inputs()
            .iter()
            .map(|spec| value::to_tract(inputs.require(&spec.name)?).map_err(|error| error.with("tensor", &spec.name)))
            .collect::<Result<TVec<TValue>>>()?;
        let given = caught(|| self.plan.run(values))
            .map_err(|said| Error::invalid_input("the model cannot run on these inputs").with_source(said))?;
        let mut outputs = Tensors::new();
        for (spec, value) in self.signature.outputs().iter().zip(given) {
            outputs.insert(spec.name.as_str(), value::from_tract(&value, spec)?)?;
        }
        self.signature.check_outputs(&outputs).map_err(|error| {
            Error::corrupt("the model gives other outputs than its graph declares").with_source(error)
        })?;
        Ok(outputs)
    }
}

/// What tract says, as text; some of its operators panic on what they did not expect.
fn caught<T>(call: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(reason(error.as_ref())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(format!("it panicked: {text}"))
        }
    }
}
