//! Functions of one number: `Abs`, `Exp`, `Log`, `Sin`, `Erf`, `Round`, `IsNaN`, `Not` and their like.

mod error_function;

use super::{
    element::{Float, Number, Scalar, dispatch, for_floats, for_numbers},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::Node,
};
use crate::{Error, Result, tensor::DType};
pub(super) use error_function::{erf, erf_f32};
use std::{fmt, marker::PhantomData};

#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    Erf,
    Exp,
    Floor,
    Log,
    Neg,
    Reciprocal,
    Round,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Tan,
    Tanh,
}

pub(super) fn function(node: &Node<'_>, function: Function) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    macro_rules! pair {
        ($method:ident) => {
            both(of, f32::$method, f64::$method)
        };
    }
    match function {
        Function::Abs => for_numbers!(of.dtype, T => map(of, T::absolute)),
        Function::Neg => for_numbers!(of.dtype, T => map(of, T::negative)),
        Function::Sign => for_numbers!(of.dtype, T => map(of, T::sign)),
        Function::Acos => pair!(acos),
        Function::Acosh => pair!(acosh),
        Function::Asin => pair!(asin),
        Function::Asinh => pair!(asinh),
        Function::Atan => pair!(atan),
        Function::Atanh => pair!(atanh),
        Function::Ceil => pair!(ceil),
        Function::Cos => pair!(cos),
        Function::Cosh => pair!(cosh),
        Function::Erf => both(of, erf_f32, erf),
        Function::Exp => pair!(exp),
        Function::Floor => pair!(floor),
        Function::Log => pair!(ln),
        Function::Reciprocal => pair!(recip),
        Function::Round => pair!(round_ties_even),
        Function::Sin => pair!(sin),
        Function::Sinh => pair!(sinh),
        Function::Sqrt => pair!(sqrt),
        Function::Tan => pair!(tan),
        Function::Tanh => pair!(tanh),
    }
}

pub(super) fn not(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    if of.dtype != DType::Bool {
        return Err(Error::corrupt("the operator takes truth values").with("got", of));
    }
    Ok(map(of, |value: bool| !value))
}

pub(super) fn bitwise_not(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    dispatch!(
        of.dtype,
        [Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64],
        T => map(of, |value: T| !value)
    )
}

pub(super) fn is_nan(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    for_floats!(of.dtype, T => test(of, T::is_nan))
}

pub(super) fn is_inf(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["detect_negative", "detect_positive"])?;
    let (negative, positive) = (attributes.flag("detect_negative", true)?, attributes.flag("detect_positive", true)?);
    let of = node.only()?;
    for_floats!(of.dtype, T => test(of, move |value: T| {
        (positive && value == T::HIGHEST) || (negative && value == T::LOWEST)
    }))
}

/// A step that changes every number with a fraction by a function.
pub(super) fn both(
    of: &Type,
    single: impl Fn(f32) -> f32 + Send + Sync + Copy + 'static,
    double: impl Fn(f64) -> f64 + Send + Sync + Copy + 'static,
) -> Result<Lowered> {
    for_floats!(of.dtype, T => map(of, move |value: T| value.map(single, double)))
}

/// A step that changes every element by a function, where it is.
pub(super) fn map<T: Scalar>(of: &Type, f: impl Fn(T) -> T + Send + Sync + 'static) -> Lowered {
    Lowered::step(Map { f, of: PhantomData }, [of.clone()]).in_place()
}

/// A step that says something of every element.
fn test<T: Scalar>(of: &Type, f: impl Fn(T) -> bool + Send + Sync + 'static) -> Lowered {
    Lowered::step(Test { f, of: PhantomData }, [Type::new(DType::Bool, of.shape.clone())])
}

struct Map<T, F> {
    f: F,
    of: PhantomData<fn(T) -> T>,
}

impl<T, F> fmt::Debug for Map<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Map").field(&std::any::type_name::<F>()).finish()
    }
}

impl<T: Scalar, F: Fn(T) -> T + Send + Sync> Kernel for Map<T, F> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut values = frame.take::<T>(outputs[0]);
        if inputs[0] == outputs[0] {
            values.iter_mut().for_each(|value| *value = (self.f)(*value));
        } else {
            values.clear();
            values.extend(frame.values(inputs[0]).iter().map(|&value| (self.f)(value)));
        }
        frame.put(outputs[0], values);
        Ok(())
    }
}

struct Test<T, F> {
    f: F,
    of: PhantomData<fn(T)>,
}

impl<T, F> fmt::Debug for Test<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Test").field(&std::any::type_name::<F>()).finish()
    }
}

impl<T: Scalar, F: Fn(T) -> bool + Send + Sync> Kernel for Test<T, F> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        out.extend(frame.values(inputs[0]).iter().map(|&value| (self.f)(value)));
        frame.put(outputs[0], out);
        Ok(())
    }
}
