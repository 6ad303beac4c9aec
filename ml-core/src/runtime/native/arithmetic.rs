//! Numbers of two or more values: `Add`, `Sub`, `Mul`, `Div`, `Pow`, `Mod`, `PRelu`, `Min`, `Max`, `Sum`, `Mean`, shifts and
//! the bitwise operators.

use super::{
    broadcast::Broadcast,
    element::{Number, Scalar, Wide, dispatch, for_numbers, unsupported},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use std::{fmt, marker::PhantomData};

/// An operator with two operands of one type, and a result of that type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    PRelu,
}

pub(super) fn binary(node: &Node<'_>, operation: Operation) -> Result<Lowered> {
    node.attributes(&[])?;
    let (dtype, outputs, walk) = same_types(node)?;
    for_numbers!(dtype, T => {
        match operation {
            Operation::Add => zip(walk, outputs, T::add),
            Operation::Sub => zip(walk, outputs, T::sub),
            Operation::Mul => zip(walk, outputs, T::mul),
            Operation::Div => zip(walk, outputs, T::div),
            Operation::PRelu => {
                zip(walk, outputs, |x: T, slope: T| if x < T::default() { Number::mul(x, slope) } else { x })
            }
        }
    })
}

/// The remainder: with the sign of the divisor, or with that of the dividend as in C.
pub(super) fn modulo(node: &Node<'_>) -> Result<Lowered> {
    let fmod = node.attributes(&["fmod"])?.flag("fmod", false)?;
    let (dtype, outputs, walk) = same_types(node)?;
    for_numbers!(dtype, T => if fmod { zip(walk, outputs, T::remainder) } else { zip(walk, outputs, T::modulo) })
}

/// The base has the type of the result, and the exponent any.
pub(super) fn pow(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(2)?;
    let (base, exponent) = (&node.require(0)?.of, &node.require(1)?.of);
    if matches!(exponent.dtype, DType::Bool | DType::Bytes) {
        return Err(unsupported(exponent.dtype));
    }
    let (shape, walk) = Broadcast::new([base, exponent])?;
    let outputs = Type::new(base.dtype, shape);
    if (base.dtype, exponent.dtype) == (DType::Fp32, DType::Fp32) {
        return Ok(zip(walk, outputs, f32::powf));
    }
    dispatch!(
        base.dtype,
        [Int32: i32, Int64: i64, Fp16: half::f16, Fp32: f32, Fp64: f64, Bf16: half::bf16],
        B => Lowered::step(Power::<B> { walk, of: PhantomData }, [outputs])
    )
}

#[derive(Debug)]
struct Power<B> {
    walk: Broadcast<2>,
    of: PhantomData<fn() -> B>,
}

impl<B: Scalar> Kernel for Power<B> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<B>(outputs[0]);
        let (bases, exponent) = (frame.values::<B>(inputs[0]), frame.reader(inputs[1])?);
        self.walk.for_each(frame.rows, &mut |len, [base_at, exponent_at], [base_goes_on, exponent_goes_on]| {
            let at = |start: usize, goes_on: bool, offset: usize| start + if goes_on { offset } else { 0 };
            out.extend((0..len).map(|offset| {
                let base = bases[at(base_at, base_goes_on, offset)].wide();
                B::from_wide(power(base, exponent(at(exponent_at, exponent_goes_on, offset))))
            }));
        });
        drop(exponent);
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// Whole powers of whole numbers without loss, where they fit.
fn power(base: Wide, exponent: Wide) -> Wide {
    let float = |wide: Wide| match wide {
        Wide::Int(value) => value.to_f64(),
        Wide::Uint(value) => value.to_f64(),
        Wide::Float(value) => value,
    };
    let exact = match (base, exponent) {
        (Wide::Int(base), Wide::Int(exponent)) => u32::try_from(exponent).ok().and_then(|e| base.checked_pow(e)),
        _ => None,
    };
    exact.map_or_else(|| Wide::Float(float(base).powf(float(exponent))), Wide::Int)
}

pub(super) fn bit_shift(node: &Node<'_>) -> Result<Lowered> {
    let left = match node.attributes(&["direction"])?.string("direction")? {
        Some(b"LEFT") => true,
        Some(b"RIGHT") => false,
        _ => return Err(Error::corrupt("a shift is LEFT or RIGHT")),
    };
    let (dtype, outputs, walk) = same_types(node)?;
    dispatch!(dtype, [Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64], T => zip(walk, outputs, move |a: T, b: T| {
        let by = if let Wide::Uint(by) = b.wide() { u32::try_from(by).unwrap_or(u32::MAX) } else { u32::MAX };
        (if left { a.checked_shl(by) } else { a.checked_shr(by) }).unwrap_or(0)
    }))
}

