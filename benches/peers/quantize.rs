//! One side of `quantize.py`: writes a smaller model and prints what was changed.
//!
//! Arguments: `PASS MODEL.onnx OUT.onnx [INPUTS.f32 COLUMNS]`, where PASS is `int8-dynamic`, `int8-dynamic-matrices`, `fp16` or
//! (with rows of the one input to measure activations on, little-endian single precision) `int8-static`.

use ml_core::{
    Tensor, Tensors,
    onnx::OnnxModel,
    optimize::{Calibration, DynamicInt8, DynamicInt8Params, FoldConstants, Fp16, Optimizer, StaticInt8},
    runtime::native::NativeRuntime,
};
use std::{error::Error, fs, sync::Arc, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pass, model, out, calibration @ ..] = &arguments[..] else {
        return Err("PASS MODEL.onnx OUT.onnx [INPUTS.f32 COLUMNS]".into());
    };
    let model = OnnxModel::from_bytes(fs::read(model)?)?;
    let start = Instant::now();
    let optimizer = Optimizer::new().with_pass(FoldConstants::new(Default::default()));
    let optimizer = match pass.as_str() {
        "int8-dynamic" => optimizer.with_pass(DynamicInt8::new(Default::default())?),
        "int8-dynamic-matrices" => {
            optimizer.with_pass(DynamicInt8::new(DynamicInt8Params { embeddings: false, ..Default::default() })?)
        }
        "fp16" => optimizer.with_pass(Fp16::new(Default::default())),
        "int8-static" => {
            let [inputs, columns] = calibration else { return Err("int8-static takes rows".into()) };
            let columns: usize = columns.parse()?;
            let values: Vec<f32> =
                fs::read(inputs)?.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let rows = Tensor::new([values.len() / columns, columns], values)?;
            let rows = Tensors::new().with(&model.signature.inputs()[0].name, rows)?;
            let calibration = Calibration::new(Arc::new(NativeRuntime), vec![rows])?;
            optimizer.with_pass(StaticInt8::new(Default::default(), calibration)?)
        }
        other => return Err(format!("no such pass: {other}").into()),
    };
    let optimized = optimizer.run(&model)?;
    eprintln!("{}\nin {:.1?}", optimized.report(), start.elapsed());
    fs::write(out, optimized.into_model().ok_or("no gate was asked")?.bytes)?;
    Ok(())
}
