//! Nodes and constants that nothing needs.

use super::{
    Applied, Changes, Pass,
    network::{Network, Readers},
};
use crate::{Result, onnx::OnnxModel, onnx::proto::NodeProto, onnx::tensor, tensor::TensorData};
use std::collections::{HashMap, HashSet};

/// Removes what no output depends on, and nodes that give their input back.
///
/// These are nodes whose outputs nothing reads, constants that nothing reads, `Identity`, and `Dropout` outside training.
/// Outputs stay the same to the bit.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Domain, GraphBuilder}, optimize::{Pass, RemoveDeadNodes},
///     signature::TensorSpec, tensor::DType,
/// };
///
/// let mut graph = GraphBuilder::new("idle");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2]))?;
/// let same = graph.node(Domain::Onnx, "Identity", &[x], vec![]);
/// graph.node(Domain::Onnx, "Exp", &[same], vec![]); // nobody reads it
/// let y = graph.node(Domain::Onnx, "Sigmoid", &[same], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [2]))?;
///
/// let applied = RemoveDeadNodes.apply(&graph.finish()?)?;
/// assert_eq!(applied.changes.to_string(), "nodes that give their input back: 1, nodes without a reader: 1");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveDeadNodes;

impl Pass for RemoveDeadNodes {
    fn name(&self) -> &'static str {
        "remove-dead"
    }

    fn apply(&self, model: &OnnxModel) -> Result<Applied> {
        let mut network = Network::open(model)?;
        let mut changes = Changes::default();
        remove_copies(&mut network, &mut changes);
        remove_unread(&mut network, &mut changes);
        let readers = network.readers();
        let unread = network.graph.initializer.iter().filter(|constant| !readers.has(constant.name())).count();
        changes.add("constants without a reader", unread as u64);
        Ok(Applied { model: network.finish(&model.signature)?, changes })
    }
}

/// Whether a node gives its first input back as its only output that counts.
fn is_copy(network: &Network, readers: &Readers, node: &NodeProto) -> bool {
    match network.op(node) {
        Some(("", "Identity")) => node.input.len() == 1 && node.output.len() == 1,
        Some(("", "Dropout")) => {
            let mask_unread = node.output.get(1).is_none_or(|mask| mask.is_empty() || !readers.has(mask));
            // Before version 7 the operator trains unless an attribute says otherwise.
            network.opset() >= 7 && mask_unread && !trains(network, node)
        }
        _ => false,
    }
}

/// Whether a `Dropout` trains, or may.
fn trains(network: &Network, node: &NodeProto) -> bool {
    let Some(mode) = node.input.get(2).filter(|mode| !mode.is_empty()) else { return false };
    let mode = network.constant(mode).and_then(|mode| tensor::from_proto(mode).ok());
    !mode.is_some_and(|mode| matches!(mode.data(), TensorData::Bool(values) if values[..] == [false]))
}

fn remove_copies(network: &mut Network, changes: &mut Changes) {
    let readers = network.readers();
    let made: HashMap<String, usize> = network
        .graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(at, node)| node.output.iter().map(move |output| (output.clone(), at)))
        .collect();
    let outputs: HashSet<String> = network.graph.output.iter().map(|output| output.name().to_owned()).collect();
    // What stands for each value that is gone.
    let mut stands_for: HashMap<String, String> = HashMap::new();
    let mut removed = vec![false; network.graph.node.len()];
    for (at, node) in network.graph.node.iter().enumerate() {
        if !is_copy(network, &readers, node) {
            continue;
        }
        let (from, to) = (&node.input[0], &node.output[0]);
        let source = stands_for.get(from).unwrap_or(from).clone();
        if !readers.is_pinned(to) {
            stands_for.insert(to.clone(), source);
            removed[at] = true;
        } else if outputs.contains(to)
            && made.contains_key(&source)
            && !readers.is_pinned(&source)
            && !outputs.contains(&source)
        {
            // The output keeps its name, so the node before takes it. Whatever stood for the source now is the output.
            stands_for.values_mut().filter(|name| **name == source).for_each(|name| name.clone_from(to));
            stands_for.insert(source, to.clone());
            removed[at] = true;
        }
    }
    let mut kept = removed.iter();
    network.graph.node.retain(|_| !kept.next().copied().unwrap_or(false));
    for node in &mut network.graph.node {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(other) = stands_for.get(name) {
                name.clone_from(other);
            }
        }
    }
    changes.add("nodes that give their input back", removed.iter().filter(|gone| **gone).count() as u64);
}

fn remove_unread(network: &mut Network, changes: &mut Changes) {
    loop {
        let readers = network.readers();
        let before = network.graph.node.len();
        network.graph.node.retain(|node| node.output.iter().any(|output| readers.has(output)));
        let gone = before - network.graph.node.len();
        if gone == 0 {
            break;
        }
        changes.add("nodes without a reader", gone as u64);
    }
}
