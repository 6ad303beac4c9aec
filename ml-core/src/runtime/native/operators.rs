//! The operators that are known, and the family of each.

use super::{
    activation::{self, Activation, Shaped},
    arithmetic::{self, Bits, Fold, Operation},
    cast,
    comparison::{self, Comparison, Logic},
    concat, constant, dense, encode, feature,
    function::{self, Function},
    gather,
    kernel::Lowered,
    length::Type,
    linear,
    node::{self, Node},
    normalize, order, pad, quantize,
    reduce::{self, Reduction},
    scale, shape,
    softmax::{self, Shares},
    svm, trees, view,
};
use crate::{Error, Result, onnx::proto::NodeProto, tensor::DType};

/// Operators that meant something else before version 7 of the operator set: they did not broadcast, or broadcast by an
/// attribute, or had other attributes.
const SINCE_7: [&str; 25] = [
    "Add",
    "And",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Div",
    "Dropout",
    "Equal",
    "Gemm",
    "Greater",
    "Less",
    "Max",
    "Mean",
    "Min",
    "Mul",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "Reshape",
    "Sub",
    "Sum",
    "Tile",
    "Xor",
];

pub(super) fn lower(node: &Node<'_>) -> Result<Lowered> {
    match node.domain() {
        "" if node.version() < 7 && SINCE_7.contains(&node.op_type()) => {
            Err(Error::unsupported("the native runtime knows this operator only since version 7 of its set"))
        }
        "" => onnx(node),
        "ai.onnx.ml" => ml(node),
        _ => Err(unknown()),
    }
}

fn unknown() -> Error {
    Error::unsupported("the native runtime does not know this operator")
}

fn ml(node: &Node<'_>) -> Result<Lowered> {
    match node.op_type() {
        "ArrayFeatureExtractor" => feature::extractor(node),
        "Binarizer" => scale::binarizer(node),
        "CategoryMapper" => encode::category_mapper(node),
        "FeatureVectorizer" => feature::vectorizer(node),
        "Imputer" => scale::imputer(node),
        "LabelEncoder" => encode::label_encoder(node),
        "LinearClassifier" => linear::classifier(node),
        "LinearRegressor" => linear::regressor(node),
        "Normalizer" => scale::normalizer(node),
        "OneHotEncoder" => encode::one_hot_encoder(node),
        "SVMClassifier" => svm::classifier(node),
        "SVMRegressor" => svm::regressor(node),
        "Scaler" => scale::scaler(node),
        "TreeEnsemble" => trees::ensemble(node),
        "TreeEnsembleClassifier" => trees::classifier(node),
        "TreeEnsembleRegressor" => trees::regressor(node),
        _ => Err(unknown()),
    }
}

