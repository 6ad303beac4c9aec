//! `Concat`: values one behind the other along an axis.

use super::{
    element::{Item, for_any},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result};
use std::marker::PhantomData;

pub(super) fn concat(node: &Node<'_>) -> Result<Lowered> {
    let at = node.attributes(&["axis"])?.int("axis")?.ok_or_else(|| Error::corrupt("the operator lacks an axis"))?;
    let types = node.types()?;
    let first = *types.first().ok_or_else(|| Error::corrupt("the operator takes at least one input"))?;
    let axis = axis(at, first.shape.len())?;
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
        let whole: usize = self.blocks.iter().map(|block| block.at(frame.rows)).sum();
        out.resize(self.outer.at(frame.rows) * whole, T::default());
        let mut start = 0;
        // One input after the other: each is read in order, once.
        for (&slot, block) in inputs.iter().zip(&self.blocks) {
            let (values, block) = (frame.values::<T>(slot), block.at(frame.rows));
            match block {
                0 => continue,
                // A column of a table.
                1 => out.chunks_exact_mut(whole).zip(values).for_each(|(row, value)| row[start] = value.clone()),
                _ => out
                    .chunks_exact_mut(whole)
                    .zip(values.chunks_exact(block))
                    .for_each(|(row, values)| row[start..start + block].clone_from_slice(values)),
            }
            start += block;
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
