//! Columns chosen and put together: `ArrayFeatureExtractor`, `FeatureVectorizer`.

use super::{
    element::{Scalar, for_numbers},
    gather,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use std::marker::PhantomData;

/// Some columns, by index.
pub(super) fn extractor(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(2)?;
    let (of, indices) = (&node.require(0)?.of, &node.require(1)?.of);
    let (&columns, outer) = of.shape.split_last().ok_or_else(|| Error::corrupt("a single number has no columns"))?;
    // A single row without its dimension gets one.
    let mut shape = if outer.is_empty() { vec![Length::ONE] } else { outer.to_vec() };
    shape.push(indices.len()?);
    gather::along([Length::product(outer)?, columns, Length::ONE], indices.dtype, Type::new(of.dtype, shape))
}

/// The columns of all inputs side by side as `FP32`, each input cut or filled with zeros to its width.
pub(super) fn vectorizer(node: &Node<'_>) -> Result<Lowered> {
    let widths = node.attributes(&["inputdimensions"])?.ints("inputdimensions")?;
    let types = node.types()?;
    let first = *types.first().ok_or_else(|| Error::corrupt("the operator takes at least one input"))?;
    if widths.len() != types.len() {
        return Err(Error::corrupt("one width an input is needed").with("widths", widths.len()));
    }
    let sides = |of: &Type| match of.shape[..] {
        [rows, columns] if !columns.is_by_rows() => Ok((rows, columns.count())),
        [columns] if !columns.is_by_rows() => Ok((Length::ONE, columns.count())),
        _ => Err(Error::unsupported("the native runtime takes only rows by columns here").with("got", of)),
    };
    let (rows, _) = sides(first)?;
    let mut inputs = Vec::with_capacity(types.len());
    let mut total = Length::fixed(0);
    for (of, &width) in types.iter().zip(widths) {
        let (own_rows, columns) = sides(of)?;
        let width = usize::try_from(width).map_err(|_| Error::corrupt("a width is negative"))?;
        if own_rows != rows || of.dtype != first.dtype {
            return Err(Error::corrupt("the inputs do not fit together").with("first", first).with("other", of));
        }
        inputs.push((columns, width));
        total = total.plus(Length::fixed(width))?;
    }
    let outputs = [Type::new(DType::Fp32, [rows, total])];
    for_numbers!(first.dtype, T => Lowered::step(Vectorizer::<T> { rows, inputs, of: PhantomData }, outputs))
}

#[derive(Debug)]
struct Vectorizer<T> {
    rows: Length,
    /// Columns of each input, and how many it is given.
    inputs: Vec<(usize, usize)>,
    of: PhantomData<fn(T)>,
}

impl<T: Scalar> Kernel for Vectorizer<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<f32>(outputs[0]);
        for row in 0..self.rows.at(frame.rows) {
            for (&slot, &(columns, width)) in inputs.iter().zip(&self.inputs) {
                let values = &frame.values::<T>(slot)[row * columns..(row + 1) * columns];
                let end = out.len() + width;
                out.extend(values.iter().take(width).map(|value| f32::from_wide(value.wide())));
                out.resize(end, 0.0);
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