/// An operator on the bits of whole numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bits {
    And,
    Or,
    Xor,
}

pub(super) fn bitwise(node: &Node<'_>, bits: Bits) -> Result<Lowered> {
    node.attributes(&[])?;
    let (dtype, outputs, walk) = same_types(node)?;
    dispatch!(
        dtype,
        [Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64],
        T => match bits {
            Bits::And => zip(walk, outputs, |a: T, b: T| a & b),
            Bits::Or => zip(walk, outputs, |a: T, b: T| a | b),
            Bits::Xor => zip(walk, outputs, |a: T, b: T| a ^ b),
        }
    )
}

/// The element type, the result and the walk of two operands of one type.
pub(super) fn same_types(node: &Node<'_>) -> Result<(DType, Type, Broadcast<2>)> {
    node.at_most(2)?;
    let (a, b) = (&node.require(0)?.of, &node.require(1)?.of);
    if a.dtype != b.dtype {
        return Err(Error::corrupt("the inputs are of two types").with("first", a).with("second", b));
    }
    let (shape, walk) = Broadcast::new([a, b])?;
    Ok((a.dtype, Type::new(a.dtype, shape), walk))
}

/// A step that computes every pair with a function.
pub(super) fn zip<A: Scalar, B: Scalar, O: Scalar>(
    walk: Broadcast<2>,
    output: Type,
    f: impl Fn(A, B) -> O + Send + Sync + 'static,
) -> Lowered {
    Lowered::step(Zip { walk, f, of: PhantomData }, [output])
}

struct Zip<A, B, O, F> {
    walk: Broadcast<2>,
    f: F,
    of: PhantomData<fn(A, B) -> O>,
}

impl<A, B, O, F> fmt::Debug for Zip<A, B, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zip").field("walk", &self.walk).field("f", &std::any::type_name::<F>()).finish()
    }
}

impl<A: Scalar, B: Scalar, O: Scalar, F: Fn(A, B) -> O + Send + Sync> Kernel for Zip<A, B, O, F> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        self.walk.zip(frame.rows, (frame.values(inputs[0]), frame.values(inputs[1])), &mut out, &self.f);
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// An operator with any number of operands of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Min,
    Max,
    Sum,
    Mean,
}

pub(super) fn variadic(node: &Node<'_>, fold: Fold) -> Result<Lowered> {
    node.attributes(&[])?;
    let types = node.types()?;
    let first = *types.first().ok_or_else(|| Error::corrupt("the operator takes at least one input"))?;
    if let Some(other) = types.iter().find(|of| of.dtype != first.dtype) {
        return Err(Error::corrupt("the inputs are of two types").with("first", first).with("second", other));
    }
    let mut common = first.clone();
    for of in &types[1..] {
        common.shape = Broadcast::new([&common, of])?.0;
    }
    let walks = types.iter().map(|of| Broadcast::onto(&common.shape, [of])).collect::<Result<Vec<_>>>()?;
    for_numbers!(first.dtype, T => {
        let f: fn(T, T) -> T = match fold {
            Fold::Min => T::min_nan,
            Fold::Max => T::max_nan,
            Fold::Sum | Fold::Mean => T::add,
        };
        Lowered::step(Variadic { walks, f, mean: fold == Fold::Mean }, [common])
    })
}

#[derive(Debug)]
struct Variadic<T> {
    walks: Vec<Broadcast<1>>,
    f: fn(T, T) -> T,
    mean: bool,
}

impl<T: Number> Kernel for Variadic<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        for (index, (walk, &slot)) in self.walks.iter().zip(inputs).enumerate() {
            let values = frame.values::<T>(slot);
            let mut done = 0;
            walk.for_each(frame.rows, &mut |len, [at], [goes_on]| {
                let value = |offset: usize| values[at + if goes_on { offset } else { 0 }];
                if index == 0 {
                    out.extend((0..len).map(value));
                } else {
                    let run = out[done..done + len].iter_mut().enumerate();
                    run.for_each(|(offset, out)| *out = (self.f)(*out, value(offset)));
                }
                done += len;
            });
        }
        if self.mean {
            let count = T::from_wide(Wide::Uint(inputs.len() as u64));
            out.iter_mut().for_each(|value| *value = value.div(count));
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
