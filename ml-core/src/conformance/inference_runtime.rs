//! The contract of [`InferenceRuntime`], and of the models that it loads.

use super::model::{self, Subject};
use crate::{
    ErrorKind, InferenceRuntime, Model, Seed, Signature, Tensor,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    runtime::LoadOptions,
    signature::TensorSpec,
    tensor::DType,
};
use std::sync::Arc;

/// A linear regression of two columns, which every runtime runs.
fn regression() -> OnnxModel {
    let mut graph = GraphBuilder::new("conformance");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("a free name");
    let attributes = vec![Attribute::floats("coefficients", [0.5, -2.0]), Attribute::floats("intercepts", [1.5])];
    let y = graph.node(Domain::Ml, "LinearRegressor", &[x], attributes);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("a free name");
    graph.finish().expect("a valid graph")
}

/// A graph with an operator that nobody has.
fn unknown() -> OnnxModel {
    let mut graph = GraphBuilder::new("unknown");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("a free name");
    let y = graph.node(Domain::Ml, "CrystalBall", &[x], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("a free name");
    graph.finish().expect("a valid graph")
}

fn load(runtime: &impl InferenceRuntime) -> Subject<Arc<dyn Model>> {
    let loaded = runtime.load(&regression(), &LoadOptions::default()).expect("every runtime runs a regression");
    let samples = model::random_inputs(loaded.model.signature(), 24, Seed::new(3));
    Subject::with_samples(loaded.model, samples)
}

/// Clause 5, on the regression of the suite, worked out by hand.
pub async fn loaded_models_predict(subject: impl InferenceRuntime) {
    assert!(subject.supports(&regression()));
    let loaded = subject.load(&regression(), &LoadOptions::default()).expect("every runtime runs a regression");
    let x = Tensor::new([2, 2], vec![1.0_f32, 2.0, -4.0, 0.25]).expect("four elements");
    let outputs = loaded.model.predict(&crate::Tensors::new().with("x", x).expect("one name")).expect("right inputs");
    assert_eq!(outputs.require("y").expect("there").values::<f32>().expect("FP32"), [-2.0, -1.0]);
    assert!(!subject.name().is_empty() && !loaded.report.runtime.is_empty() && !loaded.report.provider.is_empty());
}

/// Clause 1, by clause 1 of [`Model`].
pub async fn wrong_inputs_are_refused(subject: impl InferenceRuntime) {
    model::wrong_inputs_are_refused(load(&subject)).await;
}

/// Clause 1, by clause 2 of [`Model`].
pub async fn outputs_fit_the_signature(subject: impl InferenceRuntime) {
    model::outputs_fit_the_signature(load(&subject)).await;
}

/// Clause 1, by clause 3 of [`Model`].
pub async fn rows_are_independent(subject: impl InferenceRuntime) {
    model::rows_are_independent(load(&subject)).await;
}

/// Clause 1, by clause 4 of [`Model`].
pub async fn predictions_repeat_across_threads(subject: impl InferenceRuntime) {
    model::predictions_repeat_across_threads(load(&subject)).await;
}

/// Clause 1, by clause 5 of [`Model`].
pub async fn no_rows_give_no_rows(subject: impl InferenceRuntime) {
    model::no_rows_give_no_rows(load(&subject)).await;
}

/// Clause 2: the error says which operator it is.
pub async fn unsupported_is_named(subject: impl InferenceRuntime) {
    let error = subject.load(&unknown(), &LoadOptions::default()).expect_err("no such operator");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(format!("{error:?}").contains("CrystalBall"), "{error:?}");
}

/// Clause 3: no bytes, other bytes, and a model cut short at every length.
pub async fn garbage_is_refused(subject: impl InferenceRuntime) {
    let OnnxModel { bytes, signature } = regression();
    let cut = (0..bytes.len()).step_by(7).map(|length| bytes.slice(..length));
    for bytes in cut.chain([b"GGUF\x03\0\0\0".as_slice().into(), vec![0xff; 4096].into()]) {
        let model = OnnxModel { bytes, signature: signature.clone() };
        let error = subject.load(&model, &LoadOptions::default()).expect_err("no model");
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput), "{error:?}");
    }
}

/// Clause 4: another name, type or shape than the graph's.
pub async fn foreign_signature_is_refused(subject: impl InferenceRuntime) {
    let bytes = regression().bytes;
    let x = || TensorSpec::batched("x", DType::Fp32, [2]);
    let y = || TensorSpec::batched("y", DType::Fp32, [1]);
    for (input, output) in [
        (TensorSpec::batched("z", DType::Fp32, [2]), y()),
        (TensorSpec::batched("x", DType::Fp64, [2]), y()),
        (TensorSpec::batched("x", DType::Fp32, [3]), y()),
        (x(), TensorSpec::batched("y", DType::Fp32, [2])),
    ] {
        let signature = Signature::new(vec![input], vec![output]).expect("valid by itself");
        let model = OnnxModel { bytes: bytes.clone(), signature };
        let error = subject.load(&model, &LoadOptions::default()).expect_err("not the graph's");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
}

/// Runs the suite of [`InferenceRuntime`](crate::InferenceRuntime) over a backend.
#[macro_export]
macro_rules! inference_runtime_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        $crate::conformance_tests! {
            $crate::conformance::inference_runtime, $factory, [$($($known),*)?];
            loaded_models_predict,
            wrong_inputs_are_refused,
            outputs_fit_the_signature,
            rows_are_independent,
            predictions_repeat_across_threads,
            no_rows_give_no_rows,
            unsupported_is_named,
            garbage_is_refused,
            foreign_signature_is_refused,
        }
    };
}
