//! Many elements to one: `ReduceSum`, `ReduceMean`, `ReduceMax` and their like.

use super::{
    element::{Number, Scalar, Wide, dispatch},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, MAX_RANK, Type, axis},
    node::Node,
};
use crate::{Result, tensor::DType};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    L1,
    L2,
    LogSum,
    LogSumExp,
    Max,
    Mean,
    Min,
    Prod,
    Sum,
    SumSquare,
}

/// Axes are an input from version 13 of the operator set for sums and from 18 for the others, an attribute before.
pub(super) fn reduce(node: &Node<'_>, reduction: Reduction) -> Result<Lowered> {
    let by_input = node.version() >= if reduction == Reduction::Sum { 13 } else { 18 };
    let (axes, keep, none_is_all) = if by_input {
        let attributes = node.attributes(&["keepdims", "noop_with_empty_axes"])?;
        node.at_most(2)?;
        let none_is_all = !attributes.flag("noop_with_empty_axes", false)?;
        (node.constant_ints(1)?.unwrap_or_default(), attributes.flag("keepdims", true)?, none_is_all)
    } else {
        let attributes = node.attributes(&["axes", "keepdims"])?;
        node.at_most(1)?;
        (attributes.ints("axes")?.to_vec(), attributes.flag("keepdims", true)?, true)
    };
    let of = &node.require(0)?.of;
    let rank = of.shape.len();
    let mut reduced = vec![axes.is_empty() && none_is_all; rank];
    for at in axes {
        reduced[axis(at, rank)?] = true;
    }
    if of.dtype == DType::Bool {
        return truth(of, reduction, &reduced, keep);
    }
    dispatch!(
        of.dtype,
        [Uint8: u8, Int8: i8, Uint32: u32, Uint64: u64, Int32: i32, Int64: i64, Fp32: f32, Fp64: f64],
        T => {
            let walk = Walk::new(of, &reduced)?;
            Lowered::step(Reduce::<T> { walk, formula: Formula::of(reduction) }, [result(of, &reduced, keep)])
        }
    )
}

/// Truth values have a least and a greatest.
fn truth(of: &Type, reduction: Reduction, reduced: &[bool], keep: bool) -> Result<Lowered> {
    let any = match reduction {
        Reduction::Max => true,
        Reduction::Min => false,
        _ => return Err(super::element::unsupported(of.dtype)),
    };
    Ok(Lowered::step(Truth { walk: Walk::new(of, reduced)?, any }, [result(of, reduced, keep)]))
}

fn result(of: &Type, reduced: &[bool], keep: bool) -> Type {
    let dims = of.shape.iter().zip(reduced);
    let shape: Vec<Length> = if keep {
        dims.map(|(&length, &reduced)| if reduced { Length::ONE } else { length }).collect()
    } else {
        dims.filter(|(_, reduced)| !**reduced).map(|(&length, _)| length).collect()
    };
    Type::new(of.dtype, shape)
}

/// Which elements are reduced to one: steps over what is kept, and over what is not.
#[derive(Debug)]
pub(super) struct Walk {
    kept: Vec<(Length, Length)>,
    reduced: Vec<(Length, Length)>,
}

impl Walk {
    /// Neighbors of one sort are one dimension.
    pub(super) fn new(of: &Type, reduced: &[bool]) -> Result<Self> {
        let mut walk = Self { kept: Vec::new(), reduced: Vec::new() };
        let mut step = Length::ONE;
        let mut last = None;
        for (&length, &is_reduced) in of.shape.iter().zip(reduced).rev() {
            if length == Length::ONE {
                continue;
            }
            let dims = if is_reduced { &mut walk.reduced } else { &mut walk.kept };
            match dims.last_mut() {
                Some((inner, _)) if last == Some(is_reduced) => *inner = inner.times(length)?,
                _ => dims.push((length, step)),
            }
            last = Some(is_reduced);
            step = step.times(length)?;
        }
        // Outermost first, as elements of the result follow each other.
        walk.kept.reverse();
        walk.reduced.reverse();
        Ok(walk)
    }

    /// Calls `each` with the offset of every element of the result.
    pub(super) fn for_each_kept(&self, rows: usize, each: impl FnMut(usize)) {
        offsets(&self.kept, rows, 0, each);
    }

    /// Calls `each` with every offset that is reduced into the element at this one.
    pub(super) fn for_each_reduced(&self, rows: usize, from: usize, each: impl FnMut(usize)) {
        offsets(&self.reduced, rows, from, each);
    }

