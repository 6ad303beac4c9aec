//! A graph put together node by node.

use super::{
    OnnxModel,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_shape_proto, type_proto,
    },
    tensor,
};
use crate::{
    Error, Result, Tensor,
    signature::{Dim, TensorSpec},
};
use prost::Message as _;
use std::collections::HashSet;

/// The version of the intermediate representation that the family writes.
pub const IR_VERSION: i64 = 8;

/// The operator sets of ONNX, with the version that the family writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `ai.onnx` 17: tensors and neural nets.
    Onnx,
    /// `ai.onnx.ml` 3: classical machine learning.
    Ml,
}

impl Domain {
    /// The name in the file; the first set has the empty one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Onnx => "",
            Self::Ml => "ai.onnx.ml",
        }
    }

    /// The version that the family writes.
    #[must_use]
    pub const fn version(self) -> i64 {
        match self {
            Self::Onnx => 17,
            Self::Ml => 3,
        }
    }
}

/// A tensor that flows through a [`GraphBuilder`]: an input, an initializer, or what a node gives.
///
/// It belongs to the builder that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value(usize);

/// A constant of a node, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute(AttributeProto);

impl Attribute {
    /// One number.
    #[must_use]
    pub fn float(name: &str, value: f32) -> Self {
        Self(AttributeProto { f: Some(value), ..typed(name, AttributeType::Float) })
    }

    /// Numbers.
    #[must_use]
    pub fn floats(name: &str, values: impl IntoIterator<Item = f32>) -> Self {
        Self(AttributeProto { floats: values.into_iter().collect(), ..typed(name, AttributeType::Floats) })
    }

    /// One whole number.
    #[must_use]
    pub fn int(name: &str, value: i64) -> Self {
        Self(AttributeProto { i: Some(value), ..typed(name, AttributeType::Int) })
    }

    /// Whole numbers.
    #[must_use]
    pub fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        Self(AttributeProto { ints: values.into_iter().collect(), ..typed(name, AttributeType::Ints) })
    }

    /// One text.
    #[must_use]
    pub fn string(name: &str, value: impl Into<String>) -> Self {
        Self(AttributeProto { s: Some(tensor::bytes(value)), ..typed(name, AttributeType::String) })
    }

    /// Texts.
    #[must_use]
    pub fn strings<S: Into<String>>(name: &str, values: impl IntoIterator<Item = S>) -> Self {
        let strings = values.into_iter().map(tensor::bytes).collect();
        Self(AttributeProto { strings, ..typed(name, AttributeType::Strings) })
    }
}

/// Builds the ONNX graph of a model; how trainers and transforms export what they fitted.
///
/// The graphs of this family take one input a raw column, `FP32` of shape `[batch, 1]` for numbers and `BYTES` of shape
/// `[batch, 1]` for text. Regression gives `prediction`, `FP32` of `[batch, 1]`; binary classification gives `label`,
/// `INT64` of `[batch]`, and `probabilities`, `FP32` of `[batch, 2]`. The same calls give the same bytes.
///
/// ```
/// use ml_core::{
///     onnx::graph::{Attribute, Domain, GraphBuilder},
///     signature::TensorSpec,
///     tensor::DType,
/// };
///
/// let mut graph = GraphBuilder::new("fares");
/// let miles = graph.input(TensorSpec::batched("miles", DType::Fp32, [1]))?;
/// let fare = graph.node(
///     Domain::Ml,
///     "LinearRegressor",
///     &[miles],
///     vec![Attribute::floats("coefficients", [2.5]), Attribute::floats("intercepts", [3.0])],
/// );
/// graph.output(fare, TensorSpec::batched("prediction", DType::Fp32, [1]))?;
/// let model = graph.finish()?;
/// assert_eq!(model.signature.outputs()[0].name, "prediction");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    name: String,
    values: Vec<Origin>,
    inputs: Vec<TensorSpec>,
    initializers: Vec<Tensor>,
    nodes: Vec<Node>,
    outputs: Vec<(Value, TensorSpec)>,
}

/// Where a value comes from, by index.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Input(usize),
    Initializer(usize),
    Node(usize),
}

#[derive(Debug, Clone)]
struct Node {
    domain: Domain,
    op: &'static str,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    attributes: Vec<Attribute>,
}

impl GraphBuilder {
    /// Starts a graph. The name is for readers only.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            values: Vec::new(),
            inputs: Vec::new(),
            initializers: Vec::new(),
            nodes: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Adds an input.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the name is empty or taken by an input.
    pub fn input(&mut self, spec: TensorSpec) -> Result<Value> {
        if spec.name.is_empty() || self.inputs.iter().any(|input| input.name == spec.name) {
            return Err(Error::invalid_input("the name of an input is empty or taken").with("tensor", spec.name));
        }
        self.inputs.push(spec);
        Ok(self.value(Origin::Input(self.inputs.len() - 1)))
    }

    /// Adds a constant tensor.
    pub fn initializer(&mut self, tensor: Tensor) -> Value {
        self.initializers.push(tensor);
        self.value(Origin::Initializer(self.initializers.len() - 1))
    }

    /// Adds a node of one output and gives that output.
    pub fn node(&mut self, domain: Domain, op: &'static str, inputs: &[Value], attributes: Vec<Attribute>) -> Value {
        let [value] = self.node_of(domain, op, inputs, attributes);
        value
    }

