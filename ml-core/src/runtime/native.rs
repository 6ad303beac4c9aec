//! The runtime that is always there: pure Rust, for the tabular models that the trainers of this family export.

mod activation;
mod arithmetic;
mod broadcast;
mod cast;
mod comparison;
mod concat;
mod constant;
mod dense;
mod element;
mod encode;
mod extent;
mod feature;
mod function;
mod gather;
mod kernel;
mod labels;
mod length;
mod linear;
mod node;
mod normalize;
mod operators;
mod order;
mod pad;
mod plan;
mod quantize;
mod reduce;
mod scale;
mod shape;
mod softmax;
mod svm;
mod transform;
mod trees;
mod view;

use super::{InferenceRuntime, LoadOptions, LoadReport, LoadedModel};
use crate::{
    ErrorKind, Model, Result, Signature, Tensor, Tensors,
    onnx::{OnnxModel, check, proto::ModelProto},
    signature::TensorSpec,
};
use plan::Plan;
use std::sync::Arc;

/// Runs tabular ONNX models in this process, without any library.
///
/// It knows these operators, and refuses a model with another one when it is loaded: `Imputer`, `Scaler`, `LabelEncoder`
/// (text to whole numbers), `OneHotEncoder`, `LinearRegressor`, `LinearClassifier`, `TreeEnsembleRegressor` and
/// `TreeEnsembleClassifier` (whole-number labels) of `ai.onnx.ml`; `Cast`, `Concat`, `Gemm`, `Identity`, `Mul` by a constant,
/// `Reshape` and `Sigmoid` of `ai.onnx`. A load resolves every name and shape, so that a call is one pass over flat arrays;
/// trees are checked and laid out at load as well. A call works on the thread that makes it, whatever [`LoadOptions::threads`] allows.
///
/// Arithmetic is in single precision as in ONNX Runtime, with which it agrees within
/// [`GOLDEN_TOLERANCE`](crate::bundle::GOLDEN_TOLERANCE).
///
/// ```
/// use ml_core::{
///     InferenceRuntime, Tensor, Tensors,
///     onnx::graph::{Attribute, Domain, GraphBuilder},
///     runtime::{LoadOptions, native::NativeRuntime},
///     signature::TensorSpec,
///     tensor::DType,
/// };
///
/// let mut graph = GraphBuilder::new("fares");
/// let miles = graph.input(TensorSpec::batched("miles", DType::Fp32, [1]))?;
/// let coefficients = vec![Attribute::floats("coefficients", [2.5]), Attribute::floats("intercepts", [3.0])];
/// let fare = graph.node(Domain::Ml, "LinearRegressor", &[miles], coefficients);
/// graph.output(fare, TensorSpec::batched("prediction", DType::Fp32, [1]))?;
///
/// let loaded = NativeRuntime.load(&graph.finish()?, &LoadOptions::default())?;
/// let outputs = loaded.model.predict(&Tensors::new().with("miles", Tensor::column(vec![1.0_f32, 10.0]))?)?;
/// assert_eq!(outputs.require("prediction")?.values::<f32>()?, [5.5, 28.0]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeRuntime;

impl InferenceRuntime for NativeRuntime {
    fn name(&self) -> &'static str {
        "native"
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        compile(model).map_or_else(|error| error.kind() != ErrorKind::Unsupported, |_| true)
    }

    fn load(&self, model: &OnnxModel, _options: &LoadOptions) -> Result<LoadedModel> {
        let plan = compile(model).map_err(|error| error.op("runtime.native.load"))?;
        let model = NativeModel { signature: model.signature.clone(), plan };
        Ok(LoadedModel { model: Arc::new(model), report: LoadReport::cpu("native", env!("CARGO_PKG_VERSION")) })
    }
}

/// Computes the outputs of a graph that reads only constants; their types need not be declared.
pub(crate) fn evaluate(model: &ModelProto) -> Result<Vec<Tensor>> {
    Plan::evaluate(model)
}

fn compile(model: &OnnxModel) -> Result<Plan> {
    let proto = check::decode(&model.bytes)?;
    super::check_signature(&proto, &model.signature)?;
    Plan::compile(&proto, &model.signature)
}

/// What the outputs of a checked graph are for inputs of these types, whatever it declares.
///
/// # Errors
/// As [`NativeRuntime::load`].
pub(crate) fn infer(model: &ModelProto, inputs: &[TensorSpec]) -> Result<Vec<TensorSpec>> {
    Plan::infer(model, inputs)
}

#[derive(Debug)]
struct NativeModel {
    signature: Signature,
    plan: Plan,
}

impl Model for NativeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.signature.check_inputs(inputs)?;
        self.plan.run(&self.signature, inputs)
    }
}
