//! Half precision.

mod types;

use super::{
    Applied, Changes, Pass,
    network::{self, Network, Readers, cast},
};
use crate::{
    Result, Tensor,
    onnx::{
        OnnxModel,
        proto::{NodeProto, tensor_proto::DataType},
    },
};
use half::f16;
use std::collections::{HashMap, HashSet};
use types::Types;

/// What [`Fp16`] leaves in single precision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fp16Params {
    /// Operators of `ai.onnx` that stay in single precision, beside those that always do. None by default.
    pub keep: Vec<String>,
}

/// Converts weights and most of the arithmetic to half precision; inputs and outputs stay as they are.
///
/// Dense layers, convolutions, activations, pooling and what moves elements around are converted. Sums over many numbers,
/// powers, roots and exponentials (and with them normalizations that are written out), `Resize`, `Range`, comparisons,
/// quantization, nodes with graphs within and everything of `ai.onnx.ml` stay in single precision, and so does what lies
/// between two of them. A `Cast` stands where the precision changes, one for each value. Weights beyond ±65,504 become
/// that number, and are counted; a node whose constant would become zero stays as it is.
///
/// The file is half as large. It is faster where the processor computes in half precision, as graphics processors do; on
/// others a runtime converts back. It needs `ai.onnx` 13 or later.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Domain, GraphBuilder}, optimize::{Fp16, Pass},
///     signature::TensorSpec, tensor::{DType, Tensor},
/// };
///
/// let mut graph = GraphBuilder::new("dense");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [64]))?;
/// let w = graph.initializer(Tensor::new([64, 256], vec![1e6_f32; 64 * 256])?);
/// let y = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [256]))?;
/// let model = graph.finish()?;
///
/// let applied = Fp16::new(Default::default()).apply(&model)?;
/// assert_eq!(applied.changes.count("weights clamped"), 64 * 256);
/// assert!(applied.model.bytes.len() < model.bytes.len() * 6 / 10);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fp16 {
    params: Fp16Params,
}

/// Operators that are computed in half precision.
const HALF: [&str; 58] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Expand",
    "Flatten",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "RNN",
    "Relu",
    "Reshape",
    "Selu",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// Of these, those that are worth no conversion for themselves: between two nodes in single precision they stay there.
const LIGHT: [&str; 18] = [
    "Abs",
    "Add",
    "Clip",
    "Concat",
    "Div",
    "Expand",
    "Identity",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Reshape",
    "Slice",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
    "Where",
];

impl Fp16 {
    /// Keeps the parameters, all of which are right.
    #[must_use]
    pub const fn new(params: Fp16Params) -> Self {
        Self { params }
    }

    /// Which nodes are computed in half precision.
    fn plan(&self, network: &Network, types: &Types, readers: &Readers, changes: &mut Changes) -> Vec<bool> {
        let nodes = &network.graph.node;
        let mut half: Vec<bool> =
            nodes.iter().map(|node| self.converts(network, types, readers, node, changes)).collect();
        let maker: HashMap<&str, usize> = nodes
            .iter()
            .enumerate()
            .flat_map(|(at, node)| node.output.iter().map(move |output| (output.as_str(), at)))
            .collect();
        // What lies between two nodes in single precision stays there: a conversion to and fro would only lose digits.
        loop {
            let mut settled = true;
            for (at, node) in nodes.iter().enumerate() {
                let light = half[at] && matches!(network.op(node), Some(("", op)) if LIGHT.contains(&op));
                let single = |value: &String| maker.get(value.as_str()).is_some_and(|&by| !half[by]);
                let reads_single = node
                    .input
                    .iter()
                    .filter(|input| types.is_single(input) && network.constant(input).is_none())
                    .all(single);
                let read_by_single = node
                    .output
                    .iter()
                    .filter(|output| types.is_single(output))
                    .all(|output| !readers.is_pinned(output) && readers.nodes(output).iter().all(|&by| !half[by]));
                if light && reads_single && read_by_single {
                    half[at] = false;
                    settled = false;
                }
            }
            if settled {
                return half;
            }
        }
    }

