//! From one element type to another: `Cast`, `CastLike`.

use super::{
    element::{Scalar, for_scalars},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::Type,
    node::Node,
};
use crate::{Error, Result, onnx::tensor, tensor::DType};
use bytes::Bytes;
use std::marker::PhantomData;

/// To the type that an attribute names.
pub(super) fn cast(node: &Node<'_>) -> Result<Lowered> {
    // How numbers of eight bits with a fraction saturate; the family has none.
    let attributes = node.attributes(&["to", "saturate", "round_mode"])?;
    let to = attributes.int("to")?.and_then(|to| i32::try_from(to).ok()).and_then(tensor::dtype);
    let to = to.ok_or_else(|| Error::unsupported("the native runtime does not cast to this type"))?;
    lower(node.only()?, to)
}

/// To the type of the second input.
pub(super) fn cast_like(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&["saturate", "round_mode"])?;
    node.at_most(2)?;
    Ok(lower(&node.require(0)?.of, node.require(1)?.of.dtype)?.reading(1))
}

/// To a type given.
pub(super) fn lower(of: &Type, to: DType) -> Result<Lowered> {
    if to == of.dtype {
        return Ok(Lowered::Alias(of.clone()));
    }
    let outputs = [Type::new(to, of.shape.clone())];
    let kernel: Box<dyn Kernel> = match (of.dtype, to) {
        (DType::Bytes, to) => for_scalars!(to, T => Box::new(Parse::<T>(PhantomData)) as Box<dyn Kernel>)?,
        (from, DType::Bytes) => for_scalars!(from, T => Box::new(Print::<T>(PhantomData)) as Box<dyn Kernel>)?,
        (from, to) => for_scalars!(from, S => {
            for_scalars!(to, T => Box::new(Cast::<S, T>(PhantomData)) as Box<dyn Kernel>)
        })??,
    };
    Ok(Lowered::boxed(kernel, outputs))
}

#[derive(Debug)]
struct Cast<S, T>(PhantomData<fn(S) -> T>);

impl<S: Scalar, T: Scalar> Kernel for Cast<S, T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        out.extend(frame.values::<S>(inputs[0]).iter().map(|value| T::from_wide(value.wide())));
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Parse<T>(PhantomData<fn() -> T>);

impl<T: Scalar> Kernel for Parse<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        for (at, text) in frame.values::<Bytes>(inputs[0]).iter().enumerate() {
            out.push(parse(text).ok_or_else(|| {
                Error::invalid_input("text is no number").with("element", at).with("text", text.escape_ascii())
            })?);
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// A whole number without loss, else any number that Rust reads, `NaN` and `INF` among them.
fn parse<T: Scalar>(text: &[u8]) -> Option<T> {
    use super::element::Wide;
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let wide = if let Ok(value) = text.parse::<i64>() {
        Wide::Int(value)
    } else if let Ok(value) = text.parse::<u64>() {
        Wide::Uint(value)
    } else {
        Wide::Float(text.parse::<f64>().ok()?)
    };
    Some(T::from_wide(wide))
}

#[derive(Debug)]
struct Print<T>(PhantomData<fn(T)>);

impl<T: Scalar> Kernel for Print<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<Bytes>(outputs[0]);
        out.extend(frame.values::<T>(inputs[0]).iter().map(|value| Bytes::from(print(*value))));
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// As the specification prints: the fewest digits that read back as the same number.
fn print<T: Scalar>(value: T) -> String {
    let text = format!("{value:?}");
    match text.as_str() {
        "inf" => "INF".into(),
        "-inf" => "-INF".into(),
        "true" => "1".into(),
        "false" => "0".into(),
        _ => text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned),
    }
}
