//! Models that people run, from packages of PyPI: imported as they are, they give through ONNX Runtime here what they give in
//! Python.
//!
//! `cargo xtask test` brings them, and sets `ONNX_REAL_MODELS` to their folders.

use crate::runtime_ort::ort;
use ml_core::{
    InferenceRuntime, Seed, Tensor, Tensors,
    conformance::model::assert_close,
    import::{self, ImportOptions},
    runtime::{LoadOptions, native::NativeRuntime},
    tensor::{
        DType, TensorData,
        json::{ReadTensor, WriteTensor},
    },
};
use serde::Serialize;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// A model by its path within its package, with shapes that it can be called with.
type Model = (&'static str, &'static [(&'static str, &'static [usize])]);

const MODELS: [Model; 9] = [
    ("magika/models/standard_v3_3/model.onnx", &[("bytes", &[2, 2048])]),
    ("silero_vad/data/silero_vad.onnx", &[("input", &[2, 512]), ("state", &[2, 2, 128]), ("sr", &[])]),
    ("silero_vad/data/silero_vad_16k_op15.onnx", &[("input", &[2, 512]), ("state", &[2, 2, 128]), ("sr", &[])]),
    ("silero_vad/data/silero_vad_half.onnx", &[("input", &[2, 512]), ("state", &[2, 2, 128])]),
    ("silero_vad/data/silero_vad_op18_ifless.onnx", &[("input", &[2, 512]), ("sr", &[]), ("state", &[2, 2, 128])]),
    ("silero_vad/data/silero_vad_openvino_16k.onnx", &[("input", &[1, 576]), ("state", &[2, 1, 128])]),
    ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[("x", &[2, 3, 48, 192])]),
    ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", &[("x", &[1, 3, 48, 64])]),
    ("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", &[("x", &[1, 3, 64, 96])]),
];

fn find(model: &str) -> PathBuf {
    let folders = std::env::var_os("ONNX_REAL_MODELS")
        .expect("run `cargo xtask test`, which brings the models and sets ONNX_REAL_MODELS to their folders");
    let found = std::env::split_paths(&folders).map(|folder| folder.join(model)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{model} is in none of {}", folders.display()))
}

/// Numbers that such a model may meet: a signal, bytes, a rate of samples.
fn inputs(import: &import::Import, shapes: &[(&str, &[usize])]) -> Tensors {
    let signature = import.bundle.clone().build().and_then(|bundle| bundle.model()).expect("a bundle").signature;
    let mut random = Seed::new(1).stream("real models");
    signature.inputs().iter().fold(Tensors::new(), |inputs, spec| {
        let (_, shape) = shapes.iter().find(|(name, _)| *name == spec.name).expect("a shape for every input");
        let count = shape.iter().product();
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        let data = match spec.dtype {
            DType::Fp32 => TensorData::Fp32((0..count).map(|_| random.next_f64() as f32 - 0.5).collect()),
            DType::Int32 => TensorData::Int32((0..count).map(|_| i32::from(random.below(256) as u8)).collect()),
            DType::Int64 => TensorData::Int64(vec![16_000; count]),
            other => panic!("{}: {other}", spec.name),
        };
        inputs.with(&spec.name, Tensor::from_data(*shape, data).expect("full")).expect("names differ")
    })
}

#[derive(Serialize)]
struct Call<'a> {
    model: &'a Path,
    inputs: Vec<WriteTensor<'a>>,
}

/// What the Python of ONNX Runtime gives.
fn python(model: &Path, inputs: &Tensors) -> Tensors {
    let python = std::env::var_os("ML_PLATFORM_PYTHON")
        .expect("ML_PLATFORM_PYTHON names no Python with onnxruntime: run `cargo xtask test`, which sets one up");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/real_models.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
    let inputs = inputs.iter().map(|(name, tensor)| WriteTensor { name, tensor }).collect();
    let call = serde_json::to_vec(&Call { model, inputs }).expect("JSON");
    child.stdin.take().expect("piped").write_all(&call).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", model.display());
    let read: Vec<ReadTensor<'_>> = serde_json::from_slice(&output.stdout).expect("tensors");
    read.iter().fold(Tensors::new(), |tensors, tensor| {
        tensors.with(&tensor.name, tensor.to_tensor().expect("a tensor")).expect("names differ")
    })
}

#[test]
fn real_models_give_what_they_give_in_python() {
    let ort: Arc<dyn InferenceRuntime> = Arc::new(ort());
    let options = ImportOptions::default().with_runtimes([Arc::new(NativeRuntime) as _, Arc::clone(&ort)]);
    for (model, shapes) in MODELS {
        let path = find(model);
        let import = import::file(&path, &options).unwrap_or_else(|error| panic!("{model}: {error:?}"));
        println!("{model}: {}", import.report);
        let inputs = inputs(&import, shapes);
        let bundle = import.bundle.build().expect("a bundle");
        let loaded = bundle.load(&[Arc::clone(&ort)], &LoadOptions::default()).expect("golden rows are replayed");
        let outputs = loaded.model.predict(&inputs).unwrap_or_else(|error| panic!("{model}: {error:?}"));
        assert_close(&python(&path, &inputs), &outputs);
    }
}
