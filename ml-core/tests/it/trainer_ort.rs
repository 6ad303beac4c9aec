//! Exports of the trainers on ONNX Runtime. As for `runtime_ort`, `cargo xtask test` brings the shared library.

use crate::trainer::{flights, golden, logistic, ridge};
use ml_core::{
    InferenceRuntime,
    runtime::{
        LoadOptions,
        ort::{OrtConfig, OrtRuntime},
    },
    trainer::{self, DynTrainer, FitContext},
};
use std::sync::Arc;

#[test]
fn exports_replay_their_golden_values() {
    let runtimes: [Arc<dyn InferenceRuntime>; 1] = [Arc::new(OrtRuntime::new(OrtConfig::default()).unwrap())];
    let (_, batch) = golden();
    for (trainer, label) in [(Arc::new(ridge()) as Arc<dyn DynTrainer>, "arrival"), (Arc::new(logistic()), "late")] {
        let model = trainer.fit_dyn(&flights(&batch, label, true), &FitContext::default()).unwrap();
        let bundle = trainer::bundle(model.as_ref(), &batch).unwrap().build().unwrap();
        let loaded = bundle.load(&runtimes, &LoadOptions::default()).unwrap();
        assert_eq!(loaded.report.runtime, "onnxruntime");
    }
}
