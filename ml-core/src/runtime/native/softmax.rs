//! Shares of one along an axis: `Softmax`, `LogSoftmax`, `Hardmax`.

use super::{
    element::for_floats,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, axis},
    node::Node,
};
use crate::{Result, tensor::Element};
use std::{fmt, marker::PhantomData};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shares {
    Soft,
    LogOfSoft,
    Hard,
}

pub(super) fn softmax(node: &Node<'_>, shares: Shares) -> Result<Lowered> {
    let attributes = node.attributes(&["axis"])?;
    let of = node.only()?;
    let rank = of.shape.len();
    // Before version 13 all dimensions from the axis on are one.
    let (from, to) = if node.version() < 13 {
        (attributes.int("axis")?.map_or(Ok(1.min(rank)), |at| axis(at, rank))?, rank)
    } else {
        let from = attributes.int("axis")?.map_or_else(|| axis(-1, rank), |at| axis(at, rank))?;
        (from, from + 1)
    };
    let outer = Length::product(&of.shape[..from])?;
    let along = Length::product(&of.shape[from..to])?;
    let inner = Length::product(&of.shape[to..])?;
    let lowered = for_floats!(of.dtype, T => {
        Lowered::step(Softmax::<T> { shares, outer, along, inner, of: PhantomData }, [of.clone()]).in_place()
    })?;
    Ok(lowered.mixing_rows(along.is_by_rows()))
}

/// Shares of one by the exponential, without overflow.
pub(super) fn shares_of_one(scores: &mut [f32]) {
    f32::soft(scores);
}

/// What softmax is made of, in either precision.
trait Real: Element + Copy + fmt::Debug + PartialOrd {
    fn soft(values: &mut [Self]);
    fn log_of_soft(values: &mut [Self]);
    fn hard(values: &mut [Self]);
}

macro_rules! real {
    ($($type:ident),*) => {$(
        impl Real for $type {
            fn soft(values: &mut [Self]) {
                let greatest = values.iter().copied().fold($type::NEG_INFINITY, $type::max);
                let mut sum = 0.0;
                for value in values.iter_mut() {
                    *value = (*value - greatest).exp();
                    sum += *value;
                }
                values.iter_mut().for_each(|value| *value /= sum);
            }

            fn log_of_soft(values: &mut [Self]) {
                let greatest = values.iter().copied().fold($type::NEG_INFINITY, $type::max);
                let log_sum = values.iter().map(|value| (value - greatest).exp()).sum::<$type>().ln();
                values.iter_mut().for_each(|value| *value = *value - greatest - log_sum);
            }

            fn hard(values: &mut [Self]) {
                let mut best = 0;
                for (at, value) in values.iter().enumerate() {
                    if *value > values[best] {
                        best = at;
                    }
                }
                values.iter_mut().enumerate().for_each(|(at, value)| *value = if at == best { 1.0 } else { 0.0 });
            }
        }
    )*};
}

real!(f32, f64);

/// Half precision is computed in single precision, and rounded once.
macro_rules! half {
    ($($type:ident),*) => {$(
        impl Real for half::$type {
            fn soft(values: &mut [Self]) {
                let (greatest, sum) = exponentials(values.iter().map(|value| value.to_f32()));
                values.iter_mut().for_each(|value| *value = Self::from_f32((value.to_f32() - greatest).exp() / sum));
            }

            fn log_of_soft(values: &mut [Self]) {
                let (greatest, sum) = exponentials(values.iter().map(|value| value.to_f32()));
                let log_sum = sum.ln();
                values.iter_mut().for_each(|value| *value = Self::from_f32(value.to_f32() - greatest - log_sum));
            }

            fn hard(values: &mut [Self]) {
                let mut best = 0;
                for (at, value) in values.iter().enumerate() {
                    if *value > values[best] {
                        best = at;
                    }
                }
                values.iter_mut().enumerate().for_each(|(at, value)| {
                    *value = if at == best { Self::ONE } else { Self::ZERO };
                });
            }
        }
    )*};
}

half!(f16, bf16);

/// The greatest, and the sum of the exponentials of what is left when it is taken off.
fn exponentials(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let greatest = values.clone().fold(f32::NEG_INFINITY, f32::max);
    (greatest, values.map(|value| (value - greatest).exp()).sum())
}

#[derive(Debug)]
struct Softmax<T> {
    shares: Shares,
    outer: Length,
    along: Length,
    inner: Length,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Real> Kernel for Softmax<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut values = frame.take::<T>(outputs[0]);
        if inputs[0] != outputs[0] {
            values.clear();
            values.extend_from_slice(frame.values(inputs[0]));
        }
        let share = match self.shares {
            Shares::Soft => T::soft,
            Shares::LogOfSoft => T::log_of_soft,
            Shares::Hard => T::hard,
        };
        let (along, inner) = (self.along.at(frame.rows), self.inner.at(frame.rows));
        if inner == 1 {
            values.chunks_exact_mut(along.max(1)).for_each(share);
        } else if along > 0 && inner > 0 {
            let mut lane = Vec::with_capacity(along);
            for block in values.chunks_exact_mut(along * inner).take(self.outer.at(frame.rows)) {
                for column in 0..inner {
                    lane.clear();
                    lane.extend(block[column..].iter().step_by(inner).copied());
                    share(&mut lane);
                    block[column..].iter_mut().step_by(inner).zip(&lane).for_each(|(value, share)| *value = *share);
                }
            }
        }
        frame.put(outputs[0], values);
        Ok(())
    }
}
