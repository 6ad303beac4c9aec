//! ONNX Runtime against the golden models, the native runtime and the contract.
//!
//! `cargo xtask test` brings the shared library and sets `ORT_DYLIB_PATH`; without it these tests fail.

use crate::{
    onnx::classifier,
    runtime::{golden, golden_of},
};
use bytes::Bytes;
use ml_core::{
    ErrorKind, InferenceRuntime, Model, Seed, Tensor, Tensors,
    bundle::GOLDEN_TOLERANCE,
    conformance::model::{Subject, assert_close, random_inputs},
    onnx::{
        OnnxModel,
        graph::{Domain, GraphBuilder},
    },
    runtime::{
        LoadOptions,
        native::NativeRuntime,
        ort::{OrtConfig, OrtRuntime},
    },
    signature::TensorSpec,
    tensor::DType,
};
use proptest::prelude::*;
use std::{num::NonZeroUsize, sync::Arc};

pub(crate) fn ort() -> OrtRuntime {
    OrtRuntime::new(OrtConfig::default()).unwrap_or_else(|error| {
        panic!("{error:?}\nrun `cargo xtask test`, which brings the library and sets ORT_DYLIB_PATH")
    })
}

fn load(runtime: &dyn InferenceRuntime, model: &OnnxModel) -> Arc<dyn Model> {
    runtime.load(model, &LoadOptions::default()).expect("supported").model
}

mod static_runtime {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (ort(), ()) });
}

mod dyn_runtime {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (Arc::new(ort()) as Arc<dyn InferenceRuntime>, ()) });
}

mod classifier_model {
    use super::*;
    ml_core::model_conformance!(async { (Subject::new(load(&ort(), &classifier())), ()) });
}

#[test]
fn golden_models_give_what_python_got() {
    let runtime = ort();
    for (name, model, inputs, expected) in golden() {
        let outputs = load(&runtime, &model).predict(&inputs).expect(&name);
        assert_close(&expected, &outputs);
    }
}

#[test]
fn native_agrees_on_ten_thousand_rows_of_every_ensemble_of_trees() {
    let runtime = ort();
    // Of numbers that are not whole, ONNX Runtime cuts the fraction off before it looks into some sets.
    for (name, model, ..) in golden_of("trees").into_iter().filter(|(name, ..)| name != "members") {
        let inputs = random_inputs(&model.signature, 10_000, Seed::new(17));
        let expected = load(&runtime, &model).predict(&inputs).expect(&name);
        let got = load(&NativeRuntime, &model).predict(&inputs).expect(&name);
        assert_close(&expected, &got);
    }
}

#[test]
fn native_agrees_on_ten_thousand_rows_of_every_pipeline_and_operator() {
    let runtime = ort();
    for (name, model, ..) in ["runtime", "operators", "pipelines"].into_iter().flat_map(golden_of) {
        let (library, native) = (load(&runtime, &model), load(&NativeRuntime, &model));
        for rows in [10_000, 1] {
            let mut inputs = random_inputs(&model.signature, rows, Seed::new(18));
            if library.predict(&inputs).is_err() {
                // A threshold is no question for NaN, on either side.
                assert_eq!(native.predict(&inputs).expect_err(&name).kind(), ErrorKind::InvalidInput);
                inputs = without_nan(&inputs);
            }
            let expected = library.predict(&inputs).expect(&name);
            assert_nearly_close(&name, &expected, &native.predict(&inputs).expect(&name));
        }
        // Asked for no rows itself, some operators of the library end the process.
        let none = random_inputs(&model.signature, 0, Seed::new(18));
        let (expected, got) = (library.predict(&none).expect(&name), native.predict(&none).expect(&name));
        assert!(got.iter().all(|(_, tensor)| tensor.rows() == 0), "{name}: {got:?}");
        assert_eq!(expected, got, "{name}");
    }
}

fn without_nan(inputs: &Tensors) -> Tensors {
    inputs.iter().fold(Tensors::new(), |tensors, (name, tensor)| {
        let values = tensor.values::<f32>().expect("only numbers have thresholds");
        let values = values.iter().map(|value| if value.is_nan() { 0.5 } else { *value }).collect();
        tensors.with(name, Tensor::new(tensor.shape(), values).expect("the same shape")).expect("names differ")
    })
}

