//! One number in, one number out: `Imputer`, `Mul`, `Scaler`, `Sigmoid`.

use super::{
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::{Node, matrix},
};
use crate::{Error, Result};

/// Puts a number in place of every `replaced_value_float`, which is NaN as a rule.
pub(super) fn imputer(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["imputed_value_floats", "replaced_value_float"])?;
    let of = node.only()?;
    let (_, width) = matrix(of)?;
    // A single number stands for every column.
    let imputed = per_column(attributes.floats("imputed_value_floats")?, width)?;
    let replaced = attributes.float("replaced_value_float")?.unwrap_or(0.0);
    in_place(Imputer { imputed, replaced }, of)
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
    in_place(Scaler { columns }, of)
}

/// Multiplies by a constant: one number, or one a column.
pub(super) fn mul(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = &node.require(0)?.of;
    let (_, width) = matrix(of)?;
    let factor = node.constant(1)?.ok_or_else(|| Error::corrupt("the operator takes two inputs"))?;
    let unsupported =
        || Error::unsupported("the native runtime multiplies only by one FP32 number, or by one a column");
    let values = factor.values::<f32>().map_err(|error| unsupported().with_source(error))?;
    let by_column = match *factor.shape() {
        [] | [1] | [1, 1] => values.len() == 1,
        [columns] | [1, columns] => columns == width,
        _ => false,
    };
    if !by_column {
        return Err(unsupported());
    }
    // To subtract zero changes nothing.
    let columns = per_column(values, width)?.into_iter().map(|factor| (0.0, factor)).collect();
    Ok(in_place(Scaler { columns }, of)?.reading(1))
}

/// The logistic function.
pub(super) fn sigmoid(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    matrix(of)?;
    in_place(Sigmoid, of)
}

/// The logistic function in single precision. Away from zero it is closer to the true value than ONNX Runtime, whose
/// rational approximation is within 6e-8 absolute.
pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn in_place(kernel: impl Kernel + 'static, of: &Type) -> Result<Lowered> {
    Ok(Lowered::step(kernel, [of.clone()]).in_place())
}

fn per_column(values: &[f32], width: usize) -> Result<Vec<f32>> {
    match values {
        [one] => Ok(vec![*one; width]),
        _ if values.len() == width => Ok(values.to_vec()),
        _ => Err(Error::corrupt("as many numbers as columns are needed, or one")
            .with("columns", width)
            .with("got", values.len())),
    }
}

/// Changes the input where it is, or a copy of it.
fn change(frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot], with: impl FnOnce(&mut [f32])) {
    let mut values = frame.take(outputs[0]);
    if inputs[0] != outputs[0] {
        values.clear();
        values.extend_from_slice(frame.values(inputs[0]));
    }
    with(&mut values);
    frame.put(outputs[0], values);
}

/// The rows of a matrix; a matrix without columns has none to change.
fn rows(values: &mut [f32], width: usize) -> impl Iterator<Item = &mut [f32]> {
    values.chunks_exact_mut(width.max(1))
}

#[derive(Debug)]
struct Imputer {
    imputed: Vec<f32>,
    replaced: f32,
}

impl Kernel for Imputer {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        change(frame, inputs, outputs, |values| {
            for row in rows(values, self.imputed.len()) {
                for (value, imputed) in row.iter_mut().zip(&self.imputed) {
                    if *value == self.replaced || (self.replaced.is_nan() && value.is_nan()) {
                        *value = *imputed;
                    }
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
        change(frame, inputs, outputs, |values| {
            for row in rows(values, self.columns.len()) {
                for (value, (offset, scale)) in row.iter_mut().zip(&self.columns) {
                    *value = (*value - offset) * scale;
                }
            }
        });
        Ok(())
    }
}

#[derive(Debug)]
struct Sigmoid;

impl Kernel for Sigmoid {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        change(frame, inputs, outputs, |values| values.iter_mut().for_each(|value| *value = logistic(*value)));
        Ok(())
    }
}
