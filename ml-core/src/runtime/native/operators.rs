//! The operators that are known, and the family of each.

use super::{
    cast, elementwise, encode,
    kernel::Lowered,
    length::Type,
    linear,
    node::{self, Node},
    shape, trees,
};
use crate::{Error, Result, onnx::proto::NodeProto, tensor::DType};

pub(super) fn lower(node: &Node<'_>) -> Result<Lowered> {
    match (node.domain(), node.op_type()) {
        ("ai.onnx.ml", "Imputer") => elementwise::imputer(node),
        ("ai.onnx.ml", "LabelEncoder") => encode::label_encoder(node),
        ("ai.onnx.ml", "LinearClassifier") => linear::classifier(node),
        ("ai.onnx.ml", "LinearRegressor") => linear::regressor(node),
        ("ai.onnx.ml", "OneHotEncoder") => encode::one_hot_encoder(node),
        ("ai.onnx.ml", "Scaler") => elementwise::scaler(node),
        ("ai.onnx.ml", "TreeEnsembleClassifier") => trees::classifier(node),
        ("ai.onnx.ml", "TreeEnsembleRegressor") => trees::regressor(node),
        ("", "Cast") => cast::cast(node),
        ("", "CastLike") => cast::cast_like(node),
        ("", "Concat") => shape::concat(node),
        ("", "Gemm") => linear::gemm(node),
        ("", "Identity") => shape::identity(node),
        ("", "Mul") => elementwise::mul(node),
        ("", "Reshape") => shape::reshape(node),
        ("", "Sigmoid") => elementwise::sigmoid(node),
        _ => Err(Error::unsupported("the native runtime does not know this operator")),
    }
}

/// Whether an operator takes numbers of several types and computes in single precision with each.
pub(super) fn computes_in_floats(proto: &NodeProto) -> bool {
    node::domain(proto) == "ai.onnx.ml" && matches!(proto.op_type(), "LinearClassifier" | "LinearRegressor" | "Scaler")
}

/// The conversion that such an operator begins with.
pub(super) fn to_floats(of: &Type) -> Result<Lowered> {
    cast::lower(of, DType::Fp32)
}
