//! Shapes as elements: whole numbers that are known at load but for the rows of the call, such as what `Shape` gives.
//!
//! Exporters take them apart and put them together again to say a new shape. What they come to is followed through the
//! operators that they use for that.

use super::{
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result, onnx::tensor, tensor::DType};

/// A whole number that is known, or so many times the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Number(i64),
    Length(Length),
}

impl From<Length> for Extent {
    fn from(length: Length) -> Self {
        match length.known().map(i64::try_from) {
            Some(Ok(number)) => Self::Number(number),
            _ => Self::Length(length),
        }
    }
}

impl Extent {
    /// A length, unless it is negative.
    pub(super) fn length(self) -> Result<Length> {
        match self {
            Self::Number(number) => usize::try_from(number)
                .map(Length::fixed)
                .map_err(|_| Error::corrupt("a dimension is negative").with("length", number)),
            Self::Length(length) => Ok(length),
        }
    }

    fn at(self, rows: usize) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Length(length) => i64::try_from(length.at(rows)).unwrap_or(i64::MAX),
        }
    }
}

/// What a node gives, where that is made of lengths of which some depend on the rows.
pub(super) fn follow(node: &Node<'_>) -> Option<(Vec<Extent>, Vec<Length>)> {
    let (extents, shape) = match (node.domain(), node.op_type()) {
        ("", "Shape") => {
            let extents = shape(node)?;
            let count = extents.len();
            (extents, vec![Length::fixed(count)])
        }
        ("", "Size") => (vec![node.only().ok()?.len().ok()?.into()], vec![]),
        ("", "Identity") => (extents(node, 0)?, node.only().ok()?.shape.clone()),
        ("", "Cast") => {
            let to = node.attributes(&["to", "saturate"]).ok()?.int("to").ok()??;
            if i32::try_from(to).ok().and_then(tensor::dtype) != Some(DType::Int64) {
                return None;
            }
            (extents(node, 0)?, node.only().ok()?.shape.clone())
        }
        // A list of one and its element are the same extent.
        ("", "Squeeze") => (single(node)?, vec![]),
        ("", "Unsqueeze") if node.input(0)?.of.shape.is_empty() => (single(node)?, vec![Length::ONE]),
        ("", "Gather") => {
            let from = extents(node, 0)?;
            let indices = node.constant_ints(1).ok()??;
            let chosen =
                indices.iter().map(|&index| Some(from[axis(index, from.len()).ok()?])).collect::<Option<_>>()?;
            (chosen, node.input(1)?.of.shape.clone())
        }
        ("", "Concat") => {
            let parts = (0..node.input_count()).map(|at| extents(node, at)).collect::<Option<Vec<_>>>()?;
            let all = parts.concat();
            let count = all.len();
            (all, vec![Length::fixed(count)])
        }
        ("", "Slice") => slice(node)?,
        ("", "Mul") => {
            let (&[one], &[other]) = (&extents(node, 0)?[..], &extents(node, 1)?[..]) else { return None };
            let product = one.length().ok()?.times(other.length().ok()?).ok()?;
            (vec![product.into()], node.input(0)?.of.shape.clone())
        }
        _ => return None,
    };
    extents.iter().any(|extent| matches!(extent, Extent::Length(_))).then_some((extents, shape))
}

fn shape(node: &Node<'_>) -> Option<Vec<Extent>> {
    let attributes = node.attributes(&["end", "start"]).ok()?;
    let of = node.only().ok()?;
    let (start, end) = (attributes.int("start").ok()?, attributes.int("end").ok()?);
    Some(super::shape::part(of, start, end).iter().copied().map(Extent::from).collect())
}

/// The elements of an input, if they are whole numbers that are known.
fn extents(node: &Node<'_>, input: usize) -> Option<Vec<Extent>> {
    let operand = node.input(input)?;
    (operand.of.dtype == DType::Int64 && operand.of.shape.len() < 2).then(|| node.extents(input).ok().flatten())?
}

fn single(node: &Node<'_>) -> Option<Vec<Extent>> {
    extents(node, 0).filter(|extents| extents.len() == 1)
}

fn slice(node: &Node<'_>) -> Option<(Vec<Extent>, Vec<Length>)> {
    let from = extents(node, 0)?;
    let bound = |input: usize| match node.constant_ints(input).ok()?.as_deref() {
        Some(&[bound]) => Some(bound),
        _ => None,
    };
    let (start, end) = if node.version() < 10 {
        let attributes = node.attributes(&["axes", "ends", "starts"]).ok()?;
        let (&[start], &[end]) = (attributes.ints("starts").ok()?, attributes.ints("ends").ok()?) else { return None };
        (start, end)
    } else {
        (bound(1)?, bound(2)?)
    };
    if node.input(4).is_some() && bound(4)? != 1 {
        return None;
    }
    let clamp = |at: i64| {
        let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { from.len().saturating_sub(back) } else { back.min(from.len()) }
    };
    let part = from.get(clamp(start)..clamp(end)).unwrap_or_default().to_vec();
    let count = part.len();
    Some((part, vec![Length::fixed(count)]))
}

/// Extents as elements.
pub(super) fn lower(extents: &[Extent], shape: &[Length]) -> Lowered {
    Lowered::step(Extents(extents.to_vec()), [Type::new(DType::Int64, shape)]).reading(0)
}

#[derive(Debug)]
struct Extents(Vec<Extent>);

impl Kernel for Extents {
    fn run(&self, frame: &mut Frame<'_>, _: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<i64>(outputs[0]);
        out.extend(self.0.iter().map(|extent| extent.at(frame.rows)));
        frame.put(outputs[0], out);
        Ok(())
    }
}
