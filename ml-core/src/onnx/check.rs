//! The check that every model passes before anything else looks at it.

use super::{
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto,
        ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::dimension,
        type_proto,
    },
    tensor,
};
use crate::{
    Error, Result, Signature,
    signature::{BATCH, Dim, TensorSpec},
};
use bytes::Bytes;
use prost::Message as _;
use std::collections::HashSet;

/// Protobuf messages are below 2 GiB; what is larger keeps its data outside, which is refused anyway.
const MAX_BYTES: usize = i32::MAX as usize;

/// Decodes and checks a model. The decoder itself refuses more than a hundred messages within each other.
pub(crate) fn decode(bytes: &Bytes) -> Result<ModelProto> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::unsupported("the model is larger than 2 GiB").with("bytes", bytes.len()));
    }
    let model = ModelProto::decode(bytes.clone())
        .map_err(|source| Error::corrupt("the bytes are no ONNX model").with_source(source))?;
    if model.ir_version() < 3 {
        return Err(Error::corrupt("the model has no IR version, or one before 3").with("version", model.ir_version()));
    }
    if model.opset_import.is_empty() {
        return Err(Error::corrupt("the model imports no operator set"));
    }
    if !model.training_info.is_empty() {
        return Err(Error::unsupported("models with training information are not supported"));
    }
    let graph = model.graph.as_ref().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    check_graph(graph, None, false)?;
    model.functions.iter().try_for_each(check_function)?;
    Ok(model)
}

/// What the graph of a checked model takes and gives.
pub(crate) fn signature(model: &ModelProto) -> Result<Signature> {
    let graph = model.graph.as_ref().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    // Before IR version 4 every initializer was an input as well: one with a default.
    let given: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let inputs = graph.input.iter().filter(|input| !given.contains(input.name())).map(spec).collect::<Result<_>>()?;
    let outputs = graph.output.iter().map(spec).collect::<Result<_>>()?;
    Signature::new(inputs, outputs)
        .map_err(|error| Error::corrupt("the graph has no usable signature").with_source(error))
}

fn spec(value: &ValueInfoProto) -> Result<TensorSpec> {
    let unsupported = |message: &str| Error::unsupported(message).with("tensor", value.name().escape_debug());
    let Some(type_proto::Value::TensorType(of)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(unsupported("inputs and outputs other than tensors are not supported"));
    };
    let dtype = tensor::dtype(of.elem_type()).ok_or_else(|| {
        unsupported("tensors of this element type are not supported").with("elem_type", of.elem_type())
    })?;
    let shape = of.shape.as_ref().ok_or_else(|| unsupported("inputs and outputs without a shape are not supported"))?;
    let dim = |(axis, dim): (usize, &super::proto::tensor_shape_proto::Dimension)| match &dim.value {
        Some(dimension::Value::DimValue(length)) => usize::try_from(*length).map(Dim::Fixed).map_err(|_| {
            Error::corrupt("a dimension is negative").with("tensor", value.name().escape_debug()).with("axis", axis)
        }),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Ok(Dim::Named(name.clone())),
        _ if axis == 0 => Ok(Dim::Named(BATCH.into())),
        _ => Ok(Dim::Named(format!("{}_{axis}", value.name()))),
    };
    let shape = shape.dim.iter().enumerate().map(dim).collect::<Result<_>>()?;
    Ok(TensorSpec { name: value.name().into(), dtype, shape })
}

/// The values that a node may use: those of its graph so far, and those of the graphs around it.
struct Scope<'a> {
    around: Option<&'a Scope<'a>>,
    names: HashSet<&'a str>,
}

