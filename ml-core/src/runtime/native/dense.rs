//! Products of matrices: `Gemm`, `MatMul`.

mod panels;

use super::{
    broadcast::Broadcast,
    element::{Number, Scalar, Wide, dispatch},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::Node,
};
use crate::{Error, Result, Tensor, tensor::DType};
use panels::Panels;
use std::marker::PhantomData;

/// Multiplications of one product by row. A small file can declare any number.
const MAX_WORK: usize = 1 << 34;

/// `alpha · A · B + beta · C`, where either matrix may be given transposed and `C` is repeated.
pub(super) fn gemm(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["alpha", "beta", "transA", "transB", "broadcast"])?;
    node.at_most(3)?;
    let (a, b) = (&node.require(0)?.of, node.require(1)?);
    let (flip_a, flip_b) = (attributes.flag("transA", false)?, attributes.flag("transB", false)?);
    let alpha = attributes.float("alpha")?.unwrap_or(1.0);
    let beta = attributes.float("beta")?.unwrap_or(1.0);
    let sides = |of: &Type, flip: bool| match of.shape[..] {
        [first, second] if flip => Ok((second, first)),
        [first, second] => Ok((first, second)),
        _ => Err(Error::corrupt("the operator takes matrices").with("got", of)),
    };
    let ((m, k), (b_k, n)) = (sides(a, flip_a)?, sides(&b.of, flip_b)?);
    if k != b_k || a.dtype != b.of.dtype {
        return Err(Error::corrupt("the matrices do not fit").with("first", a).with("second", &b.of));
    }
    let output = Type::new(a.dtype, [m, n]);
    check_work(m, k, n)?;
    if let (Some(weights), Some(columns), Some(outputs), DType::Fp32, false) =
        (b.constant.as_deref(), k.known(), n.known(), a.dtype, flip_a)
        && node.input(2).is_none_or(|c| c.constant.is_some())
    {
        let bias = bias(node.constant(2)?, beta, outputs)?;
        if let Some(bias) = bias {
            let values = weights.values::<f32>()?.iter().map(|weight| alpha * weight);
            let by_output = if flip_b { values.collect() } else { transposed(&values.collect::<Vec<_>>(), outputs) };
            let dense = Dense::new(&by_output, bias, columns)?;
            return Ok(Lowered::step(DenseStep { rows: m, dense }, [output]).reading(1));
        }
    }
    let c = node.input(2).map(|c| Broadcast::onto(&output.shape, [&c.of])).transpose()?;
    if node.input(2).is_some_and(|c| c.of.dtype != a.dtype) {
        return Err(Error::corrupt("the matrices are of two types"));
    }
    dispatch!(
        a.dtype,
        [Fp16: half::f16, Fp32: f32, Fp64: f64, Bf16: half::bf16, Int32: i32, Int64: i64, Uint32: u32, Uint64: u64],
        T => {
            let scale = |factor: f32| T::from_wide(Wide::Float(factor.into()));
            Lowered::step(Gemm { m, k, n, flip_a, flip_b, alpha: scale(alpha), beta: scale(beta), c }, [output])
        }
    )
}

/// One number an output, from a constant that is repeated over the rows; nothing when it differs between rows.
fn bias(c: Option<&Tensor>, beta: f32, outputs: usize) -> Result<Option<Vec<f32>>> {
    let Some(c) = c else { return Ok(Some(vec![0.0; outputs])) };
    let values = c.values::<f32>()?;
    Ok(match (values, c.shape()) {
        ([one], _) => Some(vec![beta * one; outputs]),
        (_, [n] | [1, n]) if *n == outputs => Some(values.iter().map(|value| beta * value).collect()),
        _ => None,
    })
}

