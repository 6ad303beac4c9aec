//! The reader of ONNX models, the check behind it, the native runtime, and a call.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_core::{
    InferenceRuntime as _, Tensor, Tensors,
    onnx::OnnxModel,
    runtime::{LoadOptions, native::NativeRuntime},
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = OnnxModel::from_bytes(bytes.to_vec()) else { return };
    let Ok(loaded) = NativeRuntime.load(&model, &LoadOptions::default()) else { return };
    let mut inputs = Tensors::new();
    for spec in model.signature.inputs() {
        let Some(tensor) = tensor(spec) else { return };
        inputs.insert(&spec.name, tensor).expect("names of a signature differ");
    }
    // An error is an answer; outputs have to be what the graph declares.
    if let Ok(outputs) = loaded.model.predict(&inputs) {
        model.signature.check_outputs(&outputs).expect("outputs fit the signature");
    }
});

/// Three rows of numbers that any operator may meet, where the shape is not too large.
fn tensor(spec: &TensorSpec) -> Option<Tensor> {
    let lengths = spec.shape.iter().map(|dim| match dim {
        Dim::Fixed(length) => *length,
        Dim::Named(_) => 3,
    });
    let shape: Vec<usize> = lengths.collect();
    let count = shape.iter().try_fold(1_usize, |count, length| count.checked_mul(*length)).filter(|c| *c < 10_000)?;
    const NUMBERS: [f32; 8] = [0.0, 1.0, -1.0, 0.5, 3e38, f32::NAN, f32::INFINITY, -7.25];
    let numbers = || (0..count).map(|at| NUMBERS[at % NUMBERS.len()]);
    const BYTES: [u8; 4] = [0, 1, 2, 255];
    let bytes = || (0..count).map(|at| BYTES[at % BYTES.len()]);
    let signed = || bytes().map(|byte| byte as i8);
    let data = match spec.dtype {
        DType::Fp32 => TensorData::Fp32(numbers().collect()),
        DType::Fp64 => TensorData::Fp64(numbers().map(f64::from).collect()),
        DType::Bool => TensorData::Bool(bytes().map(|byte| byte == 1).collect()),
        DType::Uint8 => TensorData::Uint8(bytes().collect()),
        DType::Int8 => TensorData::Int8(signed().collect()),
        DType::Int32 => TensorData::Int32(signed().map(i32::from).collect()),
        DType::Int64 => TensorData::Int64(signed().map(i64::from).collect()),
        DType::Bytes => TensorData::Bytes(bytes().map(|byte| vec![byte; usize::from(byte % 3)].into()).collect()),
        _ => return None,
    };
    Tensor::from_data(shape, data).ok()
}
