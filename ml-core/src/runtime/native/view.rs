//! The same elements in another order, some of them, or some several times: `Transpose`, `Slice`, `Split`, `Expand`, `Tile`.

use super::{
    broadcast::Broadcast,
    element::{Item, for_any},
    extent::Extent,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, MAX_RANK, Type, axis},
    node::Node,
};
use crate::{Error, Result};
use std::marker::PhantomData;

/// Dimensions in another order; without one, in reverse.
pub(super) fn transpose(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["perm"])?;
    let of = node.only()?;
    let rank = of.shape.len();
    let order: Vec<usize> = if attributes.has("perm") {
        attributes.ints("perm")?.iter().map(|&at| axis(at, rank)).collect::<Result<_>>()?
    } else {
        (0..rank).rev().collect()
    };
    if order.len() != rank || (0..rank).any(|axis| !order.contains(&axis)) {
        return Err(Error::corrupt("the order does not name each dimension once").with("got", of));
    }
    let steps = steps(&of.shape)?;
    let dims = order.iter().map(|&axis| Dim { length: of.shape[axis], step: steps[axis], back: false }).collect();
    let shape: Vec<Length> = order.iter().map(|&axis| of.shape[axis]).collect();
    view(of, shape, vec![View { start: 0, dims }])
}

/// Elements from a start to an end by a step along some axes.
pub(super) fn slice(node: &Node<'_>) -> Result<Lowered> {
    let of = &node.require(0)?.of;
    let rank = of.shape.len();
    let (starts, ends, axes, steps_by) = if node.version() < 10 {
        let attributes = node.attributes(&["axes", "ends", "starts"])?;
        node.at_most(1)?;
        let axes = attributes.has("axes").then(|| attributes.ints("axes")).transpose()?.map(<[i64]>::to_vec);
        (attributes.ints("starts")?.to_vec(), attributes.ints("ends")?.to_vec(), axes, None)
    } else {
        node.attributes(&[])?;
        node.at_most(5)?;
        let need = |index| node.constant_ints(index)?.ok_or_else(|| Error::corrupt("the operator lacks an input"));
        (need(1)?, need(2)?, node.constant_ints(3)?, node.constant_ints(4)?)
    };
    let axes = axes.unwrap_or_else(|| (0..).take(starts.len()).collect());
    let steps_by = steps_by.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps_by.len()] != [starts.len(); 3] {
        return Err(Error::corrupt("starts, ends, axes and steps differ in number"));
    }
    let in_memory = steps(&of.shape)?;
    let mut shape = of.shape.clone();
    let mut view_of = View::whole(&of.shape)?;
    for (((&start, &end), &at), &by) in starts.iter().zip(&ends).zip(&axes).zip(&steps_by) {
        let at = axis(at, rank)?;
        let Some(length) = of.shape[at].known() else {
            // All rows, in their order, are no choice.
            if start == 0 && by == 1 && end >= i64::from(i32::MAX) {
                continue;
            }
            return Err(Error::unsupported("the native runtime selects no rows of any number"));
        };
        let (start, count) = range(start, end, by, length)?;
        let size = usize::try_from(by.unsigned_abs()).map_err(|_| Error::corrupt("a step is too long"))?;
        shape[at] = Length::fixed(count);
        let dim = &mut view_of.dims[at];
        *dim = Dim {
            length: Length::fixed(count),
            // A step beyond the end is not taken.
            step: if count > 1 { in_memory[at].times(Length::fixed(size))? } else { in_memory[at] },
            back: by < 0,
        };
        if count > 0 {
            view_of.start += in_memory[at]
                .times(Length::fixed(start))?
                .known()
                .ok_or_else(|| Error::unsupported("the native runtime selects nothing before the rows"))?;
        }
    }
    Ok(view(of, shape, vec![view_of])?.reading(1))
}

/// The first index and how many there are, with ends cut to what is there.
fn range(start: i64, end: i64, by: i64, length: usize) -> Result<(usize, usize)> {
    let len = i64::try_from(length).map_err(|_| Error::corrupt("a dimension is too long"))?;
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (low, high) = if by > 0 { (0, len) } else { (-1, len - 1) };
    let start = from_end(start).clamp(low.max(0), high.max(0));
    let end = from_end(end).clamp(low, high);
    let count = match by {
        0 => return Err(Error::corrupt("a step of zero leads nowhere")),
        1.. => (end - start).max(0).unsigned_abs().div_ceil(by.unsigned_abs()),
        _ => (start - end).max(0).unsigned_abs().div_ceil(by.unsigned_abs()),
    };
    let count = if len == 0 { 0 } else { count };
    let fits = |value: u64| usize::try_from(value).map_err(|_| Error::corrupt("a dimension is too long"));
    Ok((fits(start.unsigned_abs())?, fits(count)?))
}