/// The product of the last two dimensions, for all others.
pub(super) fn matmul(node: &Node<'_>) -> Result<Lowered> {
    node.attributes(&[])?;
    node.at_most(2)?;
    let (a, b) = (&node.require(0)?.of, node.require(1)?);
    if a.dtype != b.of.dtype {
        return Err(Error::corrupt("the matrices are of two types").with("first", a).with("second", &b.of));
    }
    let product = Product::new(a, &b.of)?;
    let output = Type::new(a.dtype, product.shape.clone());
    if let (Some(weights), Some(columns), Some(outputs), DType::Fp32, [_, _]) =
        (b.constant.as_deref(), product.k.known(), product.n.known(), a.dtype, &b.of.shape[..])
    {
        let dense = Dense::new(&transposed(weights.values()?, outputs), vec![0.0; outputs], columns)?;
        return Ok(Lowered::step(DenseStep { rows: product.m, dense }, [output]).reading(1));
    }
    dispatch!(
        a.dtype,
        [Fp16: half::f16, Fp32: f32, Fp64: f64, Bf16: half::bf16, Int32: i32, Int64: i64, Uint32: u32, Uint64: u64],
        T => Lowered::step(MatMul::<T> { product, of: PhantomData }, [output])
    )
}

/// The lengths of a product of two values of any number of dimensions.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) shape: Vec<Length>,
    pub(super) m: Length,
    pub(super) k: Length,
    pub(super) n: Length,
    batches: Broadcast<2>,
}

impl Product {
    pub(super) fn new(a: &Type, b: &Type) -> Result<Self> {
        let misfit = || Error::corrupt("the matrices do not fit").with("first", a).with("second", b);
        // A vector is a row on the left and a column on the right; its dimension is not in the result.
        let (mut a_outer, b_outer, m, k, b_k, n) = match (&a.shape[..], &b.shape[..]) {
            ([], _) | (_, []) => return Err(misfit()),
            ([k], [b_k]) => (vec![], vec![], None, *k, *b_k, None),
            ([k], [outer @ .., b_k, n]) => (vec![], outer.to_vec(), None, *k, *b_k, Some(*n)),
            ([outer @ .., m, k], [b_k]) => (outer.to_vec(), vec![], Some(*m), *k, *b_k, None),
            ([a_outer @ .., m, k], [b_outer @ .., b_k, n]) => {
                (a_outer.to_vec(), b_outer.to_vec(), Some(*m), *k, *b_k, Some(*n))
            }
        };
        if k != b_k {
            return Err(misfit());
        }
        let mut shape = Broadcast::new([&Type::new(a.dtype, a_outer.clone()), &Type::new(a.dtype, b_outer.clone())])?.0;
        let batches = shape.clone();
        shape.extend(m);
        shape.extend(n);
        let (mut m, n) = (m.unwrap_or(Length::ONE), n.unwrap_or(Length::ONE));
        let mut common = batches;
        // One matrix on the right serves all on the left, which are then as one.
        if b_outer.is_empty() {
            m = Length::product(&a_outer)?.times(m)?;
            a_outer.clear();
            common.clear();
        }
        check_work(Length::product(&common)?.times(m)?, k, n)?;
        let batches = Broadcast::onto(&common, [&Type::new(a.dtype, a_outer), &Type::new(a.dtype, b_outer)])?;
        Ok(Self { shape, m, k, n, batches })
    }

    /// Calls `each` with where the two matrices of every product start, and their sides.
    pub(super) fn for_each(&self, rows: usize, mut each: impl FnMut(usize, usize, [usize; 3])) {
        let [m, k, n] = [self.m, self.k, self.n].map(|length| length.at(rows));
        self.batches.for_each(rows, &mut |len, [a, b], goes_on| {
            for index in 0..len {
                let at = |start: usize, goes_on: bool| start + if goes_on { index } else { 0 };
                each(at(a, goes_on[0]) * m * k, at(b, goes_on[1]) * k * n, [m, k, n]);
            }
        });
    }
}

fn check_work(m: Length, k: Length, n: Length) -> Result<()> {
    let work = m.count().saturating_mul(k.count()).saturating_mul(n.count());
    if work <= MAX_WORK {
        return Ok(());
    }
    Err(Error::unsupported("the native runtime multiplies no matrices so large").with("multiplications", work))
}

/// A matrix with rows and columns exchanged.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values[column.min(values.len())..].iter().step_by(columns).copied()).collect()
}

/// Weights known at load, laid out for products with rows.
#[derive(Debug)]
pub(super) struct Dense {
    weights: Weights,
    bias: Vec<f32>,
    columns: usize,
}