    /// How many elements become one.
    pub(super) fn count(&self, rows: usize) -> usize {
        self.reduced.iter().map(|(length, _)| length.at(rows)).product()
    }
}

/// Walks over some dimensions in order.
fn offsets(dims: &[(Length, Length)], rows: usize, from: usize, mut each: impl FnMut(usize)) {
    let mut resolved = [(0, 0); MAX_RANK];
    for (resolved, (length, step)) in resolved.iter_mut().zip(dims) {
        *resolved = (length.at(rows), step.at(rows));
    }
    let resolved = &resolved[..dims.len()];
    if resolved.iter().any(|(length, _)| *length == 0) {
        return;
    }
    let Some((&(length, step), outer)) = resolved.split_last() else { return each(from) };
    let mut at = [0; MAX_RANK];
    let mut start = from;
    'runs: loop {
        (0..length).for_each(|index| each(start + index * step));
        for axis in (0..outer.len()).rev() {
            at[axis] += 1;
            start += outer[axis].1;
            if at[axis] < outer[axis].0 {
                continue 'runs;
            }
            start -= outer[axis].0 * outer[axis].1;
            at[axis] = 0;
        }
        return;
    }
}

type Step<T, U> = fn(T, U) -> T;

/// How elements become one: what comes before the first, what another one adds, and what is made of the end.
#[derive(Debug)]
struct Formula<T> {
    start: T,
    fold: Step<T, T>,
    finish: Step<T, usize>,
    /// Whether the greatest is taken off before, and added after: exponentials of it would not fit.
    from_greatest: bool,
}

impl<T: Number> Formula<T> {
    fn of(reduction: Reduction) -> Self {
        let zero = T::default();
        let same: Step<T, usize> = |value, _| value;
        let (start, fold, finish): (T, Step<T, T>, Step<T, usize>) = match reduction {
            Reduction::L1 => (zero, |sum, value| sum.add(value.absolute()), same),
            Reduction::L2 => (zero, |sum, value| sum.add(value.mul(value)), |sum, _| through(sum, f64::sqrt)),
            Reduction::LogSum => (zero, T::add, |sum, _| through(sum, f64::ln)),
            Reduction::LogSumExp => {
                (zero, |sum, value| sum.add(through(value, f64::exp)), |sum, _| through(sum, f64::ln))
            }
            Reduction::Max => (T::LOWEST, T::max_nan, same),
            Reduction::Mean => (zero, T::add, |sum, count| sum.div(T::from_wide(Wide::Uint(count as u64)))),
            Reduction::Min => (T::HIGHEST, T::min_nan, same),
            Reduction::Prod => (T::ONE, T::mul, same),
            Reduction::Sum => (zero, T::add, same),
            Reduction::SumSquare => (zero, |sum, value| sum.add(value.mul(value)), same),
        };
        Self { start, fold, finish, from_greatest: reduction == Reduction::LogSumExp }
    }
}

/// A function of double precision on any number.
fn through<T: Scalar>(value: T, f: fn(f64) -> f64) -> T {
    T::from_wide(Wide::Float(f(value.to_f64())))
}

#[derive(Debug)]
struct Reduce<T> {
    walk: Walk,
    formula: Formula<T>,
}

impl<T: Number> Kernel for Reduce<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let values = frame.values::<T>(inputs[0]);
        let Formula { start, fold, finish, from_greatest } = self.formula;
        let count = self.walk.count(frame.rows);
        self.walk.for_each_kept(frame.rows, |from| {
            let mut sum = start;
            if from_greatest {
                let mut greatest = T::LOWEST;
                self.walk.for_each_reduced(frame.rows, from, |at| greatest = greatest.max_nan(values[at]));
                // Infinities of one sign have no difference.
                let base = if greatest == T::LOWEST || greatest == T::HIGHEST { T::default() } else { greatest };
                self.walk.for_each_reduced(frame.rows, from, |at| sum = fold(sum, values[at].sub(base)));
                out.push(finish(sum, count).add(base));
            } else {
                self.walk.for_each_reduced(frame.rows, from, |at| sum = fold(sum, values[at]));
                out.push(finish(sum, count));
            }
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Truth {
    walk: Walk,
    any: bool,
}

impl Kernel for Truth {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<bool>(outputs[0]);
        let values = frame.values::<bool>(inputs[0]);
        self.walk.for_each_kept(frame.rows, |from| {
            let mut met = !self.any;
            self.walk.for_each_reduced(frame.rows, from, |at| {
                met = if self.any { met || values[at] } else { met && values[at] };
            });
            out.push(met);
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}
