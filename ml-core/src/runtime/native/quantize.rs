//! Numbers of eight bits: `QuantizeLinear`, `DequantizeLinear`, `DynamicQuantizeLinear`, `MatMulInteger`.

use super::{
    dense::Product,
    element::{Number, Scalar, Wide, dispatch, for_floats},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type, axis},
    node::Node,
};
use crate::{Error, Result, onnx::tensor, tensor::DType};
use std::marker::PhantomData;

/// How scales and zero points are repeated over a value.
#[derive(Debug, Clone, Copy)]
enum Scales {
    One,
    /// One a place along an axis, inside which so many elements lie.
    ByPlace {
        length: usize,
        inner: Length,
    },
    /// One for so many neighbors along an axis.
    ByBlock {
        length: usize,
        inner: Length,
        block: usize,
    },
}

impl Scales {
    fn new(of: &Type, scale: &Type, zero: Option<&Type>, at: i64, block: i64) -> Result<Self> {
        let misfit = || Error::corrupt("the scales do not fit").with("got", of).with("scales", scale);
        if zero.is_some_and(|zero| zero.shape != scale.shape) {
            return Err(misfit());
        }
        let block = usize::try_from(block).map_err(|_| misfit())?;
        if block == 0 && scale.len()?.known() == Some(1) && scale.shape.len() < 2 {
            return Ok(Self::One);
        }
        let at = axis(at, of.shape.len())?;
        let inner = Length::product(&of.shape[at + 1..])?;
        let length = of.shape[at];
        let length = length.known().ok_or_else(|| Error::unsupported("the native runtime takes no scale a row"))?;
        if block == 0 {
            let fits = scale.shape == [Length::fixed(length)];
            return if fits { Ok(Self::ByPlace { length, inner }) } else { Err(misfit()) };
        }
        let mut blocks = of.shape.clone();
        blocks[at] = Length::fixed(length.div_ceil(block));
        if scale.shape == blocks { Ok(Self::ByBlock { length, inner, block }) } else { Err(misfit()) }
    }

    /// The number of the scale of an element.
    fn of(self, element: usize, rows: usize) -> usize {
        match self {
            Self::One => 0,
            Self::ByPlace { length, inner } => element / inner.at(rows) % length,
            Self::ByBlock { length, inner, block } => {
                let inner = inner.at(rows);
                let (outer, place) = (element / inner / length, element / inner % length);
                (outer * length.div_ceil(block) + place / block) * inner + element % inner
            }
        }
    }
}

/// The nearest whole number of scales, ties to the even one, within the range of the result.
pub(super) fn quantize(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis", "block_size", "output_dtype", "precision", "saturate"])?;
    node.at_most(3)?;
    let (of, scale, zero) = (&node.require(0)?.of, &node.require(1)?.of, node.input(2));
    let named = attributes.int("output_dtype")?.filter(|to| *to != 0);
    let named = named.map(|to| i32::try_from(to).ok().and_then(tensor::dtype));
    let to = match (zero, named) {
        (Some(zero), _) => zero.of.dtype,
        (None, Some(to)) => to.ok_or_else(|| Error::unsupported("there is no such element type"))?,
        (None, None) => DType::Uint8,
    };
    let (at, block) = (attributes.int("axis")?.unwrap_or(1), attributes.int("block_size")?.unwrap_or(0));
    let scales = Scales::new(of, scale, zero.map(|zero| &zero.of), at, block)?;
    if scale.dtype != of.dtype {
        return Err(Error::corrupt("the scales are of another type").with("got", scale));
    }
    let (output, has_zero) = (Type::new(to, of.shape.clone()), zero.is_some());
    for_floats!(of.dtype, F => {
        dispatch!(to, [Uint8: u8, Int8: i8, Uint16: u16, Int16: i16], Q => {
            Lowered::step(Quantize::<F, Q> { scales, has_zero, of: PhantomData }, [output])
        })
    })?
}

/// The distance from the zero point times the scale.
pub(super) fn dequantize(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["axis", "block_size", "output_dtype"])?;
    node.at_most(3)?;
    let (of, scale, zero) = (&node.require(0)?.of, &node.require(1)?.of, node.input(2));
    let (at, block) = (attributes.int("axis")?.unwrap_or(1), attributes.int("block_size")?.unwrap_or(0));
    let scales = Scales::new(of, scale, zero.map(|zero| &zero.of), at, block)?;
    if zero.is_some_and(|zero| zero.of.dtype != of.dtype) {
        return Err(Error::corrupt("the zero points are of another type"));
    }
    let (output, has_zero) = (Type::new(scale.dtype, of.shape.clone()), zero.is_some());
    dispatch!(of.dtype, [Uint8: u8, Int8: i8, Uint16: u16, Int16: i16, Int32: i32], Q => {
        for_floats!(scale.dtype, F => {
            Lowered::step(Dequantize::<Q, F> { scales, has_zero, of: PhantomData }, [output])
        })
    })?
}

/// Bytes over the range of the values, with their scale and zero point.
pub(super) fn dynamic(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    if of.dtype != DType::Fp32 {
        return Err(super::element::unsupported(of.dtype));
    }
    let outputs =
        [Type::new(DType::Uint8, of.shape.clone()), Type::fixed(DType::Fp32, &[]), Type::fixed(DType::Uint8, &[])];
    Ok(Lowered::step(Dynamic, outputs).mixing_rows(of.len()?.is_by_rows()))
}