/// Every label is the same, and of a thousand numbers one may be off by two thousandths: sums of what nearly cancels out
/// depend on the order of adding, and probabilities of many classes on the step at which their iteration ends.
fn assert_nearly_close(name: &str, expected: &Tensors, got: &Tensors) {
    let (mut numbers, mut off) = (0, 0);
    for (output, expected) in expected.iter() {
        let got = got.require(output).expect("the same outputs");
        assert_eq!(expected.shape(), got.shape(), "{name}: {output}");
        let (Ok(a), Ok(b)) = (expected.values::<f32>(), got.values::<f32>()) else {
            assert_eq!(
                format!("{expected:?}"),
                format!("{got:?}"),
                "{name}: {output}, NaN is the same as NaN in print"
            );
            continue;
        };
        numbers += a.len();
        for (at, (a, b)) in a.iter().zip(b).enumerate() {
            let close = (f64::from(*a) - f64::from(*b)).abs() <= GOLDEN_TOLERANCE * f64::from(a.abs()).max(1.0);
            if a != b && !(a.is_nan() && b.is_nan()) && !(a.is_finite() && close) {
                assert!((a - b).abs() < 2e-3, "{name}: {output}[{at}]: expected {a}, got {b}");
                off += 1;
            }
        }
    }
    assert!(off * 1_000 <= numbers, "{name}: {off} of {numbers} numbers differ");
}

#[test]
fn the_report_names_library_version_and_threads() {
    let mut options = LoadOptions::default();
    options.threads = NonZeroUsize::new(2).expect("two");
    let report = ort().load(&classifier(), &options).expect("supported").report;
    assert_eq!((report.runtime.as_str(), report.provider.as_str(), report.threads.get()), ("onnxruntime", "cpu", 2));
    assert!(report.version.starts_with("1."), "{}", report.version);
}

#[test]
fn every_element_type_passes_through() {
    let runtime = ort();
    for dtype in DType::ALL {
        let mut graph = GraphBuilder::new("identity");
        let x = graph.input(TensorSpec::batched("x", dtype, [2])).expect("free name");
        let y = graph.node(Domain::Onnx, "Identity", &[x], vec![]);
        graph.output(y, TensorSpec::batched("y", dtype, [2])).expect("free name");
        let model = load(&runtime, &graph.finish().expect("a valid graph"));
        let inputs = random_inputs(model.signature(), 5, Seed::new(u64::from(dtype as u8)));
        let outputs = model.predict(&inputs).unwrap_or_else(|error| panic!("{dtype}: {error:?}"));
        let (x, y) = (inputs.require("x").expect("made up"), outputs.require("y").expect("declared"));
        assert_eq!(format!("{x:?}"), format!("{y:?}"), "NaN is the same as NaN in print");
    }
}

#[test]
fn text_that_the_library_cannot_take_is_refused() {
    let mut graph = GraphBuilder::new("identity");
    let x = graph.input(TensorSpec::batched("x", DType::Bytes, [1])).expect("free name");
    graph.output(x, TensorSpec::batched("y", DType::Bytes, [1])).expect("free name");
    let model = load(&ort(), &graph.finish().expect("a valid graph"));
    for bad in [&b"\xff\xfe"[..], b"a\0b"] {
        let inputs = Tensors::new().with("x", Tensor::column(vec![Bytes::from_static(bad)])).expect("one name");
        assert_eq!(model.predict(&inputs).expect_err("no text").kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "not a library").expect("written");
    for path in [folder.path().join("missing.so"), folder.path().to_path_buf(), text] {
        let error =
            OrtRuntime::new(OrtConfig { library: Some(path.clone()), ..OrtConfig::default() }).expect_err("no library");
        // Where another test of this process has loaded the real one, a second one is a conflict.
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        if error.kind() == ErrorKind::Unavailable {
            assert!(message.contains("OrtConfig::library") && message.contains("ORT_DYLIB_PATH"), "{message}");
        }
    }
    ort();
}

#[test]
fn a_second_runtime_shares_the_environment() {
    let model = classifier();
    let inputs = random_inputs(&model.signature, 4, Seed::new(9));
    let first = load(&ort(), &model).predict(&inputs).expect("made-up inputs fit");
    assert_close(&first, &load(&ort(), &model).predict(&inputs).expect("made-up inputs fit"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn native_agrees_on_numbers_and_text(seed in any::<u64>(), rows in 0_usize..40) {
        let model = classifier();
        let inputs = random_inputs(&model.signature, rows, Seed::new(seed));
        let expected = load(&ort(), &model).predict(&inputs).expect("made-up inputs fit");
        let got = load(&NativeRuntime, &model).predict(&inputs).expect("made-up inputs fit");
        assert_close(&expected, &got);
    }
}
