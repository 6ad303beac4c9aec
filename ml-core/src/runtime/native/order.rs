//! Which element along an axis, and how many so far: `ArgMax`, `ArgMin`, `TopK`, `CumSum`.

use super::{
    element::{Number, dispatch, for_numbers},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use std::{cmp::Ordering, marker::PhantomData};

/// The lanes of an axis: one for each element of what is around it.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    outer: Length,
    along: Length,
    inner: Length,
}

impl Lanes {
    fn new(of: &Type, axis: usize) -> Result<Self> {
        Ok(Self {
            outer: Length::product(&of.shape[..axis])?,
            along: of.shape[axis],
            inner: Length::product(&of.shape[axis + 1..])?,
        })
    }

    /// Calls `each` with the first element of every lane, how far its elements lie apart, and how many they are.
    fn for_each(self, rows: usize, mut each: impl FnMut(usize, usize, usize)) {
        let (along, inner) = (self.along.at(rows), self.inner.at(rows));
        for outer in 0..self.outer.at(rows) {
            (0..inner).for_each(|column| each(outer * along * inner + column, inner, along));
        }
    }
}

/// The index of the greatest, or of the least.
pub(super) fn arg(node: &Node<'_>, greatest: bool) -> Result<Lowered> {
    let attributes = node.attributes(&["axis", "keepdims", "select_last_index"])?;
    let of = node.only()?;
    let axis = axis(attributes.int("axis")?.unwrap_or(0), of.shape.len())?;
    let last = attributes.flag("select_last_index", false)?;
    let lanes = Lanes::new(of, axis)?;
    let mut shape = of.shape.clone();
    if attributes.flag("keepdims", true)? {
        shape[axis] = Length::ONE;
    } else {
        shape.remove(axis);
    }
    let outputs = [Type::new(DType::Int64, shape)];
    for_numbers!(of.dtype, T => Lowered::step(Arg::<T> { lanes, greatest, last, of: PhantomData }, outputs))
}

/// The greatest or least `k` elements, in order, and their indices.
pub(super) fn top_k(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis", "k", "largest", "sorted"])?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let axis = axis(attributes.int("axis")?.unwrap_or(-1), of.shape.len())?;
    let k = if node.version() < 10 { attributes.int("k")? } else { node.constant_scalar(1)? };
    let k = k.and_then(|k| usize::try_from(k).ok()).ok_or_else(|| Error::corrupt("the operator lacks a count"))?;
    let lanes = Lanes::new(of, axis)?;
    match lanes.along.known() {
        Some(along) if k <= along => {}
        Some(along) => return Err(Error::corrupt("there are fewer elements").with("k", k).with("elements", along)),
        None => return Err(Error::unsupported("the native runtime selects no rows of any number")),
    }
    let mut shape = of.shape.clone();
    shape[axis] = Length::fixed(k);
    let largest = attributes.flag("largest", true)?;
    let outputs = [Type::new(of.dtype, shape.clone()), Type::new(DType::Int64, shape)];
    let lowered =
        for_numbers!(of.dtype, T => Lowered::step(TopK::<T> { lanes, k, largest, of: PhantomData }, outputs))?;
    Ok(lowered.reading(1))
}

/// Sums of all elements up to one.
pub(super) fn cum_sum(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["exclusive", "reverse"])?;
    let (exclusive, reverse) = (attributes.flag("exclusive", false)?, attributes.flag("reverse", false)?);
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let at = node.constant_ints(1)?;
    let Some(&[at]) = at.as_deref() else { return Err(Error::corrupt("the operator takes one axis")) };
    let lanes = Lanes::new(of, axis(at, of.shape.len())?)?;
    let lowered = dispatch!(
        of.dtype,
        [Int32: i32, Int64: i64, Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64],
        T => Lowered::step(CumSum::<T> { lanes, exclusive, reverse, of: PhantomData }, [of.clone()]).in_place()
    )?;
    Ok(lowered.reading(1).mixing_rows(lanes.along.is_by_rows()))
}

#[derive(Debug)]
struct Arg<T> {
    lanes: Lanes,
    greatest: bool,
    /// Of equals the last one counts.
    last: bool,
    of: PhantomData<fn(T)>,
}

impl<T: Number> Kernel for Arg<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<i64>(outputs[0]);
        let values = frame.values::<T>(inputs[0]);
        self.lanes.for_each(frame.rows, |start, step, count| {
            let mut best = (0_i64, values.get(start).copied().unwrap_or_default());
            for (index, &value) in (0..).zip(values.get(start..).unwrap_or_default().iter().step_by(step).take(count)) {
                let better = if self.greatest { value > best.1 } else { value < best.1 };
                if better || (self.last && value == best.1) {
                    best = (index, value);
                }
            }
            out.push(best.0);
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct TopK<T> {
    lanes: Lanes,
    k: usize,
    largest: bool,
    of: PhantomData<fn(T)>,
}

impl<T: Number> Kernel for TopK<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut greatest = frame.take_cleared::<T>(outputs[0]);
        let mut indices = frame.take_cleared::<i64>(outputs[1]);
        let values = frame.values::<T>(inputs[0]);
        let inner = self.lanes.inner.at(frame.rows);
        let len = self.lanes.outer.at(frame.rows) * self.k * inner;
        greatest.resize(len, T::default());
        indices.resize(len, 0);
        let mut lane: Vec<(i64, T)> = Vec::new();
        let mut number = 0;
        self.lanes.for_each(frame.rows, |start, step, count| {
            lane.clear();
            lane.extend((0..).zip(values.get(start..).unwrap_or_default().iter().step_by(step).take(count).copied()));
            // Of equals the first counts; NaN is greater than all, as in NumPy.
            lane.sort_unstable_by(|a, b| {
                let order = order(a.1, b.1);
                (if self.largest { order.reverse() } else { order }).then(a.0.cmp(&b.0))
            });
            let block = number / inner * self.k * inner + number % inner;
            for (rank, (index, value)) in lane.iter().take(self.k).enumerate() {
                greatest[block + rank * inner] = *value;
                indices[block + rank * inner] = *index;
            }
            number += 1;
        });
        frame.put(outputs[0], greatest);
        frame.put(outputs[1], indices);
        Ok(())
    }
}

fn order<T: Number>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[derive(Debug)]
struct CumSum<T> {
    lanes: Lanes,
    exclusive: bool,
    reverse: bool,
    of: PhantomData<fn(T)>,
}

impl<T: Number> Kernel for CumSum<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut values = frame.take::<T>(outputs[0]);
        if inputs[0] != outputs[0] {
            values.clear();
            values.extend_from_slice(frame.values(inputs[0]));
        }
        self.lanes.for_each(frame.rows, |start, step, count| {
            let mut sum = T::default();
            for index in 0..count {
                let index = if self.reverse { count - 1 - index } else { index };
                let value = &mut values[start + index * step];
                let before = sum;
                sum = sum.add(*value);
                *value = if self.exclusive { before } else { sum };
            }
        });
        frame.put(outputs[0], values);
        Ok(())
    }
}
