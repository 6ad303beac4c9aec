//! The check that every model passes before anything else looks at it.

use super::{
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto,
        ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::dimension,
        type_proto,
    },
    tensor, weight,
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
    weight::check(bytes)?;
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
    let outputs = graph.output.iter().map(spec).collect::<Result<_>>()?;
    Signature::new(inputs(model)?, outputs)
        .map_err(|error| Error::corrupt("the graph has no usable signature").with_source(error))
}

/// What the graph of a checked model takes.
pub(crate) fn inputs(model: &ModelProto) -> Result<Vec<TensorSpec>> {
    let graph = model.graph.as_ref().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    // Before IR version 4 every initializer was an input as well: one with a default.
    let given: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    graph.input.iter().filter(|input| !given.contains(input.name())).map(spec).collect()
}

/// Name, element type and shape of an input or output.
pub(crate) fn spec(value: &ValueInfoProto) -> Result<TensorSpec> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind,
        onnx::{
            OnnxModel,
            graph::{Domain, GraphBuilder},
            proto::{
                OperatorSetIdProto, StringStringEntryProto, TrainingInfoProto, TypeProto, tensor_proto::DataLocation,
                tensor_shape_proto::Dimension,
            },
        },
        tensor::DType,
    };

    /// One input, one node, one output.
    fn valid() -> ModelProto {
        let mut graph = GraphBuilder::new("valid");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
        let y = graph.node(Domain::Onnx, "Sigmoid", &[x], vec![]);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
        let bytes = graph.finish().expect("a valid graph").bytes;
        ModelProto::decode(bytes).expect("own bytes")
    }

    fn read(model: &ModelProto) -> Result<OnnxModel> {
        OnnxModel::from_bytes(model.encode_to_vec())
    }

    /// What the check says after a change to the valid model.
    fn refused(change: impl FnOnce(&mut ModelProto)) -> Error {
        let mut model = valid();
        change(&mut model);
        read(&model).expect_err("not valid any more")
    }

    fn graph(model: &mut ModelProto) -> &mut GraphProto {
        model.graph.as_mut().expect("there")
    }

    fn tensor() -> TensorProto {
        TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(DataType::Float as i32),
            raw_data: Some(vec![0; 8].into()),
            ..TensorProto::default()
        }
    }

    fn external() -> TensorProto {
        let entry =
            |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
        TensorProto {
            raw_data: None,
            data_location: Some(DataLocation::External.into()),
            external_data: vec![entry("offset", "0"), entry("location", "../../etc/passwd")],
            ..tensor()
        }
    }

    fn attribute(kind: AttributeType) -> AttributeProto {
        AttributeProto { name: Some("value".into()), r#type: Some(kind.into()), ..AttributeProto::default() }
    }

    fn sparse(values: TensorProto) -> SparseTensorProto {
        let indices = TensorProto {
            name: Some("i".into()),
            data_type: Some(DataType::Int64 as i32),
            raw_data: Some(vec![0; 16].into()),
            ..tensor()
        };
        SparseTensorProto { values: Some(values), indices: Some(indices), dims: vec![4] }
    }

    fn around(attribute: AttributeProto) -> NodeProto {
        NodeProto {
            op_type: Some("Constant".into()),
            output: vec!["c".into()],
            attribute: vec![attribute],
            ..NodeProto::default()
        }
    }

    #[test]
    fn data_outside_the_file_is_refused_wherever_a_tensor_can_be() {
        let of = attribute;
        let inner = GraphProto { initializer: vec![external()], ..GraphProto::default() };
        let deeper = GraphProto {
            node: vec![around(AttributeProto { t: Some(external()), ..of(AttributeType::Tensor) })],
            ..GraphProto::default()
        };
        let function = FunctionProto {
            name: Some("f".into()),
            node: vec![around(AttributeProto { t: Some(external()), ..of(AttributeType::Tensor) })],
            ..FunctionProto::default()
        };
        // The location alone, without the flag that it is outside.
        let unflagged = TensorProto { data_location: None, ..external() };
        let flag_only = TensorProto { data_location: Some(DataLocation::External.into()), ..tensor() };
        let attributes = [
            AttributeProto { t: Some(external()), ..of(AttributeType::Tensor) },
            AttributeProto { tensors: vec![tensor(), external()], ..of(AttributeType::Tensors) },
            AttributeProto { sparse_tensor: Some(sparse(external())), ..of(AttributeType::SparseTensor) },
            AttributeProto { sparse_tensors: vec![sparse(external())], ..of(AttributeType::SparseTensors) },
            AttributeProto { g: Some(inner), ..of(AttributeType::Graph) },
            AttributeProto { graphs: vec![deeper], ..of(AttributeType::Graphs) },
        ];
        let mut errors: Vec<Error> = attributes
            .into_iter()
            .map(|attribute| refused(|model| graph(model).node.insert(0, around(attribute))))
            .collect();
        errors.push(refused(|model| graph(model).initializer.push(external())));
        errors.push(refused(|model| graph(model).initializer.push(unflagged)));
        errors.push(refused(|model| graph(model).initializer.push(flag_only)));
        errors.push(refused(|model| graph(model).sparse_initializer.push(sparse(external()))));
        errors.push(refused(|model| model.functions.push(function)));
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains("outside the model"), "{error}");
        }
    }

    #[test]
    fn a_tensor_has_as_many_bytes_as_its_shape_says() {
        let wrong = [
            TensorProto { dims: vec![3], ..tensor() },
            TensorProto { dims: vec![-2], ..tensor() },
            TensorProto { dims: vec![i64::MAX, i64::MAX], ..tensor() },
            TensorProto { dims: vec![1 << 62], ..tensor() },
            TensorProto { raw_data: None, ..tensor() },
            TensorProto { raw_data: None, float_data: vec![1.0], ..tensor() },
            TensorProto { float_data: vec![1.0, 2.0], ..tensor() },
            TensorProto { raw_data: None, int32_data: vec![1, 2], ..tensor() },
            TensorProto { data_type: Some(DataType::String as i32), ..tensor() },
            TensorProto { data_type: Some(DataType::Double as i32), ..tensor() },
            TensorProto { name: None, ..tensor() },
        ];
        for tensor in wrong {
            let error = refused(|model| graph(model).initializer.push(tensor.clone()));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{tensor:?}: {error}");
        }
        for kind in [0, 99, -1, DataType::Int4 as i32] {
            let tensor = TensorProto { data_type: Some(kind), ..tensor() };
            assert_eq!(refused(|model| graph(model).initializer.push(tensor)).kind(), ErrorKind::Unsupported);
        }
        let right = [
            tensor(),
            TensorProto { dims: vec![0, 7], raw_data: Some(Bytes::new()), ..tensor() },
            TensorProto { dims: vec![0], raw_data: None, ..tensor() },
            TensorProto { raw_data: None, float_data: vec![1.0, 2.0], ..tensor() },
        ];
        for tensor in right {
            let mut model = valid();
            graph(&mut model).initializer.push(tensor);
            read(&model).expect("valid");
        }
    }

    #[test]
    fn every_value_is_made_once_and_before_it_is_used() {
        let corrupt: [fn(&mut ModelProto); 9] = [
            |model| graph(model).node[0].input = vec!["nobody".into()],
            |model| graph(model).node[0].input = vec!["y".into()],
            |model| graph(model).node[0].output = vec!["x".into()],
            |model| {
                let again = graph(model).node[0].clone();
                graph(model).node.push(again);
            },
            |model| graph(model).node[0].op_type = None,
            |model| graph(model).node.clear(),
            |model| {
                let again = graph(model).input[0].clone();
                graph(model).input.push(again);
            },
            |model| graph(model).input[0].name = None,
            |model| graph(model).initializer = vec![tensor(), tensor()],
        ];
        for change in corrupt {
            let error = refused(change);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    }

    #[test]
    fn an_attribute_is_what_it_says() {
        let wrong = [
            attribute(AttributeType::Undefined),
            AttributeProto { r#type: Some(77), ..attribute(AttributeType::Int) },
            AttributeProto { f: Some(1.0), ..attribute(AttributeType::Int) },
            AttributeProto { i: Some(1), ints: vec![1], ..attribute(AttributeType::Int) },
            AttributeProto { name: None, ..attribute(AttributeType::Int) },
            AttributeProto { ref_attr_name: Some("outer".into()), ..attribute(AttributeType::Int) },
        ];
        for attribute in wrong {
            let error = refused(|model| graph(model).node[0].attribute.push(attribute));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        let twice = AttributeProto { i: Some(1), ..attribute(AttributeType::Int) };
        let error = refused(|model| graph(model).node[0].attribute = vec![twice.clone(), twice]);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn the_frame_of_a_model_is_whole() {
        let corrupt: [fn(&mut ModelProto); 4] = [
            |model| model.ir_version = None,
            |model| model.opset_import.clear(),
            |model| model.graph = None,
            |model| graph(model).output.clear(),
        ];
        for change in corrupt {
            assert_eq!(refused(change).kind(), ErrorKind::Corrupt);
        }
        let unsupported: [fn(&mut ModelProto); 4] = [
            |model| model.training_info.push(TrainingInfoProto::default()),
            |model| graph(model).input[0].r#type = None,
            |model| graph(model).output[0].r#type = Some(TypeProto::default()),
            |model| {
                let Some(TypeProto { value: Some(type_proto::Value::TensorType(of)), .. }) =
                    &mut graph(model).input[0].r#type
                else {
                    panic!("a tensor");
                };
                of.elem_type = Some(DataType::Complex64 as i32);
            },
        ];
        for change in unsupported {
            assert_eq!(refused(change).kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn dimensions_without_a_name_get_one() {
        let mut model = valid();
        let Some(type_proto::Value::TensorType(of)) =
            graph(&mut model).input[0].r#type.as_mut().and_then(|t| t.value.as_mut())
        else {
            panic!("a tensor");
        };
        of.shape.as_mut().expect("a shape").dim = vec![Dimension::default(), Dimension::default()];
        let signature = read(&model).expect("valid").signature;
        assert_eq!(signature.inputs()[0].shape, [Dim::from(BATCH), Dim::from("x_1")]);
        let negative = refused(|model| {
            let Some(type_proto::Value::TensorType(of)) =
                graph(model).input[0].r#type.as_mut().and_then(|t| t.value.as_mut())
            else {
                panic!("a tensor");
            };
            of.shape.as_mut().expect("a shape").dim[1].value = Some(dimension::Value::DimValue(-1));
        });
        assert_eq!(negative.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn an_input_with_a_default_is_no_input() {
        let mut model = valid();
        let mut input = graph(&mut model).input[0].clone();
        input.name = Some("w".into());
        graph(&mut model).input.push(input);
        graph(&mut model).initializer.push(tensor());
        assert_eq!(read(&model).expect("valid").signature.inputs().len(), 1);
    }

    #[test]
    fn a_subgraph_sees_the_values_around_it() {
        let uses = |name: &str| GraphProto {
            node: vec![NodeProto {
                op_type: Some("Identity".into()),
                input: vec![name.into()],
                output: vec!["inside".into()],
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        };
        let branch = |name| AttributeProto { g: Some(uses(name)), ..attribute(AttributeType::Graph) };
        let mut model = valid();
        graph(&mut model).node.insert(0, around(branch("x")));
        read(&model).expect("the input is made before");
        // The output of a node that comes later is not.
        assert_eq!(refused(|model| graph(model).node.insert(0, around(branch("y")))).kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn nesting_without_end_is_refused_before_the_stack_is_used_up() {
        // Bytes put together from the inside out: each level is a graph in an attribute in a node in a graph.
        let field = |tag: u8, inner: &[u8]| {
            let mut bytes = vec![tag << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
            bytes.extend_from_slice(inner);
            bytes
        };
        let mut bytes = Vec::new();
        for _ in 0..1_000 {
            bytes = field(1, &field(5, &field(6, &bytes)));
        }
        let error = OnnxModel::from_bytes(field(7, &bytes)).expect_err("too deep");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_function_is_checked_like_a_graph() {
        let function = |input: &str| FunctionProto {
            name: Some("f".into()),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: vec![NodeProto {
                op_type: Some("Identity".into()),
                input: vec![input.into()],
                output: vec!["b".into()],
                ..NodeProto::default()
            }],
            opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
            ..FunctionProto::default()
        };
        let mut model = valid();
        model.functions.push(function("a"));
        read(&model).expect("valid");
        assert_eq!(refused(|model| model.functions.push(function("x"))).kind(), ErrorKind::Corrupt);
    }
}
