//! The runtime that is always there: pure Rust, for tabular models and small dense nets.
//!
//! # Operators
//!
//! A model with another operator, or with a form of one that is not taken, is refused when it is loaded, naming the node and
//! the operator. The node tests of ONNX 1.17 pass for all of these; `tests/golden/node_native.txt` lists the tests of the
//! others.
//!
//! | `ai.onnx.ml` 1 to 5 | |
//! |---|---|
//! | trees | `TreeEnsemble`, `TreeEnsembleClassifier`, `TreeEnsembleRegressor` |
//! | sums and vectors | `LinearClassifier`, `LinearRegressor`, `SVMClassifier`, `SVMRegressor` |
//! | columns | `ArrayFeatureExtractor`, `Binarizer`, `FeatureVectorizer`, `Imputer`, `Normalizer`, `Scaler` |
//! | categories | `CategoryMapper`, `LabelEncoder`, `OneHotEncoder` |
//! | maps | `ZipMap` at the end of a graph: [`OnnxModel::from_bytes`] makes a tensor of it |
//!
//! `DictVectorizer` is not among them: maps are no inputs of the family.
//!
//! | `ai.onnx` 7 to 25 | |
//! |---|---|
//! | arithmetic | `Add`, `Div`, `Max`, `Mean`, `Min`, `Mod`, `Mul`, `Pow`, `Sub`, `Sum`; `BitShift`, `BitwiseAnd`, `BitwiseNot`, `BitwiseOr`, `BitwiseXor` |
//! | truth | `And`, `Equal`, `Greater`, `GreaterOrEqual`, `IsInf`, `IsNaN`, `Less`, `LessOrEqual`, `Not`, `Or`, `Where`, `Xor` |
//! | functions | `Abs`, `Acos`, `Acosh`, `Asin`, `Asinh`, `Atan`, `Atanh`, `Ceil`, `Cos`, `Cosh`, `Erf`, `Exp`, `Floor`, `Log`, `Neg`, `Reciprocal`, `Round`, `Sign`, `Sin`, `Sinh`, `Sqrt`, `Tan`, `Tanh` |
//! | activations | `Celu`, `Clip`, `Elu`, `Gelu`, `HardSigmoid`, `HardSwish`, `LeakyRelu`, `Mish`, `PRelu`, `Relu`, `Selu`, `Shrink`, `Sigmoid`, `Softplus`, `Softsign`, `Swish`, `ThresholdedRelu` |
//! | shares | `Hardmax`, `LogSoftmax`, `Softmax` |
//! | matrices | `Gemm`, `MatMul` |
//! | norms | `BatchNormalization`, `Dropout` after training, `LayerNormalization` |
//! | reductions | `ReduceL1`, `ReduceL2`, `ReduceLogSum`, `ReduceLogSumExp`, `ReduceMax`, `ReduceMean`, `ReduceMin`, `ReduceProd`, `ReduceSum`, `ReduceSumSquare` |
//! | order | `ArgMax`, `ArgMin`, `CumSum`, `TopK` |
//! | shapes | `Expand`, `Flatten`, `Identity`, `Reshape`, `Shape`, `Size`, `Squeeze`, `Tile`, `Transpose`, `Unsqueeze` |
//! | parts | `Concat`, `Gather`, `GatherElements`, `GatherND`, `OneHot`, `Pad`, `Slice`, `Split`, `Trilu` |
//! | types | `Cast`, `CastLike` |
//! | constants | `Constant`, `ConstantOfShape`, `EyeLike`, `Range` |
//! | eight bits | `DequantizeLinear`, `DynamicQuantizeLinear`, `MatMulInteger`, `QuantizeLinear` |
//!
//! # Shapes
//!
//! Every shape is resolved at load. Inputs may share one dimension without a length, the rows of a call; another one is
//! refused by its name. What an operator takes as a shape, axes, indices of a slice and the like has to be a constant of the
//! graph, or made of constants and of shapes of other values.

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
mod pool;
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
use pool::Pool;
use std::{num::NonZeroUsize, sync::Arc};

/// Runs tabular ONNX models in this process, without any library.
///
/// It knows the [operators](self#operators) of `ai.onnx.ml` and those of `ai.onnx` that tabular pipelines and small dense nets
/// are made of, and refuses a model with another one when it is loaded, naming it.
///
/// A load resolves every name and shape and computes what only constants make, so that a call is one pass over flat arrays;
/// trees and weights are checked and laid out at load as well. Between calls the arrays stay for the next one. The rows of
/// a call are shared between [`LoadOptions::threads`] where no row depends on another; otherwise it works on the thread that
/// makes it. [`LoadReport::threads`] tells which.
///
/// A small file can declare large values. At load a value of more than 2^20 elements a row is refused, and a constant of more
/// than 2^24; a call whose values together would take more than 2 GiB is
/// [`ResourceExhausted`](ErrorKind::ResourceExhausted), and can be made with fewer rows.
///
/// Arithmetic is in the type of the operands, as in ONNX Runtime, with which it agrees within
/// [`GOLDEN_TOLERANCE`](crate::bundle::GOLDEN_TOLERANCE); what `ai.onnx.ml` leaves open is as there.
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

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        let plan = compile(model).map_err(|error| error.op("runtime.native.load"))?;
        let threads = if plan.is_row_wise() { options.threads } else { NonZeroUsize::MIN };
        let pool = Pool::new(threads, options.compute.as_ref()).map_err(|error| error.op("runtime.native.load"))?;
        let report = LoadReport::cpu("native", env!("CARGO_PKG_VERSION"))
            .with_threads(pool.as_ref().map_or(NonZeroUsize::MIN, Pool::threads));
        let model = NativeModel { signature: model.signature.clone(), plan, pool };
        Ok(LoadedModel { model: Arc::new(model), report })
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
    pool: Option<Pool>,
}

impl Model for NativeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.signature.check_inputs(inputs)?;
        self.plan.run(&self.signature, inputs, self.pool.as_ref())
    }
}
