//! Imported models on ONNX Runtime.

use crate::{
    import::{golden, import, onnx, value},
    runtime::load,
    runtime_ort::ort,
};
use ml_core::{
    InferenceRuntime, Seed, Tensor, Tensors,
    conformance::model::assert_close,
    import::{self, ImportOptions},
    runtime::LoadOptions,
};
use std::sync::Arc;

#[test]
fn imported_models_predict_on_onnx_runtime_as_their_library_does() {
    let runtime: Arc<dyn InferenceRuntime> = Arc::new(ort());
    for golden in golden() {
        println!("{}", golden.name);
        let loaded = import(&golden.path).load(&[Arc::clone(&runtime)], &LoadOptions::default()).expect("replayed");
        assert_close(&golden.outputs, &loaded.model.predict(&golden.inputs).expect("right inputs"));
    }
}

#[test]
fn ten_thousand_rows_agree_on_both_runtimes() {
    let runtime = ort();
    let mut random = Seed::new(4).stream("rows");
    for golden in golden() {
        let model = import(&golden.path).model().expect("a model");
        let native = load(&model).expect("supported");
        println!("{}", golden.name);
        let values: Vec<f32> = (0..40_000).map(|_| value(&mut random)).collect();
        let inputs = Tensors::new().with("features", Tensor::new([10_000, 4], values).expect("full")).expect("one");
        let loaded = runtime.load(&model, &LoadOptions::default()).expect("supported");
        assert_close(&loaded.model.predict(&inputs).expect("right"), &native.predict(&inputs).expect("right"));
    }
}

#[test]
fn a_runtime_tells_what_the_outputs_of_an_onnx_file_are() {
    let runtime: Arc<dyn InferenceRuntime> = Arc::new(ort());
    let options = ImportOptions::default().with_runtimes([Arc::clone(&runtime)]);
    for golden in onnx::golden() {
        let import = import::file(&golden.path, &options).expect("a model");
        println!("{}: {}", golden.name, import.report);
        assert!(!import.report.notes.is_empty());
        let bundle = import.bundle.build().expect("a bundle");
        assert_eq!(bundle.golden().expect("golden rows")[0].inputs.rows(), 2);
        let loaded = bundle.load(&[Arc::clone(&runtime)], &LoadOptions::default()).expect("replayed");
        assert_close(&golden.outputs, &loaded.model.predict(&golden.inputs).expect("right inputs"));
    }
}
