//! ONNX files, with the mistakes of their exporters mended.

mod outputs;

use super::{Format, Import, ImportOptions, ImportReport};
use crate::{
    Bundle, Error, Model, Result, Seed, Tensor, Tensors,
    bundle::BundleBuilder,
    onnx::{
        OnnxModel, check,
        proto::{
            ModelProto,
            tensor_shape_proto::{Dimension, dimension},
            type_proto,
        },
        unzip,
    },
    runtime::LoadOptions,
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData, element_count},
};
use bytes::Bytes;
use prost::Message as _;

pub(super) fn import(bytes: Bytes, options: &ImportOptions) -> Result<Import> {
    let mut proto = check::decode(&bytes)?;
    let version = format!("{} {}", proto.producer_name(), proto.producer_version()).trim().escape_debug().to_string();
    let mut notes = without_unknown_lengths(&mut proto)?;
    notes.extend(unzip::unzip(&mut proto)?);
    notes.extend(outputs::mend(&mut proto, options)?);
    let mended = !notes.is_empty();
    let model = OnnxModel::from_bytes(if mended { proto.encode_to_vec().into() } else { bytes })?;
    let bundle = golden(&model, options, &mut notes)?;
    let (trees, compared_rows, greatest_difference) = (0, 0, 0.0);
    let report = ImportReport { format: Format::Onnx, version, trees, compared_rows, greatest_difference, notes };
    Ok(Import { bundle, report })
}

/// Some exporters write -1 or a question mark for a length that differs between calls, where the format wants nothing: a
/// name stands for one length wherever it is written.
fn without_unknown_lengths(model: &mut ModelProto) -> Result<Vec<String>> {
    let graph = model.graph.as_mut().ok_or_else(|| Error::corrupt("the model has no graph"))?;
    let mut notes = Vec::new();
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        let Some(type_proto::Value::TensorType(of)) = value.r#type.as_mut().and_then(|kind| kind.value.as_mut()) else {
            continue;
        };
        let is_unknown = |dim: &&mut Dimension| match &dim.value {
            Some(dimension::Value::DimValue(length)) => *length < 0,
            Some(dimension::Value::DimParam(name)) => name == "?",
            None => false,
        };
        let unknown = of.shape.iter_mut().flat_map(|shape| &mut shape.dim).filter(is_unknown);
        if unknown.map(|dim| dim.value = None).count() > 0 {
            let name = value.name.as_deref().unwrap_or_default().escape_debug();
            notes.push(format!("{name} was declared with lengths of -1 or `?`: they differ between calls"));
        }
    }
    Ok(notes)
}

/// Keeps what the first runtime that runs the model gives for two made-up rows, as golden rows.
fn golden(model: &OnnxModel, options: &ImportOptions, notes: &mut Vec<String>) -> Result<BundleBuilder> {
    let builder = Bundle::builder(model.clone());
    let inputs = FREE_LENGTHS.into_iter().map(|length| made_up(model.signature.inputs(), 2, length));
    let inputs: Vec<Tensors> = inputs.filter_map(Result::transpose).collect::<Result<_>>()?;
    for runtime in options.runtimes.iter().filter(|runtime| runtime.supports(model)) {
        let Ok(loaded) = runtime.load(model, &LoadOptions::default()) else { continue };
        for inputs in &inputs {
            if let Some(outputs) = predict_twice(&*loaded.model, inputs) {
                return builder.golden(inputs.clone(), outputs);
            }
        }
    }
    notes.push("no runtime of the list runs small made-up rows, the same twice: there are no golden rows".into());
    Ok(builder)
}

/// Numbers in a tensor that is made up.
const MAX_GOLDEN: usize = 1 << 14;

/// For lengths that are not the rows: a signal or a text, a picture. Most models take any length, some none that is short.
const FREE_LENGTHS: [usize; 2] = [512, 64];

/// What a model gives, where that is small and no matter of dice.
fn predict_twice(model: &dyn Model, inputs: &Tensors) -> Option<Tensors> {
    let (first, second) = (model.predict(inputs).ok()?, model.predict(inputs).ok()?);
    if first.iter().any(|(_, tensor)| tensor.len() > MAX_GOLDEN) {
        return None;
    }
    // NaN is not equal to itself, but prints the same.
    (first == second || format!("{first:?}") == format!("{second:?}")).then_some(first)
}

/// Inputs of so many rows, with other dimensions without a length as long as `others`: small numbers, zeros where they
/// may be indices, empty texts. Nothing where they would be large.
fn made_up(specs: &[TensorSpec], rows: usize, others: usize) -> Result<Option<Tensors>> {
    let batch = batch(specs);
    let mut random = Seed::new(0).stream("import.onnx");
    let mut inputs = Tensors::new();
    for spec in specs {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => *length,
            Dim::Named(name) if Some(name.as_str()) == batch => rows,
            Dim::Named(_) => others,
        };
        let shape: Vec<usize> = spec.shape.iter().map(length).collect();
        let Some(count) = element_count(&shape).ok().filter(|count| *count <= MAX_GOLDEN) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "any small number will do")]
        let data = match spec.dtype {
            DType::Fp32 => TensorData::Fp32((0..count).map(|_| (random.next_f64() * 2.0 - 1.0) as f32).collect()),
            DType::Fp64 => TensorData::Fp64((0..count).map(|_| random.next_f64() * 2.0 - 1.0).collect()),
            dtype => TensorData::zeros(dtype, count),
        };
        inputs.insert(&spec.name, Tensor::from_data(shape, data)?)?;
    }
    Ok(Some(inputs))
}

/// The name of the first dimension that has one.
fn batch(specs: &[TensorSpec]) -> Option<&str> {
    specs.iter().flat_map(|spec| &spec.shape).find_map(|dim| match dim {
        Dim::Named(name) => Some(name.as_str()),
        Dim::Fixed(_) => None,
    })
}
