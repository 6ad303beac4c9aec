//! A graph taken apart, so that a pass can change it.
//!
//! Passes change the nodes of the main graph. Graphs within nodes (the branches of `If`, the bodies of `Loop` and `Scan`)
//! and model-local functions are carried along as they are, and every value that they take from the main graph keeps its
//! name and its type.

use super::Changes;
use crate::{
    Error, Result, Signature,
    onnx::{
        OnnxModel, check,
        proto::{
            AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
            attribute_proto::AttributeType, tensor_proto::DataType,
        },
        tensor,
    },
    tensor::{Tensor, TensorData},
};
use prost::Message as _;
use std::collections::{HashMap, HashSet};

/// The first version of the intermediate representation in which a constant is no input as well.
const CONSTANTS_APART: i64 = 4;

/// The main graph of a model, with its constants by name.
#[derive(Debug)]
pub(super) struct Network {
    /// Everything but the main graph.
    model: ModelProto,
    pub(super) graph: GraphProto,
    constants: HashMap<String, usize>,
    taken: HashSet<String>,
    functions: HashSet<(String, String)>,
}

impl Network {
    /// Takes a model apart. Inputs with a default and `Constant` nodes become constants, which is what the signature says
    /// of the former.
    pub(super) fn open(model: &OnnxModel) -> Result<Self> {
        let mut model_proto = check::decode(&model.bytes)?;
        if check::signature(&model_proto)? != model.signature {
            return Err(Error::invalid_input("the signature is not the one of the graph"));
        }
        let mut graph = model_proto.graph.take().ok_or_else(|| Error::corrupt("the model has no graph"))?;
        let given: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
        graph.input.retain(|input| !given.contains(input.name()));
        model_proto.ir_version = model_proto.ir_version.max(Some(CONSTANTS_APART));
        let functions =
            model_proto.functions.iter().map(|f| (domain(f.domain()).to_owned(), f.name().to_owned())).collect();
        let mut taken = HashSet::new();
        collect_names(&graph, &mut taken);
        let mut network = Self { model: model_proto, graph, constants: HashMap::new(), taken, functions };
        network.lift_constants();
        network.index();
        Ok(network)
    }

    /// Puts the model together again, without the constants that nothing reads, and checks it as every model.
    pub(super) fn finish(mut self, signature: &Signature) -> Result<OnnxModel> {
        let readers = self.readers();
        self.graph.initializer.retain(|constant| readers.has(constant.name()));
        let mut made: HashSet<&str> =
            self.graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
        made.extend(self.graph.input.iter().map(|input| input.name()));
        made.extend(self.graph.initializer.iter().map(TensorProto::name));
        let gone = |name: &str| !made.contains(name);
        let kept: Vec<bool> = self.graph.value_info.iter().map(|value| !gone(value.name())).collect();
        let annotated: Vec<bool> =
            self.graph.quantization_annotation.iter().map(|of| !gone(of.tensor_name())).collect();
        retain_by(&mut self.graph.value_info, &kept);
        retain_by(&mut self.graph.quantization_annotation, &annotated);
        self.model.graph = Some(self.graph);
        let model = OnnxModel::from_bytes(self.model.encode_to_vec())
            .map_err(|error| Error::internal("a pass made a graph that is not valid").with_source(error))?;
        if model.signature != *signature {
            return Err(Error::internal("a pass changed the signature of the model"));
        }
        Ok(model)
    }

    /// The version of `ai.onnx`, 0 when the model does not import it.
    pub(super) fn opset(&self) -> i64 {
        let main = self.model.opset_import.iter().find(|import| domain(import.domain()).is_empty());
        main.map_or(0, |import| import.version())
    }

    /// The operator sets of the model.
    pub(super) fn opset_import(&self) -> &[OperatorSetIdProto] {
        &self.model.opset_import
    }

    /// Refuses a model whose `ai.onnx` has not yet what a pass writes.
    pub(super) fn require_opset(&self, least: i64) -> Result<()> {
        match self.opset() {
            version if version >= least => Ok(()),
            version => Err(Error::unsupported("the operator set of the model is too old for this pass")
                .with("version", version)
                .with("required", least)),
        }
    }

    /// Whether a node is this operator of ONNX, and no function of the model under its name.
    pub(super) fn is(&self, node: &NodeProto, of: &str, op: &str) -> bool {
        self.op(node) == Some((of, op))
    }

