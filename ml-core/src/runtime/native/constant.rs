//! Values that the graph itself gives: `Constant`, `ConstantOfShape`, `EyeLike`, `Range`.

use super::{
    element::{Scalar, Wide, dispatch, for_scalars},
    extent::Extent,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::Node,
};
use crate::{
    Error, Result, Tensor,
    onnx::tensor,
    tensor::{Element, TensorData},
};

pub(super) fn constant(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&[
        "value",
        "value_float",
        "value_floats",
        "value_int",
        "value_ints",
        "value_string",
        "value_strings",
    ])?;
    node.at_most(0)?;
    let tensor = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(value) = attributes.float("value_float")? {
        Tensor::new([], vec![value])?
    } else if attributes.has("value_floats") {
        Tensor::vector(attributes.floats("value_floats")?.to_vec())
    } else if let Some(value) = attributes.int("value_int")? {
        Tensor::new([], vec![value])?
    } else if attributes.has("value_ints") {
        Tensor::vector(attributes.ints("value_ints")?.to_vec())
    } else if let Some(value) = attributes.string("value_string")? {
        Tensor::new([], vec![bytes::Bytes::copy_from_slice(value)])?
    } else if attributes.has("value_strings") {
        Tensor::vector(attributes.strings("value_strings")?.to_vec())
    } else {
        return Err(Error::corrupt("the operator lacks a value"));
    };
    Ok(Lowered::Constants(vec![tensor]))
}

/// One value as often as a shape says.
pub(super) fn constant_of_shape(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["value"])?;
    node.at_most(1)?;
    let lengths = node.extents(0)?.ok_or_else(|| Error::corrupt("the operator lacks an input"))?;
    let shape = lengths.into_iter().map(Extent::length).collect::<Result<Vec<_>>>()?;
    let value = match attributes.tensor("value")? {
        Some(value) if value.len() == 1 => value,
        Some(_) => return Err(Error::corrupt("the operator takes a single value")),
        None => Tensor::vector(vec![0.0_f32]),
    };
    let of = Type::new(value.dtype(), shape);
    of.check()?;
    let count = of.len()?;
    for_scalars!(value.dtype(), T => {
        let value = value.values::<T>()?.first().copied().unwrap_or_default();
        Lowered::step(Fill { value, count }, [of]).reading(0)
    })
}

/// Ones on a diagonal of a matrix of the shape of the input.
pub(super) fn eye_like(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["dtype", "k"])?;
    let of = node.only()?;
    let to = attributes.int("dtype")?.map(|to| i32::try_from(to).ok().and_then(tensor::dtype));
    let to = to.unwrap_or(Some(of.dtype)).ok_or_else(|| Error::unsupported("there is no such element type"))?;
    let [Some(rows), Some(columns)] = of.shape.iter().map(|length| length.known()).collect::<Vec<_>>()[..] else {
        return Err(Error::unsupported("the native runtime takes only a fixed matrix here").with("got", of));
    };
    of.check()?;
    let diagonal = i128::from(attributes.int("k")?.unwrap_or(0));
    let is_one = |at: usize| (at % columns) as i128 - (at / columns) as i128 == diagonal;
    let data = for_scalars!(to, T => {
        T::wrap((0..rows * columns).map(|at| T::from_wide(Wide::Int(is_one(at).into()))).collect())
    })?;
    Ok(Lowered::Constants(vec![Tensor::from_data([rows, columns], data)?]))
}

/// Numbers from a start to a limit by a step.
pub(super) fn range(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(3)?;
    let dtype = node.require(0)?.of.dtype;
    let data: TensorData = dispatch!(dtype, [Int16: i16, Int32: i32, Int64: i64, Fp32: f32, Fp64: f64], T => {
        let number = |index| -> Result<T> {
            node.constant_scalar::<T>(index)?.ok_or_else(|| Error::corrupt("the operator lacks an input"))
        };
        sequence(number(0)?, number(1)?, number(2)?)?
    })?;
    let shape = [data.len()];
    Ok(Lowered::Constants(vec![Tensor::from_data(shape, data)?]))
}

fn sequence<T: super::element::Number>(start: T, limit: T, step: T) -> Result<TensorData> {
    let count = ((limit.to_f64() - start.to_f64()) / step.to_f64()).ceil().max(0.0);
    if count.is_nan() || count > f64::from(1 << 24) {
        return Err(Error::unsupported("the native runtime takes no value of so many elements").with("count", count));
    }
    let count = u64::from_wide(Wide::Float(count));
    Ok(T::wrap((0..count).map(|at| start.add(step.mul(T::from_wide(Wide::Uint(at))))).collect()))
}

/// One value so many times.
#[derive(Debug)]
struct Fill<T> {
    value: T,
    count: Length,
}

impl<T: Scalar> Kernel for Fill<T> {
    fn run(&self, frame: &mut Frame<'_>, _: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        out.resize(self.count.at(frame.rows), self.value);
        frame.put(outputs[0], out);
        Ok(())
    }
}
