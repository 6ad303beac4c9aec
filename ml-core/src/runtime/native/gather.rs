//! Elements by index: `Gather`, `GatherElements`, `GatherND`, `OneHot`, `Trilu`.

use super::{
    element::{Item, Scalar, Wide, dispatch, for_any, for_scalars, unsupported},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
    view,
};
use crate::{Error, Result, tensor::DType};
use std::marker::PhantomData;

/// Whole slices along an axis.
pub(super) fn gather(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    node.at_most(2)?;
    let (of, indices) = (&node.require(0)?.of, &node.require(1)?.of);
    let axis = axis(attributes.int("axis")?.unwrap_or(0), of.shape.len())?;
    let shape = [&of.shape[..axis], &indices.shape, &of.shape[axis + 1..]].concat();
    let outer = Length::product(&of.shape[..axis])?;
    let inner = Length::product(&of.shape[axis + 1..])?;
    along([outer, of.shape[axis], inner], indices.dtype, Type::new(of.dtype, shape))
}

/// Slices of so many elements, by the indices of the second input.
pub(super) fn along([outer, along, inner]: [Length; 3], indices: DType, output: Type) -> Result<Lowered> {
    dispatch!(indices, [Int32: i32, Int64: i64], I => {
        for_any!(output.dtype, T => {
            Lowered::step(Gather::<T, I> { outer, along, inner, of: PhantomData }, [output])
        })
    })?
}

/// One element for each index, which is along an axis; the other coordinates are those of the index.
pub(super) fn gather_elements(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    node.at_most(2)?;
    let (of, indices) = (&node.require(0)?.of, &node.require(1)?.of);
    let axis = axis(attributes.int("axis")?.unwrap_or(0), of.shape.len())?;
    let fits = of.shape.len() == indices.shape.len()
        && (0..of.shape.len()).all(|at| {
            let (own, index) = (of.shape[at], indices.shape[at]);
            at == axis || own == index || own.known().zip(index.known()).is_some_and(|(own, index)| index <= own)
        });
    if !fits {
        return Err(Error::corrupt("the indices do not fit").with("got", of).with("indices", indices));
    }
    let steps = view::steps(&of.shape)?;
    let dims = indices.shape.iter().copied().zip(steps).collect();
    let output = Type::new(of.dtype, indices.shape.clone());
    let along = of.shape[axis];
    let lowered = dispatch!(indices.dtype, [Int32: i32, Int64: i64], I => {
        for_any!(of.dtype, T => {
            Lowered::step(GatherElements::<T, I> { dims, axis, along, of: PhantomData }, [output])
        })
    })??;
    Ok(lowered.mixing_rows(along.is_by_rows()))
}

/// A slice for each vector of indices.
pub(super) fn gather_nd(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["batch_dims"])?;
    node.at_most(2)?;
    let (of, indices) = (&node.require(0)?.of, &node.require(1)?.of);
    let batch = usize::try_from(attributes.int("batch_dims")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let misfit = || Error::corrupt("the indices do not fit").with("got", of).with("indices", indices);
    let (last, outer) = indices.shape.split_last().ok_or_else(misfit)?;
    let depth = last.known().ok_or_else(misfit)?;
    if batch > outer.len()
        || batch.saturating_add(depth) > of.shape.len()
        || indices.dtype != DType::Int64
        || of.shape[..batch] != outer[..batch]
    {
        return Err(misfit());
    }
    let steps = view::steps(&of.shape)?;
    let coordinates = (batch..batch + depth).map(|at| (of.shape[at], steps[at])).collect();
    let inner = Length::product(&of.shape[batch + depth..])?;
    let kernel_of = |of: &Type| Type::new(of.dtype, [outer, &of.shape[batch + depth..]].concat());
    let batches = Length::product(&of.shape[..batch])?;
    let vectors = Length::product(&outer[batch..])?;
    let whole = Length::product(&of.shape[batch..])?;
    for_any!(of.dtype, T => {
        Lowered::step(GatherNd::<T> { batches, whole, vectors, coordinates, inner, of: PhantomData }, [kernel_of(of)])
    })
}

/// A new dimension of a given depth, with one value where the index says and another elsewhere.
pub(super) fn one_hot(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    node.at_most(3)?;
    let (indices, values) = (&node.require(0)?.of, &node.require(2)?.of);
    let rank = indices.shape.len() + 1;
    let axis = axis(attributes.int("axis")?.unwrap_or(-1), rank)?;
    let depth = node.constant(1)?.map(|depth| {
        for_scalars!(depth.dtype(), D => {
            depth.values::<D>().map(|values| values.first().map(|depth| i64::from_wide(depth.wide())))
        })
    });
    let depth = depth.transpose()?.transpose()?.flatten().and_then(|depth| usize::try_from(depth).ok());
    let depth = depth.ok_or_else(|| Error::corrupt("the operator lacks a depth"))?;
    if values.shape != [Length::fixed(2)] {
        return Err(Error::corrupt("the operator takes two values").with("got", values));
    }
    let mut shape = indices.shape.clone();
    shape.insert(axis, Length::fixed(depth));
    let outer = Length::product(&indices.shape[..axis])?;
    let inner = Length::product(&indices.shape[axis..])?;
    let output = Type::new(values.dtype, shape);
    let at = node.input(1).map_or(1, |_| 2);
    if indices.dtype == DType::Bytes {
        return Err(unsupported(indices.dtype));
    }
    for_any!(values.dtype, T => {
        Lowered::step(OneHot::<T> { outer, depth, inner, values: at, of: PhantomData }, [output])
    })
}