impl<'a> Scope<'a> {
    fn define(&mut self, name: &'a str) -> Result<()> {
        if self.names.insert(name) {
            Ok(())
        } else {
            Err(Error::corrupt("a value is made twice").with("value", name.escape_debug()))
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.around.is_some_and(|around| around.has(name))
    }
}

fn check_graph<'a>(graph: &'a GraphProto, around: Option<&'a Scope<'a>>, in_function: bool) -> Result<()> {
    let mut scope = Scope { around, names: HashSet::new() };
    for input in &graph.input {
        if input.name().is_empty() {
            return Err(Error::corrupt("an input has no name"));
        }
        scope.define(input.name())?;
    }
    let mut initialized = HashSet::new();
    for tensor in &graph.initializer {
        check_tensor(tensor)?;
        if tensor.name().is_empty() || !initialized.insert(tensor.name()) {
            return Err(
                Error::corrupt("a constant has no name, or one of another").with("value", tensor.name().escape_debug())
            );
        }
        scope.names.insert(tensor.name());
    }
    for sparse in &graph.sparse_initializer {
        check_sparse(sparse)?;
        scope.define(sparse.values.as_ref().map_or("", TensorProto::name))?;
    }
    check_nodes(&graph.node, &mut scope, in_function)?;
    for output in &graph.output {
        if !scope.has(output.name()) {
            return Err(Error::corrupt("an output is made by no node").with("value", output.name().escape_debug()));
        }
    }
    Ok(())
}

fn check_function(function: &FunctionProto) -> Result<()> {
    let mut scope = Scope { around: None, names: HashSet::new() };
    function.input.iter().try_for_each(|input| scope.define(input))?;
    function.attribute_proto.iter().try_for_each(|attribute| check_attribute(attribute, &scope, true))?;
    check_nodes(&function.node, &mut scope, true)?;
    match function.output.iter().find(|output| !scope.has(output)) {
        Some(output) => Err(Error::corrupt("an output is made by no node").with("value", output.escape_debug())),
        None => Ok(()),
    }
}

fn check_nodes<'a>(nodes: &'a [NodeProto], scope: &mut Scope<'a>, in_function: bool) -> Result<()> {
    for node in nodes {
        let named =
            |error: Error| error.with("node", node.name().escape_debug()).with("op", node.op_type().escape_debug());
        if node.op_type().is_empty() {
            return Err(named(Error::corrupt("a node has no operator")));
        }
        // An optional input that is left out has the empty name.
        if let Some(input) = node.input.iter().find(|input| !input.is_empty() && !scope.has(input)) {
            return Err(named(Error::corrupt("a value is used before it is made").with("value", input.escape_debug())));
        }
        let mut names = HashSet::new();
        for attribute in &node.attribute {
            if attribute.name().is_empty() || !names.insert(attribute.name()) {
                return Err(named(Error::corrupt("an attribute has no name, or one of another")));
            }
            check_attribute(attribute, scope, in_function).map_err(named)?;
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            scope.define(output).map_err(named)?;
        }
    }
    Ok(())
}