    /// The set (empty for `ai.onnx`) and name of a node's operator; none when it is a function of the model.
    pub(super) fn op<'n>(&self, node: &'n NodeProto) -> Option<(&'n str, &'n str)> {
        let op = (domain(node.domain()), node.op_type());
        let local = !self.functions.is_empty() && self.functions.contains(&(op.0.to_owned(), op.1.to_owned()));
        (!local).then_some(op)
    }

    /// A name that nothing in the model has, in the likeness of `stem`.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        let mut name = stem.to_owned();
        let mut number = 1_u64;
        while name.is_empty() || !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{stem}_{number}");
        }
        name
    }

    /// A name that nothing in the model has, without taking it; names of different stems differ.
    pub(super) fn unused(&self, stem: &str) -> String {
        let mut name = stem.to_owned();
        while self.taken.contains(&name) {
            name.push('_');
        }
        name
    }

    /// The constant of this name.
    pub(super) fn constant(&self, name: &str) -> Option<&TensorProto> {
        self.constants.get(name).map(|&at| &self.graph.initializer[at])
    }

    /// A constant of single precision: shape and values.
    pub(super) fn floats(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        match self.constant(name) {
            Some(proto) if proto.data_type() == DataType::Float as i32 => {
                let (shape, data) = tensor::from_proto(proto)?.into_parts();
                let TensorData::Fp32(values) = data else { return Ok(None) };
                Ok(Some((shape, values)))
            }
            _ => Ok(None),
        }
    }

    /// Adds a constant under a fresh name in the likeness of `stem`, and gives that name.
    pub(super) fn add_constant(&mut self, stem: &str, tensor: &Tensor) -> String {
        let name = self.fresh(stem);
        self.put_constant(tensor::to_proto(name.clone(), tensor));
        name
    }

    /// Adds a constant under its name, or puts it in place of the one of that name.
    pub(super) fn put_constant(&mut self, proto: TensorProto) {
        match self.constants.get(proto.name()) {
            Some(&at) => self.graph.initializer[at] = proto,
            None => {
                self.taken.insert(proto.name().to_owned());
                self.constants.insert(proto.name().to_owned(), self.graph.initializer.len());
                self.graph.initializer.push(proto);
            }
        }
    }

    /// Who reads each value.
    pub(super) fn readers(&self) -> Readers {
        let mut readers = Readers::default();
        readers.pinned.extend(self.graph.output.iter().map(|output| output.name().to_owned()));
        for (at, node) in self.graph.node.iter().enumerate() {
            for input in node.input.iter().filter(|input| !input.is_empty()) {
                readers.nodes.entry(input.clone()).or_default().push(at);
            }
            for graph in inner_graphs(node) {
                collect_reads(graph, &mut readers.pinned);
            }
        }
        readers
    }

    fn lift_constants(&mut self) {
        let outputs: HashSet<String> = self.graph.output.iter().map(|output| output.name().to_owned()).collect();
        let mut lifted = Vec::new();
        let mut nodes = std::mem::take(&mut self.graph.node);
        nodes.retain(|node| {
            let constant = self.is(node, "", "Constant").then(|| constant_of(node)).flatten();
            match constant {
                Some(constant) if !outputs.contains(constant.name()) => {
                    lifted.push(constant);
                    false
                }
                _ => true,
            }
        });
        self.graph.node = nodes;
        self.graph.initializer.extend(lifted);
    }

    fn index(&mut self) {
        let named = |(at, constant): (usize, &TensorProto)| (constant.name().to_owned(), at);
        self.constants = self.graph.initializer.iter().enumerate().map(named).collect();
    }
}

/// Who reads each value of the main graph.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// Nodes by position, once for each time they name the value.
    nodes: HashMap<String, Vec<usize>>,
    /// Outputs of the graph, and what graphs within nodes take.
    pinned: HashSet<String>,
}

impl Readers {
    pub(super) fn has(&self, name: &str) -> bool {
        self.pinned.contains(name) || self.nodes.contains_key(name)
    }

    /// Whether the value leaves the main graph, so that its name, shape and type have to stay.
    pub(super) fn is_pinned(&self, name: &str) -> bool {
        self.pinned.contains(name)
    }

    pub(super) fn nodes(&self, name: &str) -> &[usize] {
        self.nodes.get(name).map_or(&[], Vec::as_slice)
    }
}

