//! What is the same for every input, computed once.

use super::{
    Applied, Changes, Pass,
    network::{Network, pass_over},
};
use crate::{
    Error, ErrorKind, Result, Tensor,
    onnx::{
        OnnxModel,
        proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto},
        tensor,
    },
    runtime::native,
};
use std::collections::HashSet;

/// Operators that give something else each time, and those that keep constants small on purpose.
const KEPT: [&str; 8] = [
    "Bernoulli",
    "DequantizeLinear",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "QuantizeLinear",
];

/// What [`FoldConstants`] may spend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldConstantsParams {
    /// Bytes by which a constant may be larger than those it is computed from. A small node can make a large constant,
    /// and a model with it is larger than one that computes it. 4,096 by default.
    pub max_growth_bytes: usize,
}

impl Default for FoldConstantsParams {
    fn default() -> Self {
        Self { max_growth_bytes: 4096 }
    }
}

/// Computes the nodes that read only constants, and keeps what they give.
///
/// The native runtime computes them, with the operators that it knows; the others stay. Passes that look for constant
/// weights find more of them behind this one, such as those that an exporter transposes where they are used.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Attribute, Domain, GraphBuilder}, optimize::{FoldConstants, Pass},
///     signature::TensorSpec, tensor::{DType, Tensor},
/// };
///
/// let mut graph = GraphBuilder::new("scaled");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2]))?;
/// let grams = graph.initializer(Tensor::vector(vec![1_i64, 2]));
/// let grams = graph.node(Domain::Onnx, "Cast", &[grams], vec![Attribute::int("to", 1)]);
/// let y = graph.node(Domain::Onnx, "Mul", &[x, grams], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [2]))?;
///
/// let applied = FoldConstants::new(Default::default()).apply(&graph.finish()?)?;
/// assert_eq!(applied.changes.to_string(), "nodes computed: 1");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FoldConstants {
    params: FoldConstantsParams,
}

impl FoldConstants {
    /// Keeps the parameters, all of which are right.
    #[must_use]
    pub const fn new(params: FoldConstantsParams) -> Self {
        Self { params }
    }
}

impl Pass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold-constants"
    }

    /// # Errors
    /// As [`Pass::apply`]: constants that do not fit the operator that reads them.
    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        let mut changes = Changes::default();
        let outputs: HashSet<String> = network.graph.output.iter().map(|output| output.name().to_owned()).collect();
        let nodes = std::mem::take(&mut network.graph.node);
        for node in nodes {
            let foldable = node.input.iter().any(|input| !input.is_empty())
                && node.input.iter().all(|input| input.is_empty() || network.constant(input).is_some())
                // A runtime need not take a constant for an output.
                && !node.output.iter().any(|output| outputs.contains(output))
                && matches!(network.op(&node), Some((_, op)) if !KEPT.contains(&op));
            if !foldable {
                network.graph.node.push(node);
                continue;
            }
            match compute(&network, &node) {
                Ok(computed) if self.is_small(&network, &node, &computed) => {
                    for (name, tensor) in node.output.iter().zip(&computed).filter(|(name, _)| !name.is_empty()) {
                        network.put_constant(tensor::to_proto(name.clone(), tensor));
                    }
                    changes.add("nodes computed", 1);
                }
                Ok(_) => {
                    pass_over(&mut changes, &node, "what it gives is larger than what it reads");
                    network.graph.node.push(node);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::ResourceExhausted) => {
                    pass_over(&mut changes, &node, "the native runtime does not compute it");
                    network.graph.node.push(node);
                }
                Err(error) => return Err(error.with("node", super::network::label(&node))),
            }
        }
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

impl FoldConstants {
    fn is_small(&self, network: &Network, node: &NodeProto, computed: &[Tensor]) -> bool {
        let read: usize = node.input.iter().filter_map(|input| network.constant(input)).map(bytes).sum();
        let made: usize = computed.iter().map(|tensor| bytes(&tensor::to_proto(String::new(), tensor))).sum();
        made <= read.saturating_add(self.params.max_growth_bytes)
    }
}

/// Bytes of the elements, in the form that this family writes.
fn bytes(constant: &TensorProto) -> usize {
    let raw = constant.raw_data.as_ref().map_or(0, bytes::Bytes::len);
    let texts: usize = constant.string_data.iter().map(bytes::Bytes::len).sum();
    let singles = constant.float_data.len() + constant.int32_data.len();
    let doubles = constant.double_data.len() + constant.int64_data.len() + constant.uint64_data.len();
    raw + texts + 4 * singles + 8 * doubles
}

/// The outputs of a node that reads only constants.
fn compute(network: &Network, node: &NodeProto) -> Result<Vec<Tensor>> {
    let mut seen = HashSet::new();
    let read = node.input.iter().filter(|input| seen.insert(*input)).filter_map(|input| network.constant(input));
    let made = node.output.iter().filter(|output| !output.is_empty());
    let alone = ModelProto {
        opset_import: network.opset_import().to_vec(),
        graph: Some(GraphProto {
            initializer: read.cloned().collect(),
            output: made.map(|name| ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() }).collect(),
            node: vec![node.clone()],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let computed = native::evaluate(&alone)?;
    let mut computed = computed.into_iter();
    node.output
        .iter()
        .map(|output| {
            if output.is_empty() {
                Ok(Tensor::vector(Vec::<u8>::new()))
            } else {
                computed.next().ok_or_else(|| Error::internal("an output was not computed"))
            }
        })
        .collect()
}
