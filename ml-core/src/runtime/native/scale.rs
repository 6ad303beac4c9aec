//! Columns of numbers set right: `Imputer`, `Scaler`, `Normalizer`, `Binarizer`.

use super::{
    element::{Number, dispatch, for_numbers},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::{Node, matrix},
};
use crate::{Error, Result, tensor::DType};
use std::marker::PhantomData;

/// Puts a number in place of every one to be replaced, which is NaN as a rule.
pub(super) fn imputer(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&[
        "imputed_value_floats",
        "imputed_value_int64s",
        "replaced_value_float",
        "replaced_value_int64",
    ])?;
    let of = node.only()?;
    let width = columns(of)?;
    match of.dtype {
        DType::Fp32 | DType::Fp64 => {
            let imputed = per_column(attributes.floats("imputed_value_floats")?, width)?;
            let replaced = attributes.float("replaced_value_float")?.unwrap_or(0.0);
            dispatch!(of.dtype, [Fp32: f32, Fp64: f64], T => {
                let imputed = imputed.iter().map(|&value| T::from(value)).collect();
                in_place(Imputer { imputed, replaced: T::from(replaced) }, of)
            })
        }
        DType::Int64 => {
            let imputed = per_column(attributes.ints("imputed_value_int64s")?, width)?;
            let replaced = attributes.int("replaced_value_int64")?.unwrap_or(0);
            Ok(in_place(Imputer { imputed, replaced }, of))
        }
        DType::Int32 => {
            let narrow = |value: i64| {
                i32::try_from(value).map_err(|_| Error::corrupt("a number is out of range").with("number", value))
            };
            let imputed = per_column(attributes.ints("imputed_value_int64s")?, width)?;
            let imputed = imputed.into_iter().map(narrow).collect::<Result<Vec<_>>>()?;
            let replaced = narrow(attributes.int("replaced_value_int64")?.unwrap_or(0))?;
            Ok(in_place(Imputer { imputed, replaced }, of))
        }
        other => Err(super::element::unsupported(other)),
    }
}

/// Subtracts `offset`, then multiplies by `scale`.
pub(super) fn scaler(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["offset", "scale"])?;
    let of = node.only()?;
    let (_, width) = matrix(of)?;
    let offset = attributes.floats("offset")?;
    let scale = attributes.floats("scale")?;
    if offset.len() != scale.len() {
        return Err(Error::corrupt("offset and scale have different lengths"));
    }
    let columns = per_column(offset, width)?.into_iter().zip(per_column(scale, width)?).collect();
    Ok(in_place(Scaler { columns }, of))
}

/// Divides each row by its greatest number, by the sum of its sizes, or by its Euclidean length.
pub(super) fn normalizer(node: &Node<'_>) -> Result<Lowered> {
    let norm = match node.attributes(&["norm"])?.string("norm")? {
        None | Some(b"MAX") => Norm::Max,
        Some(b"L1") => Norm::L1,
        Some(b"L2") => Norm::L2,
        Some(other) => return Err(Error::corrupt("there is no such norm").with("norm", other.escape_ascii())),
    };
    let of = node.only()?;
    let (_, width) = matrix(of)?;
    Ok(in_place(Normalizer { norm, width }, of))
}

/// One above the threshold, zero else.
pub(super) fn binarizer(node: &Node<'_>) -> Result<Lowered> {
    let threshold = node.attributes(&["threshold"])?.float("threshold")?.unwrap_or(0.0);
    let of = node.only()?;
    for_numbers!(of.dtype, T => in_place(Binarizer::<T> { threshold: threshold.into(), of: PhantomData }, of))
}

fn in_place(kernel: impl Kernel + 'static, of: &Type) -> Lowered {
    Lowered::step(kernel, [of.clone()]).in_place()
}

fn columns(of: &Type) -> Result<usize> {
    match of.shape[..] {
        [_, columns] | [columns] if !columns.is_by_rows() => Ok(columns.count()),
        _ => Err(Error::unsupported("the native runtime takes only rows by columns here").with("got", of)),
    }
}

/// A single number stands for every column.
fn per_column<T: Copy>(values: &[T], width: usize) -> Result<Vec<T>> {
    match values {
        [one] => Ok(vec![*one; width]),
        _ if values.len() == width => Ok(values.to_vec()),
        _ => Err(Error::corrupt("as many numbers as columns are needed, or one")
            .with("columns", width)
            .with("got", values.len())),
    }
}

/// Changes the rows of the input where they are, or a copy of them. A matrix without columns has none to change.
fn change<T: Number>(
    frame: &mut Frame<'_>,
    inputs: &[Slot],
    outputs: &[Slot],
    width: usize,
    with: impl FnMut(&mut [T]),
) {
    let mut values = frame.take::<T>(outputs[0]);
    if inputs[0] != outputs[0] {
        values.clear();
        values.extend_from_slice(frame.values(inputs[0]));
    }
    values.chunks_exact_mut(width.max(1)).for_each(with);
    frame.put(outputs[0], values);
}

#[derive(Debug)]
struct Imputer<T> {
    imputed: Vec<T>,
    replaced: T,
}

impl<T: Number> Kernel for Imputer<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        change(frame, inputs, outputs, self.imputed.len(), |row: &mut [T]| {
            for (value, imputed) in row.iter_mut().zip(&self.imputed) {
                if *value == self.replaced || (self.replaced.is_nan() && value.is_nan()) {
                    *value = *imputed;
                }
            }
        });
        Ok(())
    }
}

#[derive(Debug)]
struct Scaler {
    columns: Vec<(f32, f32)>,
}

impl Kernel for Scaler {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        change(frame, inputs, outputs, self.columns.len(), |row: &mut [f32]| {
            for (value, (offset, scale)) in row.iter_mut().zip(&self.columns) {
                *value = (*value - offset) * scale;
            }
        });
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Norm {
    Max,
    L1,
    L2,
}

#[derive(Debug)]
struct Normalizer {
    norm: Norm,
    width: usize,
}

impl Kernel for Normalizer {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        change(frame, inputs, outputs, self.width, |row: &mut [f32]| {
            let norm = match self.norm {
                Norm::Max => row.iter().copied().fold(f32::MIN, f32::max),
                Norm::L1 => row.iter().map(|value| value.abs()).sum(),
                Norm::L2 => row.iter().map(|value| value * value).sum(),
            };
            // A row of zeros has no direction.
            if norm != 0.0 {
                row.iter_mut().for_each(|value| {
                    *value = match self.norm {
                        Norm::Max | Norm::L1 => *value / norm,
                        // As ONNX Runtime divides, so that infinities come out alike.
                        Norm::L2 => (*value * *value / norm).sqrt().copysign(*value),
                    }
                });
            }
        });
        Ok(())
    }
}

#[derive(Debug)]
struct Binarizer<T> {
    threshold: f64,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Number> Kernel for Binarizer<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut nan = false;
        change(frame, inputs, outputs, 1, |value: &mut [T]| {
            nan |= value[0].is_nan();
            value[0] = if value[0].to_f64() > self.threshold { T::ONE } else { T::default() };
        });
        // As in ONNX Runtime, which knows no answer.
        if nan { Err(Error::invalid_input("NaN is neither above nor below a threshold")) } else { Ok(()) }
    }
}
