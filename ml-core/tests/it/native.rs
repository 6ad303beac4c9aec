//! What the native runtime refuses, and how it says so.

use crate::runtime::load;
use bytes::Bytes;
use ml_core::{
    ErrorKind, Model, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder, Value},
    },
    signature::{Dim, TensorSpec},
    tensor::{DType, Element},
};
use std::sync::Arc;

/// A graph over `x`, rows of three numbers, and what it gives.
fn graph(outputs: TensorSpec, build: impl FnOnce(&mut GraphBuilder, Value) -> Value) -> OnnxModel {
    let mut graph = GraphBuilder::new("graph");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [3])).expect("free name");
    let y = build(&mut graph, x);
    graph.output(y, outputs).expect("free name");
    graph.finish().expect("a valid graph")
}

fn constant<T: Element>(graph: &mut GraphBuilder, values: Vec<T>) -> Value {
    graph.initializer(Tensor::vector(values))
}

fn rows_of_three() -> TensorSpec {
    TensorSpec::batched("y", DType::Fp32, [3])
}

fn run(model: &OnnxModel, values: &[f32]) -> ml_core::Result<Vec<f32>> {
    let x = Tensor::new([values.len() / 3, 3], values.to_vec()).expect("rows of three");
    let model: Arc<dyn Model> = load(model)?;
    let outputs = model.predict(&Tensors::new().with("x", x).expect("one name"))?;
    outputs.require("y")?.clone().into_values()
}

#[test]
fn small_graphs_that_declare_giant_values_are_refused() {
    type Build = fn(&mut GraphBuilder, Value) -> Value;
    let giants: [(&str, Build); 9] = [
        ("Expand", |graph, x| {
            let shape = constant(graph, vec![1_i64 << 40, 1, 3]);
            graph.node(Domain::Onnx, "Expand", &[x, shape], vec![])
        }),
        ("Tile", |graph, x| {
            let times = constant(graph, vec![1_i64, i64::MAX]);
            graph.node(Domain::Onnx, "Tile", &[x, times], vec![])
        }),
        ("ConstantOfShape", |graph, _| {
            let shape = constant(graph, vec![1_i64 << 31, 1 << 31, 1 << 31]);
            graph.node(Domain::Onnx, "ConstantOfShape", &[shape], vec![])
        }),
        ("Pad", |graph, x| {
            let pads = constant(graph, vec![0_i64, 0, 0, i64::MAX]);
            graph.node(Domain::Onnx, "Pad", &[x, pads], vec![])
        }),
        ("OneHot", |graph, x| {
            let depth = constant(graph, vec![1_i64 << 50]);
            let values = constant(graph, vec![0.0_f32, 1.0]);
            graph.node(Domain::Onnx, "OneHot", &[x, depth, values], vec![])
        }),
        ("Range", |graph, _| {
            let mut number = |value: i64| graph.initializer(Tensor::new([], vec![value]).expect("one number"));
            let inputs = [number(0), number(i64::MAX), number(1)];
            graph.node(Domain::Onnx, "Range", &inputs, vec![])
        }),
        ("FeatureVectorizer", |graph, x| {
            graph.node(Domain::Ml, "FeatureVectorizer", &[x], vec![Attribute::ints("inputdimensions", [i64::MAX])])
        }),
        // Values that depend on no input, and double with every node.
        ("Concat", |graph, _| {
            let mut value = constant(graph, vec![1.0_f32; 1 << 10]);
            for _ in 0..60 {
                value = graph.node(Domain::Onnx, "Concat", &[value, value], vec![Attribute::int("axis", 0)]);
            }
            value
        }),
        // Rows by rows.
        ("MatMul", |graph, x| {
            let columns = graph.node(Domain::Onnx, "Transpose", &[x], vec![]);
            graph.node(Domain::Onnx, "MatMul", &[x, columns], vec![])
        }),
    ];
    for (op, build) in giants {
        let error = load(&graph(rows_of_three(), build)).expect_err(op);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{op}: {error:?}");
        assert!(error.context().any(|(key, value)| key == "op" && value.ends_with(op)), "{op}: {error:?}");
        assert!(error.context().any(|(key, _)| key == "node"), "{op}: {error:?}");
    }
}

