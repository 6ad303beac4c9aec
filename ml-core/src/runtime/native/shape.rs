//! The same elements under another shape, or side by side: `Concat`, `Identity`, `Reshape`.

use super::{
    element::{Item, for_any},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::Node,
};
use crate::{Error, Result};
use std::marker::PhantomData;

/// The input itself.
pub(super) fn identity(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    Ok(Lowered::Alias(node.only()?.clone()))
}

/// Another shape for as many elements. Zero copies a length, and -1 is what the others leave.
pub(super) fn reshape(node: &Node<'_>) -> Result<Lowered> {
    let zero_copies = !node.attributes(&["allowzero"])?.flag("allowzero", false)?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let target = node.constant_ints(1)?.ok_or_else(|| Error::corrupt("the operator takes two inputs"))?;
    let shape = resolve(of, &target, zero_copies)
        .map_err(|error| error.with("shape", format!("{target:?}")).with("got", of))?;
    Ok(Lowered::Alias(Type::new(of.dtype, shape)))
}

fn resolve(of: &Type, target: &[i64], zero_copies: bool) -> Result<Vec<Length>> {
    let misfit = || Error::corrupt("the elements do not fit the new shape");
    let len = of.len()?;
    let mut shape = Vec::with_capacity(target.len());
    let mut rest = None;
    for (axis, &length) in target.iter().enumerate() {
        shape.push(match length {
            0 if zero_copies => *of.shape.get(axis).ok_or_else(misfit)?,
            -1 if rest.is_none() => {
                rest = Some(axis);
                Length::ONE
            }
            _ => Length::fixed(usize::try_from(length).map_err(|_| misfit())?),
        });
    }
    if let Some(axis) = rest {
        let others = Length::product(&shape)?;
        shape[axis] = len.over(others).ok_or_else(misfit)?;
    }
    let new = Length::product(&shape)?;
    if new == len {
        return Ok(shape);
    }
    // Exporters write a batch of one into shapes that hold for any.
    Err(if new.is_by_rows() == len.is_by_rows() {
        misfit()
    } else {
        Error::unsupported("the native runtime gives no fixed shape to any number of rows")
    })
}

/// One behind the other along an axis.
pub(super) fn concat(node: &Node<'_>) -> Result<Lowered> {
    let axis = node.attributes(&["axis"])?.int("axis")?.ok_or_else(|| Error::corrupt("the operator lacks an axis"))?;
    let types = node.types()?;
    let first = *types.first().ok_or_else(|| Error::corrupt("the operator takes at least one input"))?;
    let axis = super::length::axis(axis, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = Length::fixed(0);
    for of in &types {
        let fits = of.dtype == first.dtype
            && of.shape.len() == shape.len()
            && (0..shape.len()).all(|at| at == axis || of.shape[at] == shape[at]);
        if !fits {
            return Err(Error::corrupt("the inputs do not fit together").with("first", first).with("other", of));
        }
        shape[axis] = shape[axis].plus(of.shape[axis])?;
    }
    let outer = Length::product(&shape[..axis])?;
    let blocks = types.iter().map(|of| Length::product(&of.shape[axis..])).collect::<Result<Vec<_>>>()?;
    let outputs = [Type::new(first.dtype, shape)];
    for_any!(first.dtype, T => Lowered::step(Concat::<T> { outer, blocks, of: PhantomData }, outputs))
}

#[derive(Debug)]
struct Concat<T> {
    outer: Length,
    /// Elements of each input that lie together.
    blocks: Vec<Length>,
    of: PhantomData<fn(T)>,
}

impl<T: Item> Kernel for Concat<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        for at in 0..self.outer.at(frame.rows) {
            for (&slot, block) in inputs.iter().zip(&self.blocks) {
                let block = block.at(frame.rows);
                out.extend_from_slice(&frame.values(slot)[at * block..(at + 1) * block]);
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
