//! `Pad`: more elements at the ends of dimensions, or fewer.

use super::{
    element::{Item, Scalar, for_scalars},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
    view,
};
use crate::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

pub(super) fn pad(node: &Node<'_>) -> Result<Lowered> {
    let by_input = node.version() >= 11;
    let attributes = node.attributes(if by_input { &["mode"] } else { &["mode", "pads", "value"] })?;
    let mode = match attributes.string("mode")? {
        None | Some(b"constant") => Mode::Constant,
        Some(b"edge") => Mode::Edge,
        Some(b"reflect") => Mode::Reflect,
        Some(b"wrap") => Mode::Wrap,
        Some(other) => return Err(Error::corrupt("there is no such mode").with("mode", other.escape_ascii())),
    };
    let of = &node.require(0)?.of;
    let rank = of.shape.len();
    let pads = if by_input {
        node.constant_ints(1)?.ok_or_else(|| Error::corrupt("the operator lacks an input"))?
    } else {
        attributes.ints("pads")?.to_vec()
    };
    let axes: Vec<usize> = match node.constant_ints(3)? {
        Some(axes) => axes.iter().map(|&at| axis(at, rank)).collect::<Result<_>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Error::corrupt("two numbers a dimension are needed").with("pads", pads.len()));
    }
    let mut ends = vec![(0_i64, 0_i64); rank];
    for (number, &at) in axes.iter().enumerate() {
        ends[at] = (pads[number], pads[axes.len() + number]);
    }
    let mut shape = Vec::with_capacity(rank);
    let mut sources = Vec::with_capacity(rank);
    for (&length, &(before, after)) in of.shape.iter().zip(&ends) {
        if (before, after) == (0, 0) {
            shape.push(length);
            sources.push(Source::Same(length));
            continue;
        }
        let own = length.known().ok_or_else(|| Error::unsupported("the native runtime adds no rows"))?;
        let source = along(own, before, after, mode)?;
        shape.push(Length::fixed(source.len()));
        sources.push(Source::From(source));
    }
    let steps = view::steps(&of.shape)?;
    let output = Type::new(of.dtype, shape);
    output.check()?;
    for_scalars!(of.dtype, T => {
        let value = if by_input {
            node.constant_scalar::<T>(2)?.unwrap_or_default()
        } else {
            T::from_wide(super::element::Wide::Float(attributes.float("value")?.unwrap_or(0.0).into()))
        };
        Lowered::step(Pad { sources, steps, value }, [output]).reading(1)
    })
}

/// Where each element along a dimension comes from; nowhere when it is new.
fn along(own: usize, before: i64, after: i64, mode: Mode) -> Result<Vec<Option<usize>>> {
    let too_long = || Error::unsupported("the native runtime takes no value of so many elements");
    let len = i64::try_from(own).map_err(|_| too_long())?;
    let new = len.checked_add(before).and_then(|sum| sum.checked_add(after)).ok_or_else(too_long)?;
    if !(0..=1 << 24).contains(&new) {
        return Err(if new < 0 { Error::corrupt("more elements are cut off than there are") } else { too_long() });
    }
    let source = |at: i64| {
        let at = at - before;
        let inside = match mode {
            _ if (0..len).contains(&at) => at,
            Mode::Constant => return Ok(None),
            _ if len == 0 => return Err(Error::corrupt("nothing cannot be repeated")),
            Mode::Edge => at.clamp(0, len - 1),
            Mode::Wrap => at.rem_euclid(len),
            Mode::Reflect if len == 1 => 0,
            Mode::Reflect => {
                let around = at.rem_euclid(2 * (len - 1));
                around.min(2 * (len - 1) - around)
            }
        };
        usize::try_from(inside).map(Some).map_err(|_| too_long())
    };
    (0..new).map(source).collect()
}

#[derive(Debug)]
enum Source {
    /// A dimension that stays as it is.
    Same(Length),
    From(Vec<Option<usize>>),
}

#[derive(Debug)]
struct Pad<T> {
    sources: Vec<Source>,
    steps: Vec<Length>,
    value: T,
}

impl<T: Item> Pad<T> {
    fn fill(&self, axis: usize, from: Option<usize>, rows: usize, values: &[T], out: &mut Vec<T>) {
        let (Some(source), Some(step)) = (self.sources.get(axis), self.steps.get(axis)) else {
            out.push(from.map_or_else(|| self.value.clone(), |from| values[from].clone()));
            return;
        };
        let step = step.at(rows);
        let mut deeper = |index: Option<usize>| {
            self.fill(axis + 1, from.zip(index).map(|(from, index)| from + index * step), rows, values, out);
        };
        match source {
            Source::Same(length) => (0..length.at(rows)).for_each(|index| deeper(Some(index))),
            Source::From(indices) => indices.iter().for_each(|index| deeper(*index)),
        }
    }
}

impl<T: Scalar> Kernel for Pad<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        self.fill(0, Some(0), frame.rows, frame.values(inputs[0]), &mut out);
        frame.put(outputs[0], out);
        Ok(())
    }
}
