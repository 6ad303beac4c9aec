//! Writing, reading and checking of ONNX.

use ml_core::{
    Error, ErrorKind, Tensor,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    signature::{Dim, TensorSpec},
    tensor::DType,
};
use proptest::prelude::*;
use std::sync::LazyLock;

/// A number and a text in, a label and probabilities out: every kind of attribute and an initializer.
pub(crate) fn classifier() -> OnnxModel {
    build().expect("a valid graph")
}

fn build() -> Result<OnnxModel, Error> {
    let mut graph = GraphBuilder::new("late");
    let delay = graph.input(TensorSpec::batched("delay", DType::Fp32, [1]))?;
    let carrier = graph.input(TensorSpec::batched("carrier", DType::Bytes, [1]))?;
    let known = graph.node(
        Domain::Ml,
        "Imputer",
        &[delay],
        vec![Attribute::floats("imputed_value_floats", [4.5]), Attribute::float("replaced_value_float", f32::NAN)],
    );
    let scaled = graph.node(
        Domain::Ml,
        "Scaler",
        &[known],
        vec![Attribute::floats("offset", [4.5]), Attribute::floats("scale", [0.125])],
    );
    let code = graph.node(
        Domain::Ml,
        "LabelEncoder",
        &[carrier],
        vec![
            Attribute::strings("keys_strings", ["AA", "UA"]),
            Attribute::ints("values_int64s", [0, 1]),
            Attribute::int("default_int64", 2),
        ],
    );
    let hot = graph.node(
        Domain::Ml,
        "OneHotEncoder",
        &[code],
        vec![Attribute::ints("cats_int64s", [0, 1, 2]), Attribute::int("zeros", 1)],
    );
    let rows = graph.initializer(Tensor::vector(vec![-1_i64, 3]));
    let hot = graph.node(Domain::Onnx, "Reshape", &[hot, rows], vec![]);
    let features = graph.node(Domain::Onnx, "Concat", &[scaled, hot], vec![Attribute::int("axis", 1)]);
    let [label, probabilities] = graph.node_of(
        Domain::Ml,
        "LinearClassifier",
        &[features],
        vec![
            Attribute::floats("coefficients", [-0.75, 0.25, -0.5, 0.125, 0.75, -0.25, 0.5, -0.125]),
            Attribute::floats("intercepts", [0.25, -0.25]),
            Attribute::ints("classlabels_ints", [0, 1]),
            Attribute::string("post_transform", "LOGISTIC"),
        ],
    );
    graph.output(label, TensorSpec::batched("label", DType::Int64, []))?;
    graph.output(probabilities, TensorSpec::batched("probabilities", DType::Fp32, [2]))?;
    graph.finish()
}

#[test]
fn a_built_graph_reads_back_with_its_signature() {
    let model = classifier();
    assert_eq!(OnnxModel::from_bytes(model.bytes.clone()).expect("own bytes"), model);
    let names: Vec<_> = model.signature.inputs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["delay", "carrier"]);
    assert_eq!(model.signature.outputs()[1].shape, [Dim::from("batch"), Dim::from(2)]);
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    assert_eq!(classifier().bytes, classifier().bytes);
}

#[test]
fn an_input_passed_through_keeps_both_names() {
    let mut graph = GraphBuilder::new("identity");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
    graph.output(x, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
    graph.output(x, TensorSpec::batched("z", DType::Fp32, [1])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    let names: Vec<_> = model.signature.outputs().iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["y", "z"]);
}

#[test]
fn graphs_that_make_no_sense_are_refused() {
    let x = || TensorSpec::batched("x", DType::Fp32, [1]);
    let mut graph = GraphBuilder::new("no output");
    graph.input(x()).expect("free name");
    assert_eq!(graph.clone().finish().expect_err("no output").kind(), ErrorKind::InvalidInput);
    assert_eq!(graph.input(x()).expect_err("taken").kind(), ErrorKind::InvalidInput);

    let mut other = GraphBuilder::new("other");
    let foreign = other.initializer(Tensor::vector(vec![1.0_f32]));
    let foreign = other.node(Domain::Onnx, "Identity", &[foreign], vec![]);
    graph.output(foreign, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
    assert_eq!(graph.finish().expect_err("a value of another graph").kind(), ErrorKind::InvalidInput);
}

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| classifier().bytes.to_vec());

proptest! {
    #[test]
    fn any_bytes_are_a_model_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = OnnxModel::from_bytes(bytes);
    }

    #[test]
    fn a_damaged_model_is_a_model_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let mut bytes = BYTES.clone();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = OnnxModel::from_bytes(bytes);
    }
}
