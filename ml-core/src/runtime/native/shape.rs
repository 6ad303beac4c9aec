//! The same elements under another shape, and shapes as elements: `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Identity`,
//! `Dropout`, `Shape`, `Size`.

use super::{
    element::{Item, for_floats},
    extent::Extent,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result, Tensor, tensor::DType};
use std::marker::PhantomData;

/// The input itself.
pub(super) fn identity(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    Ok(Lowered::Alias(node.only()?.clone()))
}

/// The input itself: nothing is dropped after training.
pub(super) fn dropout(node: &Node<'_>) -> Result<Lowered> {
    if node.version() < 12 {
        node.attributes(&["ratio"])?;
        node.at_most(1)?;
    } else {
        node.attributes(&["seed"])?;
        node.at_most(3)?;
        if node.constant_scalar::<bool>(2)?.unwrap_or(false) {
            return Err(Error::unsupported("the native runtime does not train"));
        }
    }
    let of = &node.require(0)?.of;
    if node.outputs().len() < 2 {
        return Ok(Lowered::Alias(of.clone()));
    }
    // Before version 10 the mask had the type of the input.
    if node.version() < 10 {
        return Err(Error::unsupported("the native runtime gives only masks of truth values"));
    }
    let mask = Type::new(DType::Bool, of.shape.clone());
    for_floats!(of.dtype, T => {
        Lowered::step(Masked::<T>(PhantomData), [of.clone(), mask]).reading(1)
    })
}

/// Another shape for as many elements. Zero copies a length, and -1 is what the others leave.
pub(super) fn reshape(node: &Node<'_>) -> Result<Lowered> {
    let zero_copies = !node.attributes(&["allowzero"])?.flag("allowzero", false)?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let target = node.extents(1)?.ok_or_else(|| Error::corrupt("the operator takes two inputs"))?;
    let shape = resolve(of, &target, zero_copies)
        .map_err(|error| error.with("shape", format!("{target:?}")).with("got", of))?;
    Ok(Lowered::Alias(Type::new(of.dtype, shape)))
}

fn resolve(of: &Type, target: &[Extent], zero_copies: bool) -> Result<Vec<Length>> {
    let misfit = || Error::corrupt("the elements do not fit the new shape");
    let len = of.len()?;
    let mut shape = Vec::with_capacity(target.len());
    let mut rest = None;
    for (axis, &length) in target.iter().enumerate() {
        shape.push(match length {
            Extent::Number(0) if zero_copies => *of.shape.get(axis).ok_or_else(misfit)?,
            Extent::Number(-1) if rest.is_none() => {
                rest = Some(axis);
                Length::ONE
            }
            other => other.length()?,
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

/// Two dimensions: what is before an axis, and what is from it on.
pub(super) fn flatten(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    let of = node.only()?;
    let at = attributes.int("axis")?.unwrap_or(1);
    // The axis may also be behind the last dimension.
    let at = if at < 0 { axis(at, of.shape.len())? } else { axis(at, of.shape.len() + 1)? };
    let (outer, inner) = of.shape.split_at(at);
    Ok(Lowered::Alias(Type::new(of.dtype, [Length::product(outer)?, Length::product(inner)?])))
}

/// Without dimensions of one element.
pub(super) fn squeeze(node: &Node<'_>) -> Result<Lowered> {
    let axes = axes(node)?;
    let of = &node.require(0)?.of;
    let mut removed: Vec<bool> = of.shape.iter().map(|length| axes.is_none() && *length == Length::ONE).collect();
    for at in axes.iter().flatten() {
        let at = axis(*at, of.shape.len())?;
        if of.shape[at] != Length::ONE {
            return Err(Error::corrupt("the dimension has not one element").with("axis", at).with("got", of));
        }
        removed[at] = true;
    }
    let kept = of.shape.iter().zip(&removed).filter(|(_, removed)| !**removed);
    Ok(Lowered::Alias(Type::new(of.dtype, kept.map(|(&length, _)| length).collect::<Vec<_>>())))
}

/// With new dimensions of one element.
pub(super) fn unsqueeze(node: &Node<'_>) -> Result<Lowered> {
    let axes = axes(node)?.ok_or_else(|| Error::corrupt("the operator lacks its axes"))?;
    let of = &node.require(0)?.of;
    let rank = of.shape.len() + axes.len();
    let mut new = vec![false; rank];
    for at in axes {
        let at = axis(at, rank)?;
        if std::mem::replace(&mut new[at], true) {
            return Err(Error::corrupt("an axis is there twice").with("axis", at));
        }
    }
    let mut old = of.shape.iter();
    let shape: Vec<Length> =
        new.iter().map(|new| if *new { Length::ONE } else { old.next().copied().unwrap_or(Length::ONE) }).collect();
    Ok(Lowered::Alias(Type::new(of.dtype, shape)))
}

/// Axes are an input from version 13 of the operator set, an attribute before.
fn axes(node: &Node<'_>) -> Result<Option<Vec<i64>>> {
    if node.version() >= 13 {
        node.attributes(&[])?;
        node.at_most(2)?;
        return node.constant_ints(1);
    }
    let attributes = node.attributes(&["axes"])?;
    node.at_most(1)?;
    Ok(if attributes.has("axes") { Some(attributes.ints("axes")?.to_vec()) } else { None })
}

/// The lengths of some dimensions, where none depends on the rows.
pub(super) fn shape(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["end", "start"])?;
    let lengths = part(node.only()?, attributes.int("start")?, attributes.int("end")?);
    Ok(Lowered::Constants(vec![Tensor::vector(whole(lengths)?)]))
}

/// The dimensions from a start to an end, which may be counted from the last one.
pub(super) fn part(of: &Type, start: Option<i64>, end: Option<i64>) -> &[Length] {
    let rank = of.shape.len();
    let bound = |at: i64| {
        let size = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { rank.saturating_sub(size) } else { size.min(rank) }
    };
    of.shape.get(start.map_or(0, bound)..end.map_or(rank, bound)).unwrap_or_default()
}

/// The number of elements, where it does not depend on the rows.
pub(super) fn size(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    Ok(Lowered::Constants(vec![Tensor::new([], whole(&[node.only()?.len()?])?)?]))
}

fn whole(lengths: &[Length]) -> Result<Vec<i64>> {
    let number = |length: &Length| length.known().and_then(|length| i64::try_from(length).ok());
    let numbers: Option<_> = lengths.iter().map(number).collect();
    numbers.ok_or_else(|| Error::internal("a length depends on the rows"))
}

/// The input, and that all of it was kept.
#[derive(Debug)]
struct Masked<T>(PhantomData<fn(T) -> T>);

impl<T: Item> Kernel for Masked<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let mut mask = frame.take_cleared::<bool>(outputs[1]);
        out.extend_from_slice(frame.values(inputs[0]));
        mask.resize(out.len(), true);
        frame.put(outputs[0], out);
        frame.put(outputs[1], mask);
        Ok(())
    }
}
