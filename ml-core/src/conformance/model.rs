//! The contract of [`Model`].
//!
//! A check gets a [`Subject`]: the model, and inputs to call it with. [`Subject::new`] makes them up from the signature;
//! [`Subject::with_samples`] takes those of a model that is picky about values.

use crate::{
    ErrorKind, Model, Seed, Signature, Tensor, Tensors,
    bundle::{floats, is_close},
    seed::RandomStream,
    signature::{Dim, TensorSpec},
    tensor::{DType, TensorData},
};
use bytes::Bytes;
use half::{bf16, f16};

/// Rows in the samples that [`Subject::new`] makes up.
const ROWS: usize = 24;

/// A model and inputs that fit its signature.
#[derive(Debug)]
pub struct Subject<M> {
    /// The model.
    pub model: M,
    /// Inputs of several rows.
    pub samples: Tensors,
}

impl<M: Model> Subject<M> {
    /// A model with made-up inputs: numbers with some NaN and infinities, and text.
    pub fn new(model: M) -> Self {
        let samples = random_inputs(model.signature(), ROWS, Seed::new(0));
        Self { model, samples }
    }

    /// A model with inputs of the caller, of at least two rows when the model takes batches.
    pub fn with_samples(model: M, samples: Tensors) -> Self {
        Self { model, samples }
    }
}

/// Makes up inputs that fit a signature; named dimensions other than the first are one long.
///
/// # Panics
/// When a signature asks for more than memory can address.
#[must_use]
pub fn random_inputs(signature: &Signature, rows: usize, seed: Seed) -> Tensors {
    let mut random = seed.stream("conformance.model.inputs");
    let mut inputs = Tensors::new();
    for spec in signature.inputs() {
        let tensor = random_tensor(&shape(spec, rows), spec.dtype, &mut random);
        inputs.insert(spec.name.as_str(), tensor).expect("names of a signature differ");
    }
    inputs
}

/// Clause 1: every way not to fit is refused, and named.
pub async fn wrong_inputs_are_refused<M: Model>(subject: Subject<M>) {
    let Subject { model, samples } = subject;
    let mut wrong = vec![("an unknown name", samples.clone().with("no such tensor", Tensor::vector(vec![1.0_f32])))];
    for (name, tensor) in samples.iter() {
        let without = || {
            let mut rest = samples.clone();
            rest.remove(name);
            rest
        };
        wrong.push(("a missing tensor", Ok(without())));
        let other = if tensor.dtype() == DType::Int8 { DType::Fp64 } else { DType::Int8 };
        let retyped = random_tensor(tensor.shape(), other, &mut Seed::new(1).stream("retyped"));
        wrong.push(("another element type", without().with(name, retyped)));
        let mut shape = tensor.shape().to_vec();
        shape.push(1);
        let reshaped = Tensor::from_data(shape, tensor.data().clone()).expect("as many elements");
        wrong.push(("another shape", without().with(name, reshaped)));
    }
    for (what, inputs) in wrong {
        let error = model.predict(&inputs.expect("names differ")).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error:?}");
    }
}

/// Clause 2: names, element types and shapes of the outputs.
pub async fn outputs_fit_the_signature<M: Model>(subject: Subject<M>) {
    let outputs = subject.model.predict(&subject.samples).expect("the samples fit");
    subject.model.signature().check_outputs(&outputs).expect("the outputs fit");
    if subject.model.signature().is_batched() {
        assert!(
            outputs.iter().all(|(_, tensor)| tensor.rows() == subject.samples.rows()),
            "one output row an input row"
        );
    }
}

/// Clause 3: a row alone, and in another company, gives what it gave.
pub async fn rows_are_independent<M: Model>(subject: Subject<M>) {
    let Subject { model, samples } = subject;
    if !model.signature().is_batched() {
        return;
    }
    let whole = model.predict(&samples).expect("the samples fit");
    for row in 0..samples.rows() {
        let alone = model.predict(&samples.slice_rows(row..row + 1).expect("a row")).expect("the samples fit");
        assert_close(&whole.slice_rows(row..row + 1).expect("a row"), &alone);
    }
    let half = samples.rows() / 2;
    let tail = model.predict(&samples.slice_rows(half..samples.rows()).expect("rows")).expect("the samples fit");
    assert_close(&whole.slice_rows(half..samples.rows()).expect("rows"), &tail);
}