fn onnx(node: &Node<'_>) -> Result<Lowered> {
    match node.op_type() {
        "Abs" => function::function(node, Function::Abs),
        "Acos" => function::function(node, Function::Acos),
        "Acosh" => function::function(node, Function::Acosh),
        "Add" => arithmetic::binary(node, Operation::Add),
        "And" => comparison::logic(node, Logic::And),
        "ArgMax" => order::arg(node, true),
        "ArgMin" => order::arg(node, false),
        "Asin" => function::function(node, Function::Asin),
        "Asinh" => function::function(node, Function::Asinh),
        "Atan" => function::function(node, Function::Atan),
        "Atanh" => function::function(node, Function::Atanh),
        "BatchNormalization" => normalize::batch(node),
        "BitShift" => arithmetic::bit_shift(node),
        "BitwiseAnd" => arithmetic::bitwise(node, Bits::And),
        "BitwiseNot" => function::bitwise_not(node),
        "BitwiseOr" => arithmetic::bitwise(node, Bits::Or),
        "BitwiseXor" => arithmetic::bitwise(node, Bits::Xor),
        "Cast" => cast::cast(node),
        "CastLike" => cast::cast_like(node),
        "Ceil" => function::function(node, Function::Ceil),
        "Celu" => activation::shaped(node, Shaped::Celu),
        "Clip" => activation::clip(node),
        "Concat" => concat::concat(node),
        "Constant" => constant::constant(node),
        "ConstantOfShape" => constant::constant_of_shape(node),
        "Cos" => function::function(node, Function::Cos),
        "Cosh" => function::function(node, Function::Cosh),
        "CumSum" => order::cum_sum(node),
        "DequantizeLinear" => quantize::dequantize(node),
        "Div" => arithmetic::binary(node, Operation::Div),
        "Dropout" => shape::dropout(node),
        "DynamicQuantizeLinear" => quantize::dynamic(node),
        "Elu" => activation::shaped(node, Shaped::Elu),
        "Equal" => comparison::compare(node, Comparison::Equal),
        "Erf" => function::function(node, Function::Erf),
        "Exp" => function::function(node, Function::Exp),
        "Expand" => view::expand(node),
        "EyeLike" => constant::eye_like(node),
        "Flatten" => shape::flatten(node),
        "Floor" => function::function(node, Function::Floor),
        "Gather" => gather::gather(node),
        "GatherElements" => gather::gather_elements(node),
        "GatherND" => gather::gather_nd(node),
        "Gelu" => activation::gelu(node),
        "Gemm" => dense::gemm(node),
        "Greater" => comparison::compare(node, Comparison::Greater),
        "GreaterOrEqual" => comparison::compare(node, Comparison::GreaterOrEqual),
        "HardSigmoid" => activation::shaped(node, Shaped::HardSigmoid),
        "HardSwish" => activation::activation(node, Activation::HardSwish),
        "Hardmax" => softmax::softmax(node, Shares::Hard),
        "Identity" => shape::identity(node),
        "IsInf" => function::is_inf(node),
        "IsNaN" => function::is_nan(node),
        "LayerNormalization" => normalize::layer(node),
        "LeakyRelu" => activation::shaped(node, Shaped::LeakyRelu),
        "Less" => comparison::compare(node, Comparison::Less),
        "LessOrEqual" => comparison::compare(node, Comparison::LessOrEqual),
        "Log" => function::function(node, Function::Log),
        "LogSoftmax" => softmax::softmax(node, Shares::LogOfSoft),
        "MatMul" => dense::matmul(node),
        "MatMulInteger" => quantize::matmul_integer(node),
        "Max" => arithmetic::variadic(node, Fold::Max),
        "Mean" => arithmetic::variadic(node, Fold::Mean),
        "Min" => arithmetic::variadic(node, Fold::Min),
        "Mish" => activation::activation(node, Activation::Mish),
        "Mod" => arithmetic::modulo(node),
        "Mul" => arithmetic::binary(node, Operation::Mul),
        "Neg" => function::function(node, Function::Neg),
        "Not" => function::not(node),
        "OneHot" => gather::one_hot(node),
        "Or" => comparison::logic(node, Logic::Or),
        "PRelu" => arithmetic::binary(node, Operation::PRelu),
        "Pad" => pad::pad(node),
        "Pow" => arithmetic::pow(node),
        "QuantizeLinear" => quantize::quantize(node),
        "Range" => constant::range(node),
        "Reciprocal" => function::function(node, Function::Reciprocal),
        "ReduceL1" => reduce::reduce(node, Reduction::L1),
        "ReduceL2" => reduce::reduce(node, Reduction::L2),
        "ReduceLogSum" => reduce::reduce(node, Reduction::LogSum),
        "ReduceLogSumExp" => reduce::reduce(node, Reduction::LogSumExp),
        "ReduceMax" => reduce::reduce(node, Reduction::Max),
        "ReduceMean" => reduce::reduce(node, Reduction::Mean),
        "ReduceMin" => reduce::reduce(node, Reduction::Min),
        "ReduceProd" => reduce::reduce(node, Reduction::Prod),
        "ReduceSum" => reduce::reduce(node, Reduction::Sum),
        "ReduceSumSquare" => reduce::reduce(node, Reduction::SumSquare),
        "Relu" => activation::activation(node, Activation::Relu),
        "Reshape" => shape::reshape(node),
        "Round" => function::function(node, Function::Round),
        "Selu" => activation::shaped(node, Shaped::Selu),
        "Shape" => shape::shape(node),
        "Shrink" => activation::shaped(node, Shaped::Shrink),
        "Sigmoid" => activation::activation(node, Activation::Sigmoid),
        "Sign" => function::function(node, Function::Sign),
        "Sin" => function::function(node, Function::Sin),
        "Sinh" => function::function(node, Function::Sinh),
        "Size" => shape::size(node),
        "Slice" => view::slice(node),
        "Softmax" => softmax::softmax(node, Shares::Soft),
        "Softplus" => activation::activation(node, Activation::Softplus),
        "Softsign" => activation::activation(node, Activation::Softsign),
        "Split" => view::split(node),
        "Sqrt" => function::function(node, Function::Sqrt),
        "Squeeze" => shape::squeeze(node),
        "Sub" => arithmetic::binary(node, Operation::Sub),
        "Sum" => arithmetic::variadic(node, Fold::Sum),
        "Swish" => activation::shaped(node, Shaped::Swish),
        "Tan" => function::function(node, Function::Tan),
        "Tanh" => function::function(node, Function::Tanh),
        "ThresholdedRelu" => activation::shaped(node, Shaped::ThresholdedRelu),
        "Tile" => view::tile(node),
        "TopK" => order::top_k(node),
        "Transpose" => view::transpose(node),
        "Trilu" => gather::trilu(node),
        "Unsqueeze" => shape::unsqueeze(node),
        "Where" => comparison::choose(node),
        "Xor" => comparison::logic(node, Logic::Xor),
        _ => Err(unknown()),
    }
}

/// Whether an operator takes numbers of several types and computes in single precision with each.
pub(super) fn computes_in_floats(proto: &NodeProto) -> bool {
    node::domain(proto) == "ai.onnx.ml"
        && matches!(
            proto.op_type(),
            "LinearClassifier" | "LinearRegressor" | "Normalizer" | "SVMClassifier" | "SVMRegressor" | "Scaler"
        )
}

/// The conversion that such an operator begins with.
pub(super) fn to_floats(of: &Type) -> Result<Lowered> {
    cast::lower(of, DType::Fp32)
}