    fn converts(
        &self,
        network: &Network,
        types: &Types,
        readers: &Readers,
        node: &NodeProto,
        changes: &mut Changes,
    ) -> bool {
        let Some(("", op)) = network.op(node) else { return false };
        if !HALF.contains(&op) || self.params.keep.iter().any(|kept| kept == op) {
            return false;
        }
        if !node.input.iter().any(|input| types.is_single(input)) {
            return false;
        }
        if node.input.iter().any(|input| !input.is_empty() && types.of(input).is_none()) {
            network::pass_over(changes, node, "the type of an input is unknown");
            return false;
        }
        // Mean and deviation of a normalization are in single precision whatever its input is.
        if op == "LayerNormalization" && node.output.iter().skip(1).any(|output| readers.has(output)) {
            return false;
        }
        if node.input.iter().any(|input| vanishes(network, input)) {
            network::pass_over(changes, node, "a constant is too small for half precision");
            return false;
        }
        true
    }
}

/// Whether a constant of one element is beneath half precision, as the least of a denominator may be.
fn vanishes(network: &Network, name: &str) -> bool {
    match network.floats(name) {
        Ok(Some((_, values))) if values.len() == 1 => {
            values[0] != 0.0 && f16::from_f32(values[0]).to_f32().abs() < f16::MIN_POSITIVE.to_f32()
        }
        _ => false,
    }
}

impl Pass for Fp16 {
    fn name(&self) -> &'static str {
        "fp16"
    }

    /// # Errors
    /// As [`Pass::apply`]; [`Unsupported`](crate::ErrorKind::Unsupported) for `ai.onnx` before 13.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        network.require_opset(13)?;
        let mut changes = Changes::default();
        let types = Types::infer(&network);
        let readers = network.readers();
        let plan = self.plan(&network, &types, &readers, &mut changes);
        let needs_single: HashSet<String> = network
            .graph
            .node
            .iter()
            .zip(&plan)
            .filter(|(_, half)| !**half)
            .flat_map(|(node, _)| node.input.iter().cloned())
            .collect();
        let nodes = std::mem::take(&mut network.graph.node);
        let mut conversion = Conversion { network, types, halves: HashMap::new(), nodes: Vec::new(), changes };
        for (mut node, half) in nodes.into_iter().zip(plan) {
            if !half {
                conversion.nodes.push(node);
                continue;
            }
            for input in &mut node.input {
                *input = conversion.half(input)?;
            }
            let mut casts = Vec::new();
            for output in &mut node.output {
                if conversion.types.is_single(output) {
                    let single = std::mem::take(output);
                    *output = conversion.network.fresh(&format!("{single}_half"));
                    if readers.is_pinned(&single) || needs_single.contains(&single) {
                        casts.push(cast(output, &single, DataType::Float));
                    }
                    conversion.halves.insert(single, output.clone());
                }
            }
            conversion.changes.add("nodes in half precision", 1);
            conversion.changes.add("conversions added", casts.len() as u64);
            conversion.nodes.push(node);
            conversion.nodes.extend(casts);
        }
        let Conversion { mut network, nodes, changes, .. } = conversion;
        network.graph.node = nodes;
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

struct Conversion {
    network: Network,
    types: Types,
    /// Values in half precision, by the name of the value in single precision.
    halves: HashMap<String, String>,
    nodes: Vec<NodeProto>,
    changes: Changes,
}

impl Conversion {
    /// The name of a value in half precision, made where it is read first. Values of other types stay.
    fn half(&mut self, name: &str) -> Result<String> {
        if !self.types.is_single(name) {
            return Ok(name.to_owned());
        }
        if let Some(half) = self.halves.get(name) {
            return Ok(half.clone());
        }
        let half = match self.network.floats(name)? {
            Some((shape, values)) => {
                let largest = f16::MAX.to_f32();
                // Infinities and NaN have their own codes.
                let beyond = |value: &f32| value.is_finite() && value.abs() > largest;
                self.changes.add("weights clamped", values.iter().filter(|value| beyond(value)).count() as u64);
                self.changes.add("weights to half precision", 1);
                let to_half =
                    |value: f32| f16::from_f32(if value.is_finite() { value.clamp(-largest, largest) } else { value });
                let tensor = Tensor::new(shape, values.into_iter().map(to_half).collect())?;
                self.network.add_constant(&format!("{name}_half"), &tensor)
            }
            None => {
                let half = self.network.fresh(&format!("{name}_half"));
                self.nodes.push(cast(name, &half, DataType::Float16));
                self.changes.add("conversions added", 1);
                half
            }
        };
        self.halves.insert(name.to_owned(), half.clone());
        Ok(half)
    }
}
