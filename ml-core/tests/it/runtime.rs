//! The native runtime, against what ONNX Runtime gave for the golden models and against its contract.

use crate::onnx::classifier;
use bytes::Bytes;
use ml_core::{
    ErrorKind, InferenceRuntime, Model, Result, Seed, Tensor, Tensors,
    conformance::model::{Subject, assert_close, random_inputs},
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    runtime::{LoadOptions, Runtimes, native::NativeRuntime},
    signature::{Dim, TensorSpec},
    tensor::{DType, json::ReadTensor},
};
use proptest::prelude::*;
use serde::Deserialize;
use std::{fs, path::Path, sync::Arc};

mod native {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (NativeRuntime, ()) });
}

mod native_dyn {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (Arc::new(NativeRuntime) as Arc<dyn InferenceRuntime>, ()) });
}

mod classifier_model {
    use super::*;
    ml_core::model_conformance!(async { (Subject::new(load(&classifier()).expect("supported")), ()) });
}

mod golden_models {
    use super::*;

    mod regression {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("regression"), ()) });
    }

    mod classes {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("classes"), ()) });
    }

    mod casts {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("casts"), ()) });
    }

    mod vectors {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("vectors"), ()) });
    }

    mod boosting_with_zipmap {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("boosting_zipmap"), ()) });
    }

    mod polynomials {
        use super::*;
        ml_core::model_conformance!(async { (golden_subject("polynomials"), ()) });
    }
}

#[derive(Deserialize)]
struct Case<'a> {
    model: String,
    #[serde(borrow)]
    inputs: Vec<ReadTensor<'a>>,
    #[serde(borrow)]
    outputs: Vec<ReadTensor<'a>>,
}

/// Name, model, inputs and the outputs of ONNX Runtime.
pub(crate) fn golden() -> Vec<(String, OnnxModel, Tensors, Tensors)> {
    ["runtime", "trees", "operators", "pipelines"].into_iter().flat_map(golden_of).collect()
}

/// Those that one generator writes.
pub(crate) fn golden_of(generator: &str) -> Vec<(String, OnnxModel, Tensors, Tensors)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let json = fs::read_to_string(folder.join(format!("{generator}.json"))).expect("checked in");
    let cases: Vec<Case<'_>> = serde_json::from_str(&json).expect("written by the generator");
    let tensors = |read: &[ReadTensor<'_>]| {
        read.iter().fold(Tensors::new(), |tensors, tensor| {
            tensors.with(&tensor.name, tensor.to_tensor().expect("a tensor")).expect("names differ")
        })
    };
    cases
        .iter()
        .map(|case| {
            let bytes = fs::read(folder.join(format!("{generator}_{}.onnx", case.model))).expect("checked in");
            let model = OnnxModel::from_bytes(bytes).expect("a valid model");
            (case.model.clone(), model, tensors(&case.inputs), tensors(&case.outputs))
        })
        .collect()
}

pub(crate) fn golden_subject(name: &str) -> Subject<Arc<dyn Model>> {
    let (_, model, inputs, _) = golden().into_iter().find(|(model, ..)| model == name).expect("a golden model");
    Subject::with_samples(load(&model).expect("supported"), inputs)
}

pub(crate) fn load(model: &OnnxModel) -> Result<Arc<dyn Model>> {
    NativeRuntime.load(model, &LoadOptions::default()).map(|loaded| loaded.model)
}

#[test]
fn golden_models_give_what_onnx_runtime_gave() {
    for (name, model, inputs, expected) in golden() {
        let outputs = load(&model).and_then(|model| model.predict(&inputs)).expect(&name);
        assert_close(&expected, &outputs);
    }
}

#[test]
fn an_operator_outside_the_set_is_named() {
    let mut graph = GraphBuilder::new("norms");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("free name");
    let y = graph.node(Domain::Onnx, "LpNormalization", &[x], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [2])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    assert!(!NativeRuntime.supports(&model));
    assert_eq!(
        load(&model).expect_err("not in the set").to_string(),
        "runtime.native.load: the native runtime does not know this operator (op: ai.onnx.LpNormalization, node: y)"
    );
    let runtimes = Runtimes::new(vec![Arc::new(NativeRuntime)]);
    let error = runtimes.load(&model, &LoadOptions::default()).expect_err("none runs it");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn an_attribute_outside_the_set_is_refused() {
    let mut graph = GraphBuilder::new("encoder");
    let x = graph.input(TensorSpec::batched("x", DType::Bytes, [1])).expect("free name");
    let attributes = vec![
        Attribute::strings("keys_strings", ["a"]),
        Attribute::ints("values_int64s", [1]),
        Attribute::int("surprise", 1),
    ];
    let y = graph.node(Domain::Ml, "LabelEncoder", &[x], attributes);
    graph.output(y, TensorSpec::batched("y", DType::Int64, [1])).expect("free name");
    let error = load(&graph.finish().expect("a valid graph")).expect_err("an unknown attribute");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn an_unknown_category_is_refused_when_the_graph_says_so() {
    let mut graph = GraphBuilder::new("strict");
    let x = graph.input(TensorSpec::batched("x", DType::Bytes, [1])).expect("free name");
    let attributes = vec![Attribute::strings("cats_strings", ["AA", "UA"]), Attribute::int("zeros", 0)];
    let y = graph.node(Domain::Ml, "OneHotEncoder", &[x], attributes);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1, 2])).expect("free name");
    let model = load(&graph.finish().expect("a valid graph")).expect("supported");
    let inputs =
        |name: &'static str| Tensors::new().with("x", Tensor::column(vec![Bytes::from_static(name.as_bytes())]));
    assert!(model.predict(&inputs("UA").expect("one name")).is_ok());
    let error = model.predict(&inputs("ZZ").expect("one name")).expect_err("unknown");
    assert_eq!(error.to_string(), "a category is unknown to the model (row: 0)");
}

