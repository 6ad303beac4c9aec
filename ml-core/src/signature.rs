//! What a model takes and gives: names, element types and shapes with named dimensions.

use crate::{
    Error, Result, Tensors,
    tensor::{DType, Tensor},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One dimension of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// As long as the caller makes it, but the same wherever the name appears in one call.
    Named(String),
}

impl From<usize> for Dim {
    fn from(length: usize) -> Self {
        Self::Fixed(length)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => length.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The name of the batch dimension in everything this family trains.
pub const BATCH: &str = "batch";

/// Name, element type and shape of one tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// The name callers use.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The dimensions, outermost first.
    pub shape: Vec<Dim>,
}

impl TensorSpec {
    /// A tensor whose first dimension is the batch, followed by `inner` dimensions.
    #[must_use]
    pub fn batched(name: impl Into<String>, dtype: DType, inner: impl IntoIterator<Item = usize>) -> Self {
        let shape = std::iter::once(Dim::from(BATCH)).chain(inner.into_iter().map(Dim::Fixed)).collect();
        Self { name: name.into(), dtype, shape }
    }

    /// Whether the first dimension is named, so that rows of several callers can share a call.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        matches!(self.shape.first(), Some(Dim::Named(_)))
    }
}

/// Inputs and outputs of a model.
///
/// ```
/// use ml_core::{Signature, Tensor, Tensors, signature::TensorSpec, tensor::DType};
///
/// let signature = Signature::new(
///     vec![TensorSpec::batched("age", DType::Fp32, [1])],
///     vec![TensorSpec::batched("probabilities", DType::Fp32, [2])],
/// )?;
/// let wrong = Tensors::new().with("age", Tensor::column(vec![31_i64]))?;
/// assert_eq!(
///     signature.check_inputs(&wrong).unwrap_err().to_string(),
///     "a tensor has another element type (tensor: age, expected: FP32, got: INT64)"
/// );
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Signature {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl TryFrom<Unchecked> for Signature {
    type Error = Error;
    fn try_from(unchecked: Unchecked) -> Result<Self> {
        Self::new(unchecked.inputs, unchecked.outputs)
    }
}

impl Signature {
    /// Keeps inputs and outputs.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no output, or two of one side share a name.
    pub fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Result<Self> {
        if outputs.is_empty() {
            return Err(Error::invalid_input("a model without outputs"));
        }
        for side in [&inputs, &outputs] {
            for (i, spec) in side.iter().enumerate() {
                if side[..i].iter().any(|earlier| earlier.name == spec.name) {
                    return Err(
                        Error::invalid_input("two tensors of a signature have one name").with("tensor", &spec.name)
                    );
                }
            }
        }
        Ok(Self { inputs, outputs })
    }

    /// What the model takes.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// What the model gives.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// Whether rows of several callers can share a call: every input and output leads with a named dimension.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).all(TensorSpec::is_batched)
    }

    /// Checks that the tensors are those that the model takes: every name, no other, right types and shapes.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the tensor and the difference.
    pub fn check_inputs(&self, inputs: &Tensors) -> Result<()> {
        check(&self.inputs, inputs)
    }

    /// Checks what a model gave; for runtimes and their tests.
    ///
    /// # Errors
    /// As [`Signature::check_inputs`].
    pub fn check_outputs(&self, outputs: &Tensors) -> Result<()> {
        check(&self.outputs, outputs)
    }
}

fn check(specs: &[TensorSpec], tensors: &Tensors) -> Result<()> {
    if let Some((name, _)) = tensors.iter().find(|(name, _)| specs.iter().all(|spec| spec.name != *name)) {
        return Err(Error::invalid_input("the model has no such tensor")
            .with("tensor", name.escape_debug())
            .with("expected", specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ")));
    }
    let mut bound = Bound::default();
    for spec in specs {
        let tensor = tensors.require(&spec.name)?;
        if tensor.dtype() != spec.dtype {
            return Err(Error::invalid_input("a tensor has another element type")
                .with("tensor", &spec.name)
                .with("expected", spec.dtype)
                .with("got", tensor.dtype()));
        }
        check_shape(spec, tensor, &mut bound)?;
    }
    Ok(())
}

/// The lengths of named dimensions. Few have names, so a list is quicker than a map; most often it is only the batch, which
/// takes no memory.
#[derive(Default)]
struct Bound<'a> {
    first: Option<(&'a str, usize)>,
    others: Vec<(&'a str, usize)>,
}

impl<'a> Bound<'a> {
    /// The length that the name has: this one, unless it had another before.
    fn bind(&mut self, name: &'a str, length: usize) -> usize {
        let (first, of_first) = *self.first.get_or_insert((name, length));
        if first == name {
            return of_first;
        }
        let known = self.others.iter().find(|(known, _)| *known == name);
        known.map(|(_, known)| *known).unwrap_or_else(|| {
            self.others.push((name, length));
            length
        })
    }
}

fn check_shape<'a>(spec: &'a TensorSpec, tensor: &Tensor, bound: &mut Bound<'a>) -> Result<()> {
    let differs = || {
        Error::invalid_input("a tensor has another shape")
            .with("tensor", &spec.name)
            .with(
                "expected",
                format!("[{}]", spec.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            )
            .with("got", format!("{:?}", tensor.shape()))
    };
    if tensor.shape().len() != spec.shape.len() {
        return Err(differs());
    }
    for (dim, &length) in spec.shape.iter().zip(tensor.shape()) {
        match dim {
            Dim::Fixed(fixed) if *fixed != length => return Err(differs()),
            Dim::Fixed(_) => {}
            Dim::Named(name) => {
                let known = bound.bind(name, length);
                if known != length {
                    return Err(differs().with(BATCH, known));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature() -> Signature {
        Signature::new(
            vec![TensorSpec::batched("a", DType::Fp32, [1]), TensorSpec::batched("b", DType::Bytes, [1])],
            vec![TensorSpec::batched("y", DType::Fp32, [])],
        )
        .expect("valid")
    }

    #[test]
    fn wrong_inputs_are_named() {
        let a = || Tensor::column(vec![1.0_f32, 2.0]);
        let text = |n: usize| Tensor::column(vec![bytes::Bytes::from_static(b"x"); n]);
        let cases = [
            (Tensors::new().with("a", a()), "a tensor is missing (tensor: b)"),
            (Tensors::new().with("c", a()), "the model has no such tensor (tensor: c, expected: a, b)"),
            (
                Tensors::new().with("a", a()).and_then(|t| t.with("b", text(3))),
                "a tensor has another shape (tensor: b, expected: [batch, 1], got: [3, 1], batch: 2)",
            ),
            (
                Tensors::new().with("a", Tensor::vector(vec![1.0_f32])),
                "a tensor has another shape (tensor: a, expected: [batch, 1], got: [1])",
            ),
        ];
        for (tensors, message) in cases {
            assert_eq!(
                signature().check_inputs(&tensors.expect("names differ")).expect_err("wrong").to_string(),
                message
            );
        }
        let right = Tensors::new().with("a", a()).and_then(|t| t.with("b", text(2))).expect("names differ");
        signature().check_inputs(&right).expect("right");
    }

    #[test]
    fn json_keeps_the_signature_and_refuses_a_broken_one() {
        let json = serde_json::to_string(&signature()).expect("json");
        assert_eq!(serde_json::from_str::<Signature>(&json).expect("own json"), signature());
        assert!(serde_json::from_str::<Signature>(r#"{"inputs":[],"outputs":[]}"#).is_err());
    }
}
