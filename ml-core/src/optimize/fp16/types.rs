//! Element types of the values of a graph, as far as the operators known here tell them.

use crate::{
    onnx::proto::{NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, type_proto},
    optimize::network::{Network, attribute, int},
};
use std::collections::HashMap;

/// Element types by the name of the value.
#[derive(Debug)]
pub(super) struct Types(HashMap<String, DataType>);

impl Types {
    pub(super) fn infer(network: &Network) -> Self {
        let mut types = Self(HashMap::new());
        let graph = &network.graph;
        for value in graph.value_info.iter().chain(&graph.output).chain(&graph.input) {
            types.insert(value.name(), declared(value));
        }
        for constant in &graph.initializer {
            types.insert(constant.name(), DataType::try_from(constant.data_type()).ok());
        }
        for sparse in graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()) {
            types.insert(sparse.name(), DataType::try_from(sparse.data_type()).ok());
        }
        for node in &graph.node {
            let Some((domain, op)) = network.op(node) else { continue };
            for (at, output) in node.output.iter().enumerate().filter(|(_, output)| !output.is_empty()) {
                let of = if domain.is_empty() { types.output(node, op, at) } else { classical(domain, op, at) };
                if types.of(output).is_none() {
                    types.insert(output, of);
                }
            }
        }
        types
    }

    pub(super) fn of(&self, name: &str) -> Option<DataType> {
        self.0.get(name).copied()
    }

    pub(super) fn is_single(&self, name: &str) -> bool {
        self.of(name) == Some(DataType::Float)
    }

    fn insert(&mut self, name: &str, of: Option<DataType>) {
        if let Some(of) = of.filter(|of| *of != DataType::Undefined) {
            self.0.insert(name.to_owned(), of);
        }
    }

    /// The type of an output of an operator of `ai.onnx`.
    fn output(&self, node: &NodeProto, op: &str, at: usize) -> Option<DataType> {
        let input = |at: usize| node.input.get(at).and_then(|input| self.of(input));
        let named = |name: &str| int(node, name, 0).ok().and_then(|number| i32::try_from(number).ok()).and_then(kind);
        match (op, at) {
            ("Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression", _) => Some(DataType::Int64),
            ("TopK" | "MaxPool" | "Unique", 1..) => Some(DataType::Int64),
            ("Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual", _)
            | ("And" | "Or" | "Xor" | "Not" | "IsNaN" | "IsInf", _)
            | ("Dropout", 1) => Some(DataType::Bool),
            ("Cast", _) => named("to"),
            ("CastLike" | "Where" | "DequantizeLinear", _) => input(1),
            ("OneHot", _) => input(2),
            ("ConstantOfShape", _) => match attribute(node, "value").and_then(|value| value.t.as_ref()) {
                Some(value) => kind(TensorProto::data_type(value)),
                None => Some(DataType::Float),
            },
            ("RandomNormal" | "RandomUniform", _) => named("dtype").or(Some(DataType::Float)),
            ("QuantizeLinear", _) => named("output_dtype").or_else(|| match node.input.get(2) {
                Some(zero_point) if !zero_point.is_empty() => self.of(zero_point),
                _ => Some(DataType::Uint8),
            }),
            ("DynamicQuantizeLinear", 1) => Some(DataType::Float),
            ("DynamicQuantizeLinear", _) => Some(DataType::Uint8),
            ("MatMulInteger" | "ConvInteger", _) => Some(DataType::Int32),
            ("QLinearMatMul" | "QLinearConv", _) => input(7),
            ("LayerNormalization", 1..) => Some(DataType::Float),
            _ if SAME.contains(&op) => input(0),
            _ => None,
        }
    }
}

/// Operators whose outputs are of the type of their first input.
const SAME: [&str; 91] = [
    "Abs",
    "Acos",
    "Add",
    "Asin",
    "Atan",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Compress",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "RNN",
    "Range",
    "Reciprocal",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
];

/// The type of an output of another operator set.
fn classical(domain: &str, op: &str, at: usize) -> Option<DataType> {
    match (domain, op, at) {
        ("ai.onnx.ml", "TreeEnsembleClassifier" | "LinearClassifier" | "SVMClassifier", 1) => Some(DataType::Float),
        ("ai.onnx.ml", "TreeEnsembleRegressor" | "LinearRegressor" | "SVMRegressor", _) => Some(DataType::Float),
        ("ai.onnx.ml", "FeatureVectorizer" | "Normalizer" | "OneHotEncoder" | "Scaler", _) => Some(DataType::Float),
        _ => None,
    }
}

fn declared(value: &ValueInfoProto) -> Option<DataType> {
    match value.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(of) => kind(of.elem_type()),
        _ => None,
    }
}

fn kind(number: i32) -> Option<DataType> {
    DataType::try_from(number).ok()
}