/// Parts of given lengths along an axis, or of equal ones.
pub(super) fn split(node: &Node<'_>) -> Result<Lowered> {
    let attributes = match node.version() {
        ..13 => node.attributes(&["axis", "split"])?,
        13..18 => node.attributes(&["axis"])?,
        _ => node.attributes(&["axis", "num_outputs"])?,
    };
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let at = axis(attributes.int("axis")?.unwrap_or(0), of.shape.len())?;
    let length =
        of.shape[at].known().ok_or_else(|| Error::unsupported("the native runtime selects no rows of any number"))?;
    let given = match node.version() {
        ..13 => attributes.has("split").then(|| attributes.ints("split")).transpose()?.map(<[i64]>::to_vec),
        _ => node.constant_ints(1)?,
    };
    let parts: Vec<usize> = match given {
        Some(parts) => parts
            .iter()
            .map(|&part| usize::try_from(part).map_err(|_| Error::corrupt("a part has a negative length")))
            .collect::<Result<_>>()?,
        None => {
            let count = node.outputs().len();
            let each = length.div_ceil(count.max(1));
            (0..count).map(|part| each.min(length.saturating_sub(part * each))).collect()
        }
    };
    if parts.iter().try_fold(0_usize, |sum, &part| sum.checked_add(part)) != Some(length) {
        return Err(Error::corrupt("the parts are not the whole").with("elements", length));
    }
    let in_memory = steps(&of.shape)?;
    let step = in_memory[at]
        .known()
        .ok_or_else(|| Error::unsupported("the native runtime selects nothing before the rows"))?;
    let mut start = 0;
    let mut views = Vec::with_capacity(parts.len());
    let mut outputs = Vec::with_capacity(parts.len());
    for part in parts {
        let mut view = View::whole(&of.shape)?;
        view.start = start * step;
        view.dims[at].length = Length::fixed(part);
        outputs.push(Type::new(of.dtype, view.dims.iter().map(|dim| dim.length).collect::<Vec<_>>()));
        views.push(view);
        start += part;
    }
    let views = views.into_iter().map(View::merged).collect::<Result<Vec<_>>>()?;
    Ok(for_any!(of.dtype, T => Lowered::step(Views::<T> { views, of: PhantomData }, outputs))?.reading(1))
}

/// Repeated to a larger shape.
pub(super) fn expand(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let target = node.extents(1)?.ok_or_else(|| Error::corrupt("the operator takes two inputs"))?;
    let target = target.into_iter().map(Extent::length).collect::<Result<Vec<_>>>()?;
    let (shape, _) = Broadcast::new([of, &Type::new(of.dtype, target)])?;
    repeated(of, shape)
}

/// The input repeated to a shape that it broadcasts to.
pub(super) fn repeated(of: &Type, shape: Vec<Length>) -> Result<Lowered> {
    let offset = shape.len() - of.shape.len();
    let steps = steps(&of.shape)?;
    let dims = shape
        .iter()
        .enumerate()
        .map(|(at, &length)| {
            let own = at.checked_sub(offset).filter(|own| of.shape[*own] == length);
            Dim { length, step: own.map_or(Length::fixed(0), |own| steps[own]), back: false }
        })
        .collect();
    Ok(view(of, shape, vec![View { start: 0, dims }])?.reading(1))
}

/// The whole several times along each axis.
pub(super) fn tile(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let times = node.extents(1)?.ok_or_else(|| Error::corrupt("the operator takes two inputs"))?;
    if times.len() != of.shape.len() {
        return Err(Error::corrupt("one count a dimension is needed").with("got", of));
    }
    let steps = steps(&of.shape)?;
    let mut shape = Vec::with_capacity(times.len());
    let mut dims = Vec::with_capacity(2 * times.len());
    for ((&times, &length), &step) in times.iter().zip(&of.shape).zip(&steps) {
        let times = times.length()?;
        shape.push(length.times(times)?);
        dims.push(Dim { length: times, step: Length::fixed(0), back: false });
        dims.push(Dim { length, step, back: false });
    }
    Ok(view(of, shape, vec![View { start: 0, dims }])?.reading(1))
}