#[test]
fn constants_that_take_long_to_compute_are_refused_together() {
    let model = graph(rows_of_three(), |graph, _| {
        let shape = constant(graph, vec![1_i64 << 24]);
        let mut value = graph.node(Domain::Onnx, "ConstantOfShape", &[shape], vec![]);
        for _ in 0..1_000 {
            value = graph.node(Domain::Onnx, "Cos", &[value], vec![]);
        }
        value
    });
    let error = load(&model).expect_err("a thousand times 64 MiB");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

#[test]
fn a_second_dimension_without_a_length_is_refused_by_its_name() {
    let mut graph = GraphBuilder::new("sequence");
    let shape = vec![Dim::from("batch"), Dim::from("tokens")];
    let x = graph.input(TensorSpec { name: "x".into(), dtype: DType::Fp32, shape: shape.clone() }).expect("free name");
    let y = graph.node(Domain::Onnx, "Neg", &[x], vec![]);
    graph.output(y, TensorSpec { name: "y".into(), dtype: DType::Fp32, shape }).expect("free name");
    let error = load(&graph.finish().expect("a valid graph")).expect_err("two lengths");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("(tensor: x, dimension: tokens)"), "{error}");
}

#[test]
fn text_where_a_number_is_due_is_refused_and_names_the_node() {
    for (domain, op) in
        [(Domain::Ml, "Scaler"), (Domain::Ml, "Normalizer"), (Domain::Onnx, "Exp"), (Domain::Onnx, "Relu")]
    {
        let mut graph = GraphBuilder::new("text");
        let x = graph.input(TensorSpec::batched("x", DType::Bytes, [1])).expect("free name");
        let y = graph.node(domain, op, &[x], vec![]);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
        let error = load(&graph.finish().expect("a valid graph")).expect_err(op);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("BYTES") && error.to_string().contains("node: y"), "{error}");
    }
}

#[test]
fn text_that_is_no_number_is_an_error_of_the_call() {
    let mut graph = GraphBuilder::new("parse");
    let x = graph.input(TensorSpec::batched("x", DType::Bytes, [1])).expect("free name");
    let y = graph.node(Domain::Onnx, "Cast", &[x], vec![Attribute::int("to", 1)]);
    graph.output(y, rows_of_one()).expect("free name");
    let model = load(&graph.finish().expect("a valid graph")).expect("supported");
    let texts = |texts: &[&'static str]| {
        let texts = texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        Tensors::new().with("x", Tensor::column(texts)).expect("one name")
    };
    let outputs = model.predict(&texts(&["1.5", "-2e3", "NaN", "-INF"])).expect("numbers");
    let got = outputs.require("y").expect("declared").values::<f32>().expect("FP32");
    assert!(got[..2] == [1.5, -2e3] && got[2].is_nan() && got[3] == f32::NEG_INFINITY, "{got:?}");
    let error = model.predict(&texts(&["1", "one"])).expect_err("no number");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "text is no number (element: 1, text: one)");
}

fn rows_of_one() -> TensorSpec {
    TensorSpec::batched("y", DType::Fp32, [1])
}

#[test]
fn indices_out_of_range_are_errors_at_load_or_of_the_call() {
    let gather = |graph: &mut GraphBuilder, values: Value, indices: Value| {
        graph.node(Domain::Onnx, "Gather", &[values, indices], vec![Attribute::int("axis", 0)])
    };
    let error = load(&graph(rows_of_three(), |graph, _| {
        let (values, indices) = (constant(graph, vec![1.0_f32, 2.0]), constant(graph, vec![2_i64]));
        gather(graph, values, indices)
    }));
    assert_eq!(error.expect_err("two elements").kind(), ErrorKind::Corrupt);

    let model = graph(rows_of_three(), |graph, x| {
        let values = constant(graph, vec![10.0_f32, 20.0]);
        let indices = graph.node(Domain::Onnx, "Cast", &[x], vec![Attribute::int("to", 7)]);
        gather(graph, values, indices)
    });
    assert_eq!(run(&model, &[0.0, 1.0, -1.0]).expect("in range"), [10.0, 20.0, 20.0]);
    let error = run(&model, &[0.0, 1.0, 2.0]).expect_err("out of range");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "an index is out of range (index: 2, length: 2)");
}