/// The upper or the lower triangle of matrices, with zeros elsewhere.
pub(super) fn trilu(node: &Node<'_>) -> Result<Lowered> {
    let upper = node.attributes(&["upper"])?.flag("upper", true)?;
    node.at_most(2)?;
    let of = &node.require(0)?.of;
    let [.., rows, columns] = of.shape[..] else {
        return Err(Error::corrupt("the operator takes matrices").with("got", of));
    };
    let diagonal = node.constant_scalar::<i64>(1)?.unwrap_or(0);
    let lowered = for_scalars!(of.dtype, T => {
        Lowered::step(Trilu::<T> { rows, columns, upper, diagonal, of: PhantomData }, [of.clone()])
    })?;
    Ok(lowered.reading(1).mixing_rows(rows.is_by_rows() || columns.is_by_rows()))
}

/// An index from the front; a negative one counts from the end.
fn resolve<I: Scalar>(index: I, length: usize) -> Result<usize> {
    let Wide::Int(index) = index.wide() else { return Err(Error::internal("an index is not a whole number")) };
    let from_end = || usize::try_from(index.unsigned_abs()).ok().and_then(|back| length.checked_sub(back));
    let at = if index < 0 { from_end() } else { usize::try_from(index).ok() };
    at.filter(|at| *at < length)
        .ok_or_else(|| Error::invalid_input("an index is out of range").with("index", index).with("length", length))
}

#[derive(Debug)]
struct Gather<T, I> {
    outer: Length,
    along: Length,
    inner: Length,
    of: PhantomData<fn(I) -> T>,
}

impl<T: Item, I: Scalar> Kernel for Gather<T, I> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let (values, indices) = (frame.values::<T>(inputs[0]), frame.values::<I>(inputs[1]));
        let [along, inner] = [self.along, self.inner].map(|length| length.at(frame.rows));
        for outer in 0..self.outer.at(frame.rows) {
            for &index in indices {
                let start = (outer * along + resolve(index, along)?) * inner;
                out.extend_from_slice(&values[start..start + inner]);
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct GatherElements<T, I> {
    /// Of the indices the lengths, of the values the steps.
    dims: Vec<(Length, Length)>,
    axis: usize,
    along: Length,
    of: PhantomData<fn(I) -> T>,
}

impl<T: Item, I: Scalar> Kernel for GatherElements<T, I> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let (values, indices) = (frame.values::<T>(inputs[0]), frame.values::<I>(inputs[1]));
        let along = self.along.at(frame.rows);
        for (number, &index) in indices.iter().enumerate() {
            let (mut rest, mut at) = (number, 0);
            for (axis, (length, step)) in self.dims.iter().enumerate().rev() {
                let length = length.at(frame.rows).max(1);
                let coordinate = if axis == self.axis { resolve(index, along)? } else { rest % length };
                at += coordinate * step.at(frame.rows);
                rest /= length;
            }
            out.push(values[at].clone());
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct GatherNd<T> {
    batches: Length,
    /// Elements of a batch.
    whole: Length,
    /// Vectors of indices of a batch.
    vectors: Length,
    /// Length and step of each dimension that an index is for.
    coordinates: Vec<(Length, Length)>,
    inner: Length,
    of: PhantomData<fn() -> T>,
}

impl<T: Item> Kernel for GatherNd<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let (values, indices) = (frame.values::<T>(inputs[0]), frame.values::<i64>(inputs[1]));
        let [whole, vectors, inner] = [self.whole, self.vectors, self.inner].map(|length| length.at(frame.rows));
        let depth = self.coordinates.len();
        for batch in 0..self.batches.at(frame.rows) {
            for vector in 0..vectors {
                let vector = &indices[(batch * vectors + vector) * depth..][..depth];
                let mut start = batch * whole;
                for (&index, (length, step)) in vector.iter().zip(&self.coordinates) {
                    start += resolve(index, length.at(frame.rows))? * step.at(frame.rows);
                }
                out.extend_from_slice(&values[start..start + inner]);
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct OneHot<T> {
    outer: Length,
    depth: usize,
    inner: Length,
    /// The input with the value elsewhere and the value at the index.
    values: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: Item> Kernel for OneHot<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let index_at = frame.reader(inputs[0])?;
        let [off, on] = frame.values::<T>(inputs[self.values]) else {
            return Err(Error::internal("two values are not two"));
        };
        let inner = self.inner.at(frame.rows);
        for outer in 0..self.outer.at(frame.rows) {
            let start = out.len();
            out.resize(start + self.depth * inner, off.clone());
            for column in 0..inner {
                let index = i64::from_wide(index_at(outer * inner + column));
                // What is out of range has no place, which is no error.
                if let Ok(at) = resolve(index, self.depth) {
                    out[start + at * inner + column] = on.clone();
                }
            }
        }
        drop(index_at);
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Trilu<T> {
    rows: Length,
    columns: Length,
    upper: bool,
    diagonal: i64,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Scalar> Kernel for Trilu<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let [rows, columns] = [self.rows, self.columns].map(|length| length.at(frame.rows).max(1));
        out.extend(frame.values::<T>(inputs[0]).iter().enumerate().map(|(at, &value)| {
            let (row, column) = (i128::from((at / columns % rows) as u64), i128::from((at % columns) as u64));
            let distance = column - row - i128::from(self.diagonal);
            let kept = if self.upper { distance >= 0 } else { distance <= 0 };
            if kept { value } else { T::default() }
        }));
        frame.put(outputs[0], out);
        Ok(())
    }
}