#[derive(Debug)]
enum Weights {
    /// Those of an output together: for few outputs.
    ByOutput(Vec<f32>),
    /// Those of a column together, so that many outputs are summed side by side. They have the bias.
    Panels(Panels),
}

/// Outputs that are summed side by side rather than one after the other.
const MANY: usize = 8;

impl Dense {
    /// Weights by output, then by column, and one bias an output.
    pub(super) fn new(by_output: &[f32], bias: Vec<f32>, columns: usize) -> Result<Self> {
        let outputs = bias.len();
        if outputs.checked_mul(columns) != Some(by_output.len()) {
            return Err(Error::corrupt("the weights do not fit the columns")
                .with("columns", columns)
                .with("outputs", outputs)
                .with("weights", by_output.len()));
        }
        let weights = if outputs >= MANY {
            Weights::Panels(Panels::new(by_output, &bias, columns))
        } else {
            Weights::ByOutput(by_output.to_vec())
        };
        Ok(Self { weights, bias, columns })
    }

    pub(super) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Appends the outputs of every row.
    pub(super) fn extend(&self, rows: usize, values: &[f32], out: &mut Vec<f32>) {
        let weights = match &self.weights {
            Weights::ByOutput(weights) => weights,
            Weights::Panels(panels) => return panels.extend(rows, values, out),
        };
        out.reserve(rows * self.outputs());
        for row in 0..rows {
            let row = &values[row * self.columns..(row + 1) * self.columns];
            for (output, bias) in self.bias.iter().enumerate() {
                out.push(dot(row, &weights[output * self.columns..(output + 1) * self.columns]) + bias);
            }
        }
    }
}

/// Eight sums side by side, so that the compiler can use vector registers; always in the same order.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Rows by constant weights.
#[derive(Debug)]
pub(super) struct DenseStep {
    pub(super) rows: Length,
    pub(super) dense: Dense,
}

impl Kernel for DenseStep {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared(outputs[0]);
        self.dense.extend(self.rows.at(frame.rows), frame.values(inputs[0]), &mut out);
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct Gemm<T> {
    m: Length,
    k: Length,
    n: Length,
    flip_a: bool,
    flip_b: bool,
    alpha: T,
    beta: T,
    c: Option<Broadcast<1>>,
}

impl<T: Number> Kernel for Gemm<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let (a, b) = (frame.values::<T>(inputs[0]), frame.values::<T>(inputs[1]));
        let [m, k, n] = [self.m, self.k, self.n].map(|length| length.at(frame.rows));
        // How far apart the elements of a row and of a column lie.
        let (a_row, a_column) = if self.flip_a { (1, m) } else { (k, 1) };
        let (b_row, b_column) = if self.flip_b { (1, k) } else { (n, 1) };
        for row in 0..m {
            for column in 0..n {
                let sum = (0..k).fold(T::default(), |sum, at| {
                    sum.add(a[row * a_row + at * a_column].mul(b[at * b_row + column * b_column]))
                });
                out.push(self.alpha.mul(sum));
            }
        }
        if let (Some(walk), Some(&slot)) = (&self.c, inputs.get(2)) {
            let c = frame.values::<T>(slot);
            let mut done = 0;
            walk.for_each(frame.rows, &mut |len, [at], [goes_on]| {
                for (offset, out) in out[done..done + len].iter_mut().enumerate() {
                    *out = out.add(self.beta.mul(c[at + if goes_on { offset } else { 0 }]));
                }
                done += len;
            });
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}

#[derive(Debug)]
struct MatMul<T> {
    product: Product,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Number> Kernel for MatMul<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let (a, b) = (frame.values::<T>(inputs[0]), frame.values::<T>(inputs[1]));
        self.product.for_each(frame.rows, |a_at, b_at, [m, k, n]| {
            for row in 0..m {
                let start = out.len();
                out.resize(start + n, T::default());
                for at in 0..k {
                    let value = a[a_at + row * k + at];
                    let weights = &b[b_at + at * n..b_at + (at + 1) * n];
                    out[start..].iter_mut().zip(weights).for_each(|(sum, weight)| *sum = sum.add(value.mul(*weight)));
                }
            }
        });
        frame.put(outputs[0], out);
        Ok(())
    }
}