#[test]
fn shapes_made_of_shapes_hold_for_any_number_of_rows() {
    let model = graph(rows_of_three(), |graph, x| {
        let shape = graph.node(Domain::Onnx, "Shape", &[x], vec![]);
        let first = constant(graph, vec![0_i64]);
        let rows = graph.node(Domain::Onnx, "Gather", &[shape, first], vec![]);
        let rest = constant(graph, vec![-1_i64]);
        let target = graph.node(Domain::Onnx, "Concat", &[rows, rest], vec![Attribute::int("axis", 0)]);
        let flat = graph.node(Domain::Onnx, "Flatten", &[x], vec![Attribute::int("axis", 0)]);
        let again = graph.node(Domain::Onnx, "Reshape", &[flat, target], vec![]);
        let ones = graph.node(Domain::Onnx, "ConstantOfShape", &[shape], vec![]);
        graph.node(Domain::Onnx, "Add", &[again, ones], vec![])
    });
    for rows in [0, 1, 5] {
        let values: Vec<f32> = (0..rows * 3_u8).map(f32::from).collect();
        assert_eq!(run(&model, &values).expect("right inputs"), values);
    }
}

#[test]
fn a_fixed_shape_for_any_number_of_rows_is_refused() {
    let error = load(&graph(TensorSpec::batched("y", DType::Fp32, [1]), |graph, x| {
        let shape = constant(graph, vec![3_i64, 1]);
        graph.node(Domain::Onnx, "Reshape", &[x, shape], vec![])
    }));
    assert_eq!(error.expect_err("one row only").kind(), ErrorKind::Unsupported);
}

#[test]
fn an_output_of_another_shape_than_declared_is_refused() {
    let error = load(&graph(rows_of_three(), |graph, x| {
        graph.node(Domain::Onnx, "ReduceMean", &[x], vec![Attribute::ints("axes", [0])])
    }))
    .expect_err("one row, not any number");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("(tensor: y, got: FP32 [1, 3])"), "{error}");
}

#[test]
fn a_version_of_an_operator_set_that_is_not_known_is_refused() {
    let model = graph(rows_of_three(), |graph, x| graph.node(Domain::Onnx, "Neg", &[x], vec![]));
    // `opset_import` once more: version 99 of the set with the empty name.
    let bytes = [&model.bytes[..], &[8 << 3 | 2, 2, 2 << 3, 99]].concat();
    let error = load(&OnnxModel::from_bytes(bytes).expect("a valid graph")).expect_err("an unknown version");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("(domain: , version: 99)"), "{error}");
}

#[test]
fn half_precision_gives_what_single_precision_gives_rounded() {
    for (op, attributes) in [("Softmax", vec![]), ("LogSoftmax", vec![]), ("Sigmoid", vec![]), ("Erf", vec![])] {
        let outputs = |to: i64| {
            let model = graph(rows_of_three(), |graph, x| {
                let narrow = graph.node(Domain::Onnx, "Cast", &[x], vec![Attribute::int("to", to)]);
                let y = graph.node(Domain::Onnx, op, &[narrow], attributes.clone());
                graph.node(Domain::Onnx, "Cast", &[y], vec![Attribute::int("to", 1)])
            });
            run(&model, &[0.5, -1.25, 2.0, 0.0, 8.0, -3.0]).expect("right inputs")
        };
        let single = outputs(1);
        for (half, tolerance) in [(10, 1e-3), (16, 8e-3)] {
            for (single, half) in single.iter().zip(outputs(half)) {
                assert!((single - half).abs() <= tolerance * single.abs().max(1.0), "{op}: {single} {half}");
            }
        }
    }
}