    /// Adds a node of `N` outputs and gives them in order.
    pub fn node_of<const N: usize>(
        &mut self,
        domain: Domain,
        op: &'static str,
        inputs: &[Value],
        attributes: Vec<Attribute>,
    ) -> [Value; N] {
        let outputs = [(); N].map(|()| self.value(Origin::Node(self.nodes.len())));
        self.nodes.push(Node { domain, op, inputs: inputs.to_vec(), outputs: outputs.to_vec(), attributes });
        outputs
    }

    /// Makes a value an output of the graph.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the name is empty or taken by an input or an output.
    pub fn output(&mut self, value: Value, spec: TensorSpec) -> Result<()> {
        let taken = self.inputs.iter().chain(self.outputs.iter().map(|(_, spec)| spec)).any(|s| s.name == spec.name);
        if spec.name.is_empty() || taken {
            return Err(Error::invalid_input("the name of an output is empty or taken").with("tensor", spec.name));
        }
        self.outputs.push((value, spec));
        Ok(())
    }

    /// Writes the graph, and checks it as every model is checked when it is read.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no output, an input is named as an output added before it, or a value is of another builder.
    pub fn finish(mut self) -> Result<OnnxModel> {
        self.copy_shared_outputs();
        let names = self.names();
        // A value of another builder has no name here; the checker refuses the node that uses it.
        let name = |value: &Value| names.get(value.0).cloned().unwrap_or_else(|| "of_another_graph".into());
        let named = |values: &[Value]| values.iter().map(name).collect::<Vec<_>>();
        let initializer = |(at, origin): (usize, &Origin)| match origin {
            Origin::Initializer(index) => Some(tensor::to_proto(names[at].clone(), &self.initializers[*index])),
            Origin::Input(_) | Origin::Node(_) => None,
        };
        let initializer: Vec<TensorProto> = self.values.iter().enumerate().filter_map(initializer).collect();
        let node = self
            .nodes
            .iter()
            .map(|node| NodeProto {
                name: node.outputs.first().map(|value| names[value.0].clone()),
                op_type: Some(node.op.into()),
                domain: Some(node.domain.name().into()),
                input: named(&node.inputs),
                output: named(&node.outputs),
                attribute: node.attributes.iter().map(|attribute| attribute.0.clone()).collect(),
                ..NodeProto::default()
            })
            .collect();
        let graph = GraphProto {
            name: Some(self.name),
            node,
            initializer,
            input: self.inputs.iter().map(value_info).collect(),
            output: self.outputs.iter().map(|(_, spec)| value_info(spec)).collect(),
            ..GraphProto::default()
        };
        let opset =
            |domain: Domain| OperatorSetIdProto { domain: Some(domain.name().into()), version: Some(domain.version()) };
        let model = ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("ml-platform".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(graph),
            opset_import: [Domain::Onnx, Domain::Ml].map(opset).into(),
            ..ModelProto::default()
        };
        OnnxModel::from_bytes(model.encode_to_vec())
            .map_err(|error| Error::invalid_input("the graph is not valid").with_source(error))
    }

    fn value(&mut self, origin: Origin) -> Value {
        self.values.push(origin);
        Value(self.values.len() - 1)
    }

    /// An output has a name of its own, so what is an input, a constant or another output already is passed through.
    fn copy_shared_outputs(&mut self) {
        for at in 0..self.outputs.len() {
            let value = self.outputs[at].0;
            let shared = self.outputs[..at].iter().any(|(earlier, _)| *earlier == value);
            if shared || !matches!(self.values.get(value.0), Some(Origin::Node(_))) {
                self.outputs[at].0 = self.node(Domain::Onnx, "Identity", &[value], Vec::new());
            }
        }
    }

    /// One name a value: inputs and outputs have theirs, the others are called after their node.
    fn names(&self) -> Vec<String> {
        let mut taken: HashSet<&str> = self
            .inputs
            .iter()
            .chain(self.outputs.iter().map(|(_, spec)| spec))
            .map(|spec| spec.name.as_str())
            .collect();
        taken.insert("");
        let mut names = Vec::with_capacity(self.values.len());
        for (at, origin) in self.values.iter().enumerate() {
            let output = self.outputs.iter().find(|(value, _)| value.0 == at);
            names.push(match (output, origin) {
                (Some((_, spec)), _) => spec.name.clone(),
                (None, Origin::Input(index)) => self.inputs[*index].name.clone(),
                (None, Origin::Initializer(_)) => unused(&taken, "constant", at),
                (None, Origin::Node(index)) => unused(&taken, self.nodes[*index].op, at),
            });
        }
        names
    }
}

/// `stem_number`, which no other value has, with as many underscores as keep it apart from the names of inputs and outputs.
fn unused(taken: &HashSet<&str>, stem: &str, number: usize) -> String {
    let mut name = format!("{}_{number}", stem.to_ascii_lowercase());
    while taken.contains(name.as_str()) {
        name.push('_');
    }
    name
}

fn typed(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(kind.into()), ..AttributeProto::default() }
}

pub(crate) fn value_info(spec: &TensorSpec) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |dim: &Dim| Dimension {
        value: Some(match dim {
            Dim::Fixed(length) => Value::DimValue(i64::try_from(*length).unwrap_or(i64::MAX)),
            Dim::Named(name) => Value::DimParam(name.clone()),
        }),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(tensor::onnx_type(spec.dtype) as i32),
        shape: Some(TensorShapeProto { dim: spec.shape.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: Some(spec.name.clone()),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