/// How far apart neighbors of each dimension lie in memory.
pub(super) fn steps(shape: &[Length]) -> Result<Vec<Length>> {
    (1..=shape.len()).map(|inner| Length::product(&shape[inner..])).collect()
}

fn view(of: &Type, shape: Vec<Length>, views: Vec<View>) -> Result<Lowered> {
    let views = views.into_iter().map(View::merged).collect::<Result<Vec<_>>>()?;
    let outputs = [Type::new(of.dtype, shape)];
    for_any!(of.dtype, T => Lowered::step(Views::<T> { views, of: PhantomData }, outputs))
}

/// A dimension of a view: how long it is, and how far apart its elements lie in what is viewed, maybe backwards.
#[derive(Debug, Clone, Copy)]
struct Dim {
    length: Length,
    step: Length,
    back: bool,
}

/// Where elements lie in memory, in the order in which they are written.
#[derive(Debug)]
struct View {
    start: usize,
    dims: Vec<Dim>,
}

impl View {
    fn whole(shape: &[Length]) -> Result<Self> {
        let dims = shape.iter().zip(steps(shape)?).map(|(&length, step)| Dim { length, step, back: false });
        Ok(Self { start: 0, dims: dims.collect() })
    }

    /// Without dimensions of one element, and with neighbors that go on in memory as one.
    fn merged(self) -> Result<Self> {
        let mut merged: Vec<Dim> = Vec::new();
        for dim in self.dims.into_iter().filter(|dim| dim.length != Length::ONE) {
            match merged.last_mut() {
                Some(outer) if outer.back == dim.back && outer.step == dim.step.times(dim.length)? => {
                    *outer = Dim { length: outer.length.times(dim.length)?, ..dim };
                }
                _ => merged.push(dim),
            }
        }
        // Tiles have two dimensions each.
        if merged.len() > 2 * MAX_RANK {
            return Err(Error::unsupported("the native runtime takes no value of so many dimensions"));
        }
        Ok(Self { start: self.start, dims: merged })
    }

    fn copy<T: Clone>(&self, rows: usize, values: &[T], out: &mut Vec<T>) {
        let mut dims = [(0_usize, 0_isize); 2 * MAX_RANK];
        for (resolved, dim) in dims.iter_mut().zip(&self.dims) {
            let step = isize::try_from(dim.step.at(rows)).unwrap_or(isize::MAX);
            *resolved = (dim.length.at(rows), if dim.back { -step } else { step });
        }
        let dims = &dims[..self.dims.len()];
        if dims.iter().any(|(length, _)| *length == 0) {
            return;
        }
        let Some((&(length, step), outer)) = dims.split_last() else {
            out.push(values[self.start].clone());
            return;
        };
        let mut at = [0; 2 * MAX_RANK];
        let mut start = self.start;
        'runs: loop {
            match step {
                1 => out.extend_from_slice(&values[start..start + length]),
                0 => out.extend(std::iter::repeat_n(&values[start], length).cloned()),
                _ => {
                    let mut from = start;
                    for _ in 0..length {
                        out.push(values[from].clone());
                        // One step beyond the last element is taken, but nothing is read there.
                        from = from.wrapping_add_signed(step);
                    }
                }
            }
            for axis in (0..outer.len()).rev() {
                let (length, step) = outer[axis];
                at[axis] += 1;
                if at[axis] < length {
                    start = start.wrapping_add_signed(step);
                    continue 'runs;
                }
                let back = step * isize::try_from(length - 1).unwrap_or(isize::MAX);
                start = start.wrapping_add_signed(-back);
                at[axis] = 0;
            }
            return;
        }
    }
}

/// Copies one view an output.
#[derive(Debug)]
struct Views<T> {
    views: Vec<View>,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Item> Kernel for Views<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        for (view, &slot) in self.views.iter().zip(outputs) {
            let mut out = frame.take_cleared::<T>(slot);
            view.copy(frame.rows, frame.values(inputs[0]), &mut out);
            frame.put(slot, out);
        }
        Ok(())
    }
}