/// An attribute says its type and carries a value of that type and no other.
fn check_attribute(attribute: &AttributeProto, scope: &Scope<'_>, in_function: bool) -> Result<()> {
    let wrong = |message: &str| Error::corrupt(message).with("attribute", attribute.name().escape_debug());
    let carried = [
        (AttributeType::Float, usize::from(attribute.f.is_some())),
        (AttributeType::Int, usize::from(attribute.i.is_some())),
        (AttributeType::String, usize::from(attribute.s.is_some())),
        (AttributeType::Tensor, usize::from(attribute.t.is_some())),
        (AttributeType::Graph, usize::from(attribute.g.is_some())),
        (AttributeType::SparseTensor, usize::from(attribute.sparse_tensor.is_some())),
        (AttributeType::TypeProto, usize::from(attribute.tp.is_some())),
        (AttributeType::Floats, attribute.floats.len()),
        (AttributeType::Ints, attribute.ints.len()),
        (AttributeType::Strings, attribute.strings.len()),
        (AttributeType::Tensors, attribute.tensors.len()),
        (AttributeType::Graphs, attribute.graphs.len()),
        (AttributeType::SparseTensors, attribute.sparse_tensors.len()),
        (AttributeType::TypeProtos, attribute.type_protos.len()),
    ];
    let kind = AttributeType::try_from(attribute.r#type.unwrap_or_default())
        .map_err(|_| wrong("an attribute is of an unknown type"))?;
    if kind == AttributeType::Undefined {
        return Err(wrong("an attribute has no type"));
    }
    if carried.iter().any(|&(of, count)| of != kind && count > 0) {
        return Err(wrong("an attribute carries a value of another type"));
    }
    if !attribute.ref_attr_name().is_empty() {
        let empty = carried.iter().all(|&(_, count)| count == 0);
        return if in_function && empty { Ok(()) } else { Err(wrong("an attribute refers to one of no function")) };
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(check_tensor)?;
    attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).try_for_each(check_sparse)?;
    attribute.g.iter().chain(&attribute.graphs).try_for_each(|graph| check_graph(graph, Some(scope), in_function))
}

fn check_sparse(sparse: &SparseTensorProto) -> Result<()> {
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else {
        return Err(Error::corrupt("a sparse tensor lacks values or indices"));
    };
    check_tensor(values)?;
    check_tensor(indices)?;
    tensor::shape(&TensorProto { dims: sparse.dims.clone(), ..TensorProto::default() }).map(|_| ())
}

/// A tensor is here, is of a known type, and has as many elements as its shape says.
fn check_tensor(proto: &TensorProto) -> Result<()> {
    let name = || proto.name().escape_debug();
    if let Some(location) = tensor::external_location(proto) {
        return Err(Error::unsupported("a tensor keeps its data outside the model, which is refused")
            .with("tensor", name())
            .with("location", location.escape_debug()));
    }
    if proto.segment.is_some() {
        return Err(Error::unsupported("tensors in segments are not supported").with("tensor", name()));
    }
    let kind = DataType::try_from(proto.data_type()).unwrap_or(DataType::Undefined);
    let Some(storage) = Storage::of(kind) else {
        return Err(Error::unsupported("tensors of this element type are not supported")
            .with("tensor", name())
            .with("data_type", proto.data_type()));
    };
    let elements = tensor::shape(proto).map_err(|error| error.with("tensor", name()))?.iter().product();
    let fields = [
        (Field::Floats, proto.float_data.len()),
        (Field::Int32s, proto.int32_data.len()),
        (Field::Strings, proto.string_data.len()),
        (Field::Int64s, proto.int64_data.len()),
        (Field::Doubles, proto.double_data.len()),
        (Field::Uint64s, proto.uint64_data.len()),
    ];
    let (expected, got) = match &proto.raw_data {
        Some(raw) if kind != DataType::String => (storage.bytes(elements), raw.len()),
        Some(_) => return Err(Error::corrupt("a tensor of text has raw bytes").with("tensor", name())),
        None => (
            storage.entries(elements),
            fields.iter().find(|(field, _)| *field == storage.field).map_or(0, |(_, count)| *count),
        ),
    };
    let elsewhere = fields.iter().any(|(field, n)| *n > 0 && (proto.raw_data.is_some() || *field != storage.field));
    if expected != Some(got) || elsewhere {
        return Err(Error::corrupt("a tensor of the graph has another size than its shape")
            .with("tensor", name())
            .with("dims", format!("{:?}", proto.dims)));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Floats,
    Int32s,
    Strings,
    Int64s,
    Doubles,
    Uint64s,
}

/// How ONNX stores an element type: in raw bytes, or in a field of its own.
struct Storage {
    /// Bits of an element in raw bytes.
    bits: usize,
    field: Field,
    /// Entries of that field for one element: complex numbers take two.
    entries: usize,
}

impl Storage {
    fn of(kind: DataType) -> Option<Self> {
        let (bits, field, entries) = match kind {
            DataType::Float => (32, Field::Floats, 1),
            DataType::Complex64 => (64, Field::Floats, 2),
            DataType::Double => (64, Field::Doubles, 1),
            DataType::Complex128 => (128, Field::Doubles, 2),
            DataType::Int32 => (32, Field::Int32s, 1),
            DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => (16, Field::Int32s, 1),
            DataType::Bool
            | DataType::Int8
            | DataType::Uint8
            | DataType::Float8e4m3fn
            | DataType::Float8e4m3fnuz
            | DataType::Float8e5m2
            | DataType::Float8e5m2fnuz => (8, Field::Int32s, 1),
            DataType::Int64 => (64, Field::Int64s, 1),
            DataType::Uint32 => (32, Field::Uint64s, 1),
            DataType::Uint64 => (64, Field::Uint64s, 1),
            DataType::String => (0, Field::Strings, 1),
            // Two to a byte, in ways that have changed between versions of the specification.
            DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 | DataType::Undefined => return None,
        };
        Some(Self { bits, field, entries })
    }

    fn bytes(&self, elements: usize) -> Option<usize> {
        elements.checked_mul(self.bits / 8)
    }

    fn entries(&self, elements: usize) -> Option<usize> {
        elements.checked_mul(self.entries)
    }
}