/// A node of `ai.onnx`. It has no name, since names of nodes have to differ and no one reads this one.
pub(super) fn node<S: Into<String>>(
    op: &str,
    inputs: impl IntoIterator<Item = S>,
    outputs: impl IntoIterator<Item = S>,
) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: inputs.into_iter().map(Into::into).collect(),
        output: outputs.into_iter().map(Into::into).collect(),
        ..NodeProto::default()
    }
}

/// The same with a whole number as attribute.
pub(super) fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Int.into()),
        i: Some(value),
        ..AttributeProto::default()
    });
    node
}

/// Converts to another element type.
pub(super) fn cast(input: &str, output: &str, to: DataType) -> NodeProto {
    with_int(node("Cast", [input], [output]), "to", i64::from(to as i32))
}

pub(super) fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}

/// A whole-number attribute, or what it is when it is left out.
pub(super) fn int(node: &NodeProto, name: &str, otherwise: i64) -> Result<i64> {
    match attribute(node, name) {
        None => Ok(otherwise),
        Some(found) if found.r#type() == AttributeType::Int => Ok(found.i()),
        Some(_) => Err(wrong_type(node, name)),
    }
}

/// A number attribute, or what it is when it is left out.
pub(super) fn float(node: &NodeProto, name: &str, otherwise: f32) -> Result<f32> {
    match attribute(node, name) {
        None => Ok(otherwise),
        Some(found) if found.r#type() == AttributeType::Float => Ok(found.f()),
        Some(_) => Err(wrong_type(node, name)),
    }
}

fn wrong_type(node: &NodeProto, name: &str) -> Error {
    Error::corrupt("an attribute is of another type")
        .with("attribute", name)
        .with("node", node.name().escape_debug())
        .with("op", node.op_type().escape_debug())
}

/// How messages and reports call a node: its name, else its first output.
pub(super) fn label(node: &NodeProto) -> String {
    let first = node.output.first().map_or("", String::as_str);
    let name = if node.name().is_empty() { first } else { node.name() };
    format!("{} {}", node.op_type().escape_debug(), name.escape_debug())
}

/// Notes that a node stays as it is.
pub(super) fn pass_over(changes: &mut Changes, node: &NodeProto, reason: &'static str) {
    changes.pass_over(label(node), reason);
}

/// Whether a node holds graphs, which passes leave alone.
pub(super) fn has_graphs(node: &NodeProto) -> bool {
    inner_graphs(node).next().is_some()
}

/// The graphs within a node.
fn inner_graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Every name read within a graph. What it makes itself is among them, which only keeps more than is needed.
fn collect_reads(graph: &GraphProto, into: &mut HashSet<String>) {
    into.extend(graph.output.iter().map(|output| output.name().to_owned()));
    for node in &graph.node {
        into.extend(node.input.iter().cloned());
        inner_graphs(node).for_each(|graph| collect_reads(graph, into));
    }
}

/// Every name in a graph and the graphs within.
fn collect_names(graph: &GraphProto, into: &mut HashSet<String>) {
    into.extend(graph.input.iter().chain(&graph.output).map(|value| value.name().to_owned()));
    into.extend(graph.initializer.iter().map(|constant| constant.name().to_owned()));
    into.extend(graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()?.name.clone()));
    for node in &graph.node {
        into.extend(node.output.iter().chain(&node.name).cloned());
        inner_graphs(node).for_each(|graph| collect_names(graph, into));
    }
}

fn retain_by<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().copied().unwrap_or(true));
}

/// `ai.onnx` has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// What a `Constant` node gives, where it is a tensor of numbers.
fn constant_of(node: &NodeProto) -> Option<TensorProto> {
    let [output] = node.output.as_slice() else { return None };
    let [value] = node.attribute.as_slice() else { return None };
    let made = |tensor: Tensor| tensor::to_proto(output.clone(), &tensor);
    match value.name() {
        "value" => value.t.clone().map(|constant| TensorProto { name: Some(output.clone()), ..constant }),
        "value_float" => Tensor::new([], vec![value.f?]).ok().map(made),
        "value_int" => Tensor::new([], vec![value.i?]).ok().map(made),
        "value_floats" => Some(made(Tensor::vector(value.floats.clone()))),
        "value_ints" => Some(made(Tensor::vector(value.ints.clone()))),
        _ => None,
    }
}
