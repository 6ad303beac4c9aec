//! Something that predicts.

use crate::{Error, Result, Signature, Tensors};
use std::{fmt, sync::Arc};

/// A fitted or loaded model: tensors in, tensors out.
///
/// # Contract
/// 1. Inputs that do not fit the signature are [`InvalidInput`](crate::ErrorKind::InvalidInput), never a panic. (check: `wrong_inputs_are_refused`)
/// 2. Outputs fit the signature. (check: `outputs_fit_the_signature`)
/// 3. The rows of a batch do not influence each other. (check: `rows_are_independent`)
/// 4. The same inputs give the same outputs, from any number of threads at once. (check: `predictions_repeat_across_threads`)
/// 5. A batch of no rows gives outputs of no rows. (check: `no_rows_give_no_rows`)
///
/// ```
/// use ml_core::{Model, Result, Signature, Tensor, Tensors, signature::TensorSpec, tensor::DType};
///
/// #[derive(Debug)]
/// struct Double(Signature);
///
/// impl Model for Double {
///     fn signature(&self) -> &Signature {
///         &self.0
///     }
///     fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
///         self.0.check_inputs(inputs)?;
///         let x = inputs.require("x")?.values::<f32>()?;
///         Tensors::new().with("y", Tensor::vector(x.iter().map(|x| 2.0 * x).collect()))
///     }
/// }
///
/// let signature = Signature::new(vec![TensorSpec::batched("x", DType::Fp32, [])], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let outputs = Double(signature).predict(&Tensors::new().with("x", Tensor::vector(vec![21.0_f32]))?)?;
/// assert_eq!(outputs.require("y")?.values::<f32>()?, [42.0]);
/// # Ok::<(), ml_core::Error>(())
/// ```
pub trait Model: fmt::Debug + Send + Sync + 'static {
    /// What the model takes and gives.
    fn signature(&self) -> &Signature;

    /// Predicts for every row of the batch. CPU work: async callers go through [`Compute`](crate::Compute).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the inputs do not fit the signature.
    fn predict(&self, inputs: &Tensors) -> Result<Tensors>;
}

impl<M: Model + ?Sized> Model for Arc<M> {
    fn signature(&self) -> &Signature {
        (**self).signature()
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        (**self).predict(inputs)
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    fn signature(&self) -> &Signature {
        (**self).signature()
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        (**self).predict(inputs)
    }
}

/// The output of classifiers with the probability of each class: `FP32` of shape `(rows, classes)`.
pub const PROBABILITIES: &str = "probabilities";

/// Takes the probability of the positive class, the last one, out of the outputs of a classifier: one number a row.
///
/// ```
/// use ml_core::{Tensor, Tensors, model};
///
/// let outputs = Tensors::new().with("probabilities", Tensor::new([2, 2], vec![0.75_f32, 0.25, 0.5, 0.5])?)?;
/// assert_eq!(model::positive_probabilities(&outputs)?, [0.25, 0.5]);
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there are no such probabilities among the outputs.
pub fn positive_probabilities(outputs: &Tensors) -> Result<Vec<f64>> {
    let probabilities = outputs.require(PROBABILITIES)?;
    let &[_, classes @ 1..=usize::MAX] = probabilities.shape() else {
        return Err(Error::invalid_input("the probabilities are not of rows and classes")
            .with("shape", format!("{:?}", probabilities.shape())));
    };
    Ok(probabilities.values::<f32>()?.chunks_exact(classes).map(|row| f64::from(row[classes - 1])).collect())
}