/// A product of bytes in whole numbers.
pub(super) fn matmul_integer(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(4)?;
    let (a, b) = (&node.require(0)?.of, &node.require(1)?.of);
    let product = Product::new(a, b)?;
    let (a_zero, b_zero) = (node.input(2), node.input(3));
    for (zero, of) in [(a_zero, a), (b_zero, b)] {
        if zero.is_some_and(|zero| zero.of.dtype != of.dtype) {
            return Err(Error::corrupt("the zero points are of another type"));
        }
    }
    if a_zero.is_some_and(|zero| zero.of.len().ok().and_then(Length::known) != Some(1)) {
        return Err(Error::unsupported("the native runtime takes one zero point on the left"));
    }
    // One for all columns, or one a column.
    let b_zeros = b_zero.map_or(Ok(0), |zero| match (zero.of.len()?.known(), product.n.known()) {
        (Some(1), _) => Ok(1),
        (Some(zeros), Some(n)) if zeros == n && zero.of.shape.len() == 1 => Ok(zeros),
        _ => Err(Error::unsupported("the native runtime takes one zero point a column")),
    })?;
    let output = Type::new(DType::Int32, product.shape.clone());
    dispatch!(a.dtype, [Uint8: u8, Int8: i8], A => {
        dispatch!(b.dtype, [Uint8: u8, Int8: i8], B => {
            Lowered::step(MatMulInteger::<A, B> { product, a_zero: a_zero.is_some(), b_zeros, of: PhantomData }, [output])
        })
    })?
}

#[derive(Debug)]
struct Quantize<F, Q> {
    scales: Scales,
    has_zero: bool,
    of: PhantomData<fn(F) -> Q>,
}

impl<F: Scalar, Q: Number> Kernel for Quantize<F, Q> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<Q>(outputs[0]);
        let scales = frame.values::<F>(inputs[1]);
        let zeros = self.has_zero.then(|| frame.values::<Q>(inputs[2]));
        out.extend(frame.values::<F>(inputs[0]).iter().enumerate().map(|(at, value)| {
            let scale = self.scales.of(at, frame.rows);
            let zero = zeros.map_or(0.0, |zeros| zeros[scale].to_f64());
            saturate::<Q>(single(value.to_f64() / scales[scale].to_f64()).round_ties_even() + zero)
        }));
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// Rounded to single precision, in which ONNX Runtime divides.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is wanted")]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// The nearest number of the range.
fn saturate<Q: Number>(value: f64) -> Q {
    // NaN is none; ONNX Runtime gives the least.
    let value = if value.is_nan() { f64::NEG_INFINITY } else { value };
    Q::from_wide(Wide::Float(value.clamp(Q::LOWEST.to_f64(), Q::HIGHEST.to_f64())))
}

#[derive(Debug)]
struct Dequantize<Q, F> {
    scales: Scales,
    has_zero: bool,
    of: PhantomData<fn(Q) -> F>,
}

impl<Q: Scalar, F: Scalar> Kernel for Dequantize<Q, F> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<F>(outputs[0]);
        let scales = frame.values::<F>(inputs[1]);
        let zeros = self.has_zero.then(|| frame.values::<Q>(inputs[2]));
        out.extend(frame.values::<Q>(inputs[0]).iter().enumerate().map(|(at, value)| {
            let scale = self.scales.of(at, frame.rows);
            let zero = zeros.map_or(0.0, |zeros| zeros[scale].to_f64());
            F::from_wide(Wide::Float((value.to_f64() - zero) * scales[scale].to_f64()))
        }));
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Dynamic;

impl Kernel for Dynamic {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<u8>(outputs[0]);
        let mut scales = frame.take_cleared::<f32>(outputs[1]);
        let mut zeros = frame.take_cleared::<u8>(outputs[2]);
        let values = frame.values::<f32>(inputs[0]);
        // Zero is always within the range, so that it is met exactly.
        let least = values.iter().copied().fold(0.0_f32, f32::min);
        let greatest = values.iter().copied().fold(0.0_f32, f32::max);
        let scale = if greatest > least { (greatest - least) / 255.0 } else { 1.0 };
        let zero: u8 = saturate(f64::from((-least / scale).round_ties_even()));
        out.extend(
            values
                .iter()
                .map(|value| -> u8 { saturate(f64::from((value / scale).round_ties_even()) + f64::from(zero)) }),
        );
        scales.push(scale);
        zeros.push(zero);
        frame.put(outputs[0], out);
        frame.put(outputs[1], scales);
        frame.put(outputs[2], zeros);
        Ok(())
    }
}

#[derive(Debug)]
struct MatMulInteger<A, B> {
    product: Product,
    a_zero: bool,
    b_zeros: usize,
    of: PhantomData<fn(A, B)>,
}

impl<A: Scalar + Into<i32>, B: Scalar + Into<i32>> Kernel for MatMulInteger<A, B> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<i32>(outputs[0]);
        let (a, b) = (frame.values::<A>(inputs[0]), frame.values::<B>(inputs[1]));
        let a_zero: i32 = if self.a_zero { frame.values::<A>(inputs[2])[0].into() } else { 0 };
        let b_zeros = inputs.get(2 + usize::from(self.a_zero)).filter(|_| self.b_zeros > 0);
        let b_zeros = b_zeros.map_or(&[][..], |&slot| frame.values::<B>(slot));
        self.product.for_each(frame.rows, |a_at, b_at, [m, k, n]| {
            for row in 0..m {
                let start = out.len();
                out.resize(start + n, 0);
                for at in 0..k {
                    let value: i32 = a[a_at + row * k + at].into() - a_zero;
                    let weights = &b[b_at + at * n..b_at + (at + 1) * n];
                    for (column, (sum, &weight)) in out[start..].iter_mut().zip(weights).enumerate() {
                        let zero: i32 = match b_zeros {
                            [] => 0,
                            [one] => (*one).into(),
                            _ => b_zeros[column].into(),
                        };
                        *sum = sum.wrapping_add(value * (weight.into() - zero));
                    }
                }
            }
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}
