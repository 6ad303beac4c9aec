//! Passes over models: what they keep, what they save, and what they refuse.

#[cfg(feature = "ort")]
mod int8;
mod pipeline;
#[cfg(feature = "ort")]
mod shrink;
mod trees;

use ml_core::{
    InferenceRuntime, Tensor, Tensors,
    onnx::OnnxModel,
    optimize::{Evaluation, Labels, Measure, Optimizer, Pass, Step},
};
use serde::Deserialize;
use std::{fs, path::Path, sync::Arc};

/// What the generator wrote beside the models.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    cases: Vec<Case>,
    rows: Rows,
}

/// How ONNX Runtime quantizes a model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) model: String,

    pub(crate) dynamic: Quantized,
    #[serde(rename = "static")]
    pub(crate) calibrated: Quantized,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Quantized {
    pub(crate) bytes: u64,
    pub(crate) cosine: f64,
    pub(crate) accuracy: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Rows {
    /// Gray values of handwritten digits, 0 to 16.
    digits: Vec<Vec<f32>>,
    labels: Vec<i64>,
    calibration_digits: Vec<Vec<f32>>,
    ids: Vec<Vec<i64>>,
}

impl Golden {
    pub(crate) fn read() -> Self {
        let json = fs::read_to_string(folder().join("optimize.json")).expect("checked in");
        serde_json::from_str(&json).expect("written by the generator")
    }

    pub(crate) fn case(&self, name: &str) -> Case {
        self.cases.iter().find(|case| case.model == name).expect("a golden model").clone()
    }

    /// The rows that ONNX Runtime's figures are for.
    pub(crate) fn rows(&self, name: &str) -> Tensors {
        if name == "encoder" { ids(&self.rows.ids[..64]) } else { digits(&self.rows.digits) }
    }

    pub(crate) fn labels(&self) -> &[i64] {
        &self.rows.labels
    }

    /// Other rows, to measure activations on.
    pub(crate) fn calibration(&self, name: &str) -> Tensors {
        if name == "encoder" { ids(&self.rows.ids[64..]) } else { digits(&self.rows.calibration_digits) }
    }

    pub(crate) fn evaluation(&self, name: &str, runtime: Arc<dyn InferenceRuntime>) -> Evaluation {
        let evaluation = Evaluation::new(runtime, self.rows(name)).expect("rows").with_latency([], 0);
        if name == "encoder" {
            return evaluation;
        }
        let labels = self.rows.labels.iter().map(ToString::to_string).collect();
        evaluation.with_labels(Labels::Classes(labels)).expect("one a row")
    }
}

fn digits(rows: &[Vec<f32>]) -> Tensors {
    let values = rows.iter().flatten().map(|value| value / 16.0).collect();
    Tensors::new().with("x", Tensor::new([rows.len(), 64], values).expect("64 pixels")).expect("one input")
}

fn ids(rows: &[Vec<i64>]) -> Tensors {
    let values = rows.iter().flatten().copied().collect();
    Tensors::new().with("ids", Tensor::new([rows.len(), 12], values).expect("12 words")).expect("one input")
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(crate) fn model(name: &str) -> OnnxModel {
    let bytes = fs::read(folder().join(format!("optimize_{name}.onnx"))).expect("checked in");
    OnnxModel::from_bytes(bytes).expect("a valid model")
}

#[cfg(feature = "ort")]
pub(crate) fn onnx_runtime() -> Arc<dyn InferenceRuntime> {
    use ml_core::runtime::ort::{OrtConfig, OrtRuntime};
    Arc::new(OrtRuntime::new(OrtConfig::default()).expect("the library is named"))
}

/// Runs one pass over a golden model and measures it.
pub(crate) fn measured(
    golden: &Golden,
    name: &str,
    runtime: Arc<dyn InferenceRuntime>,
    pass: impl Pass,
) -> (OnnxModel, Step) {
    let optimizer = Optimizer::new().with_pass(pass).with_evaluation(golden.evaluation(name, runtime));
    let optimized = optimizer.run(&model(name)).expect("a pass and data that fit");
    let step = optimized.report().steps[0].clone();
    (optimized.into_model().expect("no gate"), step)
}

pub(crate) fn score(step: &Step, measure: Measure) -> f64 {
    step.scores.iter().find(|score| score.measure == measure).expect("measured").after
}
