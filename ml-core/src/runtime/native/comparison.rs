//! Truth values: comparisons, `And`, `Or`, `Xor`, `Where`.

use super::{
    arithmetic::{same_types, zip},
    broadcast::Broadcast,
    element::{Item, for_any, for_numbers, for_scalars},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use bytes::Bytes;
use std::marker::PhantomData;

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

pub(super) fn compare(node: &Node<'_>, comparison: Comparison) -> Result<Lowered> {
    node.attributes(&[])?;
    let (dtype, of, walk) = same_types(node)?;
    let output = Type::new(DType::Bool, of.shape);
    match comparison {
        Comparison::Equal if dtype == DType::Bytes => Ok(Lowered::step(TextEqual { walk }, [output])),
        Comparison::Equal => for_scalars!(dtype, T => zip(walk, output, |a: T, b: T| a == b)),
        Comparison::Less => for_numbers!(dtype, T => zip(walk, output, |a: T, b: T| a < b)),
        Comparison::LessOrEqual => for_numbers!(dtype, T => zip(walk, output, |a: T, b: T| a <= b)),
        Comparison::Greater => for_numbers!(dtype, T => zip(walk, output, |a: T, b: T| a > b)),
        Comparison::GreaterOrEqual => for_numbers!(dtype, T => zip(walk, output, |a: T, b: T| a >= b)),
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
}

pub(super) fn logic(node: &Node<'_>, logic: Logic) -> Result<Lowered> {
    node.attributes(&[])?;
    let (dtype, output, walk) = same_types(node)?;
    if dtype != DType::Bool {
        return Err(Error::corrupt("the operator takes truth values").with("got", dtype));
    }
    Ok(match logic {
        Logic::And => zip(walk, output, |a: bool, b: bool| a && b),
        Logic::Or => zip(walk, output, |a: bool, b: bool| a || b),
        Logic::Xor => zip(walk, output, |a: bool, b: bool| a != b),
    })
}

/// An element of the second input where the first is true, of the third where not.
pub(super) fn choose(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(3)?;
    let (condition, yes, no) = (&node.require(0)?.of, &node.require(1)?.of, &node.require(2)?.of);
    if condition.dtype != DType::Bool || yes.dtype != no.dtype {
        return Err(Error::corrupt("the operator takes truth values and two inputs of one type"));
    }
    let (shape, walk) = Broadcast::new([condition, yes, no])?;
    let outputs = [Type::new(yes.dtype, shape)];
    for_any!(yes.dtype, T => Lowered::step(Choose::<T> { walk, of: PhantomData }, outputs))
}

#[derive(Debug)]
struct TextEqual {
    walk: Broadcast<2>,
}

impl Kernel for TextEqual {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        let (a, b) = (frame.values::<Bytes>(inputs[0]), frame.values::<Bytes>(inputs[1]));
        self.walk.for_each(frame.rows, &mut |len, [a_at, b_at], [a_goes_on, b_goes_on]| {
            let at = |start: usize, goes_on: bool, offset: usize| start + if goes_on { offset } else { 0 };
            out.extend((0..len).map(|offset| a[at(a_at, a_goes_on, offset)] == b[at(b_at, b_goes_on, offset)]));
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Choose<T> {
    walk: Broadcast<3>,
    of: PhantomData<fn() -> T>,
}

impl<T: Item> Kernel for Choose<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let condition = frame.values::<bool>(inputs[0]);
        let (yes, no) = (frame.values::<T>(inputs[1]), frame.values::<T>(inputs[2]));
        self.walk.for_each(frame.rows, &mut |len, starts, goes_on| {
            let at = |value: usize, offset: usize| starts[value] + if goes_on[value] { offset } else { 0 };
            out.extend((0..len).map(|offset| {
                if condition[at(0, offset)] { yes[at(1, offset)].clone() } else { no[at(2, offset)].clone() }
            }));
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}