#[test]
fn coefficients_that_do_not_fit_are_refused_at_load() {
    let mut graph = GraphBuilder::new("short");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [3])).expect("free name");
    let y = graph.node(Domain::Ml, "LinearRegressor", &[x], vec![Attribute::floats("coefficients", [1.0, 2.0])]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
    let error = load(&graph.finish().expect("a valid graph")).expect_err("two coefficients for three columns");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_graph_that_doubles_its_columns_without_end_is_refused() {
    let mut graph = GraphBuilder::new("bomb");
    let mut x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
    for _ in 0..60 {
        x = graph.node(Domain::Onnx, "Concat", &[x, x], vec![Attribute::int("axis", 1)]);
    }
    graph.output(x, TensorSpec::batched("y", DType::Fp32, [1 << 60])).expect("free name");
    let error = load(&graph.finish().expect("a valid graph")).expect_err("too wide");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_value_read_twice_is_not_overwritten_in_between() {
    let mut graph = GraphBuilder::new("fork");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
    let scaler =
        |offset: f32, scale: f32| vec![Attribute::floats("offset", [offset]), Attribute::floats("scale", [scale])];
    let a = graph.node(Domain::Ml, "Scaler", &[x], scaler(0.0, 2.0));
    let b = graph.node(Domain::Ml, "Scaler", &[a], scaler(1.0, 10.0));
    let same = graph.node(Domain::Onnx, "Identity", &[a], vec![]);
    let c = graph.node(Domain::Ml, "Scaler", &[same], scaler(0.0, -1.0));
    let y = graph.node(Domain::Onnx, "Concat", &[a, b, c], vec![Attribute::int("axis", 1)]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [3])).expect("free name");
    graph.output(a, TensorSpec::batched("a", DType::Fp32, [1])).expect("free name");
    let model = load(&graph.finish().expect("a valid graph")).expect("supported");
    let inputs = Tensors::new().with("x", Tensor::column(vec![1.0_f32, 2.0])).expect("one name");
    let outputs = model.predict(&inputs).expect("right inputs");
    assert_eq!(outputs.require("y").unwrap().values::<f32>().unwrap(), [2.0, 10.0, -2.0, 4.0, 30.0, -4.0]);
    assert_eq!(outputs.require("a").unwrap().values::<f32>().unwrap(), [2.0, 4.0]);
}

/// Loads damaged bytes and, if they are still a model, predicts with it.
pub(crate) fn survive(bytes: Vec<u8>) {
    let Ok(model) = OnnxModel::from_bytes(bytes) else { return };
    let width = |spec: &TensorSpec| {
        spec.shape.iter().try_fold(1_usize, |width, dim| match dim {
            Dim::Fixed(length) => width.checked_mul(*length),
            Dim::Named(_) => Some(width),
        })
    };
    let Ok(loaded) = load(&model) else { return };
    if model.signature.inputs().iter().all(|spec| width(spec).is_some_and(|width| width < 10_000)) {
        let _ = loaded.predict(&random_inputs(&model.signature, 3, Seed::new(5)));
    }
}

proptest! {
    #[test]
    fn damaged_models_are_refused_or_run(
        model in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let models = ["runtime", "operators", "pipelines"].into_iter().flat_map(golden_of);
        let mut models: Vec<Vec<u8>> = models.map(|(_, model, ..)| model.bytes.to_vec()).collect();
        models.push(classifier().bytes.to_vec());
        let mut bytes = models.swap_remove(model.index(models.len()));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        survive(bytes);
    }
}

#[test]
fn every_single_byte_of_a_model_may_be_damaged() {
    let bytes = classifier().bytes.to_vec();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            survive(damaged);
        }
    }
}