/// Clause 4: the same bits, one call after the other and eight at once.
pub async fn predictions_repeat_across_threads<M: Model>(subject: Subject<M>) {
    let Subject { model, samples } = &subject;
    let first = model.predict(samples).expect("the samples fit");
    let again: Vec<Tensors> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| model.predict(samples).expect("the samples fit"))).collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect()
    });
    for outputs in again {
        assert_eq!(format!("{first:?}"), format!("{outputs:?}"), "NaN is the same as NaN in print");
    }
}

/// Clause 5: nothing in, nothing out, in the right shapes.
pub async fn no_rows_give_no_rows<M: Model>(subject: Subject<M>) {
    if !subject.model.signature().is_batched() {
        return;
    }
    let none = subject.samples.slice_rows(0..0).expect("no rows");
    let outputs = subject.model.predict(&none).expect("no rows are rows");
    subject.model.signature().check_outputs(&outputs).expect("the outputs fit");
    assert!(outputs.iter().all(|(_, tensor)| tensor.rows() == 0));
}

/// Asserts that outputs are the same within [`GOLDEN_TOLERANCE`](crate::bundle::GOLDEN_TOLERANCE).
///
/// # Panics
/// When they are not.
pub fn assert_close(expected: &Tensors, got: &Tensors) {
    assert_eq!(expected.len(), got.len(), "as many outputs");
    for (name, expected) in expected.iter() {
        let got = got.require(name).expect("the output is there");
        assert_eq!(expected.shape(), got.shape(), "shape of {name}");
        match (floats(expected.data()), floats(got.data())) {
            (Some(expected), Some(got)) => {
                for (at, (a, b)) in expected.iter().zip(&got).enumerate() {
                    assert!(is_close(*a, *b), "{name}[{at}]: expected {a}, got {b}");
                }
            }
            _ => assert_eq!(expected, got, "{name}"),
        }
    }
}

fn shape(spec: &TensorSpec, rows: usize) -> Vec<usize> {
    let length = |(axis, dim): (usize, &Dim)| match dim {
        Dim::Fixed(length) => *length,
        Dim::Named(_) if axis == 0 => rows,
        Dim::Named(_) => 1,
    };
    spec.shape.iter().enumerate().map(length).collect()
}

fn random_tensor(shape: &[usize], dtype: DType, random: &mut RandomStream) -> Tensor {
    const WORDS: [&str; 6] = ["AA", "UA", "DL", "", "unseen", "São Paulo"];
    let count = crate::tensor::element_count(shape).expect("a shape that fits memory");
    macro_rules! fill {
        ($make:expr) => {
            (0..count).map(|_| $make).collect()
        };
    }
    let mut small = || u8::try_from(random.below(8)).expect("below 8");
    let data = match dtype {
        DType::Bool => TensorData::Bool(fill!(small() > 3)),
        DType::Uint8 => TensorData::Uint8(fill!(small())),
        DType::Uint16 => TensorData::Uint16(fill!(small().into())),
        DType::Uint32 => TensorData::Uint32(fill!(small().into())),
        DType::Uint64 => TensorData::Uint64(fill!(small().into())),
        DType::Int8 => TensorData::Int8(fill!(4 - i8::try_from(small()).expect("below 8"))),
        DType::Int16 => TensorData::Int16(fill!(4 - i16::from(small()))),
        DType::Int32 => TensorData::Int32(fill!(4 - i32::from(small()))),
        DType::Int64 => TensorData::Int64(fill!(4 - i64::from(small()))),
        DType::Fp16 => TensorData::Fp16(fill!(f16::from_f64(number(random)))),
        DType::Bf16 => TensorData::Bf16(fill!(bf16::from_f64(number(random)))),
        DType::Fp32 => TensorData::Fp32(fill!(f16::from_f64(number(random)).to_f32())),
        DType::Fp64 => TensorData::Fp64(fill!(number(random))),
        DType::Bytes => TensorData::Bytes(fill!(Bytes::from_static(WORDS[random.below(WORDS.len())].as_bytes()))),
    };
    Tensor::from_data(shape, data).expect("as many elements as the shape says")
}

/// Mostly within ten of zero; now and then something that is no ordinary number.
fn number(random: &mut RandomStream) -> f64 {
    match random.below(16) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => 0.0,
        _ => random.next_f64() * 20.0 - 10.0,
    }
}

/// Runs the suite of [`Model`](crate::Model) over a factory of [`Subject`](crate::conformance::model::Subject)s.
#[macro_export]
macro_rules! model_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        $crate::conformance_tests! {
            $crate::conformance::model, $factory, [$($($known),*)?];
            wrong_inputs_are_refused,
            outputs_fit_the_signature,
            rows_are_independent,
            predictions_repeat_across_threads,
            no_rows_give_no_rows,
        }
    };
}
