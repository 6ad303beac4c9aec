//! Shapes and element types: `Cast`, `Concat`, `Identity`, `Reshape`.

use super::{
    kernel::{Frame, Kernel, Lowered, Slot, Type},
    node::{Node, matrix},
};
use crate::{
    Error, Result,
    onnx::tensor,
    tensor::{DType, TensorData},
};

/// The input itself.
pub(super) fn identity(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    Ok(Lowered::Alias(node.only()?.clone()))
}

/// Another shape for the elements of a row; the rows stay.
pub(super) fn reshape(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["allowzero"])?;
    let (of, constants) = node.with_constants()?;
    let [target] = &constants[..] else {
        return Err(Error::corrupt("the operator takes two inputs"));
    };
    let target =
        target.values::<i64>().map_err(|error| Error::corrupt("a shape is of whole numbers").with_source(error))?;
    let unsupported = || {
        Error::unsupported("the native runtime reshapes only within rows")
            .with("shape", format!("{target:?}"))
            .with("columns", of.width())
    };
    let zero_copies = attributes.int("allowzero")?.unwrap_or(0) == 0;
    // The first dimension is the rows when it is copied from them, or is what the others leave.
    let Some((first, rest)) = target.split_first() else { return Err(unsupported()) };
    let leaves_rows = *first == -1 || (*first == 0 && zero_copies);
    let inner: Option<Vec<usize>> = rest.iter().map(|&dim| usize::try_from(dim).ok().filter(|&dim| dim > 0)).collect();
    match inner {
        Some(inner) if leaves_rows && crate::tensor::element_count(&inner).ok() == Some(of.width()) => {
            Ok(Lowered::Alias(Type::new(of.dtype, inner)))
        }
        _ => Err(unsupported()),
    }
}

/// Columns side by side.
pub(super) fn concat(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    let widths = node.types()?.into_iter().map(matrix).collect::<Result<Vec<_>>>()?;
    if !matches!(attributes.int("axis")?, Some(1 | -1)) || widths.is_empty() {
        return Err(Error::unsupported("the native runtime concatenates only columns"));
    }
    let width = widths.iter().sum();
    let outputs = vec![Type::new(DType::Fp32, [width])];
    Ok(Lowered::Step { kernel: Box::new(Concat { widths, width }), outputs, in_place: false })
}

/// Numbers and truth values as `FP32` or `INT64`.
pub(super) fn cast(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["to", "saturate"])?;
    let of = node.only()?;
    let to = attributes.int("to")?.and_then(|to| i32::try_from(to).ok()).and_then(tensor::dtype);
    let to = to.ok_or_else(|| Error::unsupported("the native runtime does not cast to this type"))?;
    if to == of.dtype {
        return Ok(Lowered::Alias(of.clone()));
    }
    if of.dtype == DType::Bytes || !matches!(to, DType::Fp32 | DType::Int64) {
        return Err(Error::unsupported("the native runtime casts only numbers to FP32 or INT64")
            .with("from", of.dtype)
            .with("to", to));
    }
    let outputs = vec![Type::new(to, of.inner.clone())];
    Ok(Lowered::Step { kernel: Box::new(Cast { to }), outputs, in_place: false })
}

#[derive(Debug)]
struct Concat {
    widths: Vec<usize>,
    width: usize,
}

impl Kernel for Concat {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_floats(outputs[0]);
        out.clear();
        out.resize(frame.rows * self.width, 0.0);
        let mut at = 0;
        // Column blocks one after the other: each input is read in order, once.
        for (&slot, &width) in inputs.iter().zip(&self.widths) {
            let rows = out.chunks_exact_mut(self.width.max(1));
            for (row, values) in rows.zip(frame.floats(slot).chunks_exact(width.max(1))) {
                row[at..at + width].copy_from_slice(&values[..width]);
            }
            at += width;
        }
        frame.put_floats(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Cast {
    to: DType,
}

impl Kernel for Cast {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_possible_wrap,
        reason = "a cast of the graph rounds and cuts as ONNX says"
    )]
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        macro_rules! write {
            ($take:ident, $put:ident, $type:ty, $whole:expr) => {{
                let mut out = frame.$take(outputs[0]);
                out.clear();
                match (inputs[0], frame.input(inputs[0])) {
                    (Slot::Floats(_), _) => {
                        out.extend(frame.floats(inputs[0]).iter().map(|&v| $whole(f64::from(v)) as $type))
                    }
                    (Slot::Ints(_), _) => out.extend(frame.ints(inputs[0]).iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Bool(values))) => out.extend(values.iter().map(|&v| u8::from(v) as $type)),
                    (_, Some(TensorData::Uint8(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Uint16(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Uint32(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Uint64(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Int8(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Int16(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Int32(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Int64(values))) => out.extend(values.iter().map(|&v| v as $type)),
                    (_, Some(TensorData::Fp16(values))) => {
                        out.extend(values.iter().map(|v| $whole(v.to_f64()) as $type))
                    }
                    (_, Some(TensorData::Bf16(values))) => {
                        out.extend(values.iter().map(|v| $whole(v.to_f64()) as $type))
                    }
                    (_, Some(TensorData::Fp32(values))) => {
                        out.extend(values.iter().map(|&v| $whole(f64::from(v)) as $type))
                    }
                    (_, Some(TensorData::Fp64(values))) => out.extend(values.iter().map(|&v| $whole(v) as $type)),
                    (_, Some(TensorData::Bytes(_)) | None) => {}
                }
                frame.$put(outputs[0], out);
            }};
        }
        if self.to == DType::Fp32 {
            write!(take_floats, put_floats, f32, std::convert::identity::<f64>);
        } else {
            write!(take_ints, put_ints, i64, representable);
        }
        Ok(())
    }
}

/// What a processor gives for a number that is no 64-bit integer, and with it ONNX Runtime: the least one.
fn representable(value: f64) -> f64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value } else { f64::NEG_INFINITY }
}
