//! Values set against mean and variance: `BatchNormalization`, `LayerNormalization`.

use super::{
    element::{Float, Wide, for_floats},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use std::marker::PhantomData;

/// By the mean and variance of each channel that training found; the channels are the second dimension.
pub(super) fn batch(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["epsilon", "momentum", "spatial", "training_mode"])?;
    if attributes.flag("training_mode", false)? || !attributes.flag("spatial", true)? || node.outputs().len() > 1 {
        return Err(Error::unsupported("the native runtime does not train"));
    }
    node.at_most(5)?;
    let of = &node.require(0)?.of;
    let channels = *of.shape.get(1).ok_or_else(|| Error::corrupt("the operator takes channels").with("got", of))?;
    for index in 1..5 {
        let vector = &node.require(index)?.of;
        if vector.shape != [channels] || vector.dtype != of.dtype || channels.is_by_rows() {
            return Err(Error::corrupt("one number a channel is needed").with("got", vector));
        }
    }
    let inner = Length::product(&of.shape[2..])?;
    let epsilon = attributes.float("epsilon")?.unwrap_or(1e-5);
    let channels = channels.count();
    for_floats!(of.dtype, T => {
        Lowered::step(Batch::<T> { channels, inner, epsilon: epsilon.into(), of: PhantomData }, [of.clone()])
    })
}

/// By the mean and variance of the dimensions from an axis on.
pub(super) fn layer(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis", "epsilon", "stash_type"])?;
    node.at_most(3)?;
    let of = &node.require(0)?.of;
    let axis = axis(attributes.int("axis")?.unwrap_or(-1), of.shape.len())?;
    let outer = Length::product(&of.shape[..axis])?;
    let inner = Length::product(&of.shape[axis..])?;
    let scale = node.require(1)?;
    for vector in [Some(scale), node.input(2)].into_iter().flatten() {
        if vector.of.shape != of.shape[axis..] || vector.of.dtype != of.dtype {
            return Err(
                Error::unsupported("the native runtime scales only by one number an element").with("got", &vector.of)
            );
        }
    }
    let bias = node.input(2).is_some();
    let epsilon = attributes.float("epsilon")?.unwrap_or(1e-5);
    let mut shape = of.shape.clone();
    shape[axis..].fill(Length::ONE);
    let statistics = || Type::new(of.dtype, shape.clone());
    let outputs = match node.outputs().len() {
        0 | 1 => vec![of.clone()],
        2 => vec![of.clone(), statistics()],
        _ => vec![of.clone(), statistics(), statistics()],
    };
    if of.dtype == DType::Fp64 && attributes.int("stash_type")?.unwrap_or(1) == 1 {
        return Err(Error::unsupported("the native runtime normalizes FP64 only in FP64"));
    }
    let lowered = for_floats!(of.dtype, T => {
        Lowered::step(Layer::<T> { outer, inner, epsilon: epsilon.into(), bias, of: PhantomData }, outputs)
    })?;
    Ok(lowered.mixing_rows(inner.is_by_rows()))
}

/// Sums are in double precision; this is what a value has of it.
fn narrow<T: Float>(value: f64) -> T {
    T::from_wide(Wide::Float(value))
}

#[derive(Debug)]
struct Batch<T> {
    channels: usize,
    inner: Length,
    epsilon: f64,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Float> Kernel for Batch<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|index| frame.values::<T>(inputs[index]));
        let factors: Vec<(T, T)> = (0..self.channels)
            .map(|channel| {
                let factor = scale[channel].to_f64() / (variance[channel].to_f64() + self.epsilon).sqrt();
                (narrow::<T>(factor), narrow::<T>(shift[channel].to_f64() - mean[channel].to_f64() * factor))
            })
            .collect();
        let inner = self.inner.at(frame.rows);
        if inner > 0 {
            let blocks = frame.values::<T>(inputs[0]).chunks_exact(inner);
            for (block, (factor, shift)) in blocks.zip(factors.iter().cycle()) {
                out.extend(block.iter().map(|value| value.mul(*factor).add(*shift)));
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Layer<T> {
    outer: Length,
    inner: Length,
    epsilon: f64,
    bias: bool,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Float> Kernel for Layer<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let mut means = outputs.get(1).map(|&slot| frame.take_cleared::<T>(slot));
        let mut inverses = outputs.get(2).map(|&slot| frame.take_cleared::<T>(slot));
        let (values, scale) = (frame.values::<T>(inputs[0]), frame.values::<T>(inputs[1]));
        let bias = self.bias.then(|| frame.values::<T>(inputs[2]));
        let inner = self.inner.at(frame.rows);
        #[expect(clippy::cast_precision_loss, reason = "there are fewer elements than 2^52")]
        let count = inner as f64;
        for row in 0..self.outer.at(frame.rows) {
            let row = &values[row * inner..(row + 1) * inner];
            let mean = row.iter().map(|value| value.to_f64()).sum::<f64>() / count;
            let variance = row.iter().map(|value| (value.to_f64() - mean).powi(2)).sum::<f64>() / count;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            out.extend(row.iter().enumerate().map(|(at, value)| {
                let shift = bias.map_or(0.0, |bias| bias[at].to_f64());
                narrow::<T>((value.to_f64() - mean) * inverse * scale[at].to_f64() + shift)
            }));
            means.iter_mut().for_each(|means| means.push(narrow::<T>(mean)));
            inverses.iter_mut().for_each(|inverses| inverses.push(narrow::<T>(inverse)));
        }
        frame.put(outputs[0], out);
        for (slot, values) in outputs.iter().skip(1).zip([means, inverses]) {
            frame.put(*slot, values.unwrap_or_default());
        }
        Ok(())
    }
}
