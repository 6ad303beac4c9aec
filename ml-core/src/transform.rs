//! Transforms that are learned with a model and travel in its graph: what happens between raw columns and numbers to
//! learn from.
//!
//! Raw columns come in two kinds, and a graph takes one tensor of shape `(batch, 1)` for each:
//! - numbers (every Arrow number) as `FP32`, where null is NaN: a missing number;
//! - text (text, booleans as `true` and `false`, dictionaries of text or numbers) as `BYTES`, where null is the empty text. A missing text
//!   and an empty one are the same value, and a category like any other.
//!
//! Infinities are refused. [`inputs`] makes such tensors of a record batch, for training and serving alike.
//!
//! A [`Transform`] sees a block: one tensor of shape `(rows, columns)`. [`Preprocess`] puts the columns of a table into
//! blocks, runs a chain of transforms over each, and joins the results into one matrix:
//!
//! ```
//! use ml_core::{Dataset, Tensor, Tensors, Table, arrow::array::{Float64Array, RecordBatch, StringArray}, trainer::FitContext};
//! use ml_core::transform::{self, Preprocess};
//! use std::sync::Arc;
//!
//! let batch = RecordBatch::try_from_iter([
//!     ("miles", Arc::new(Float64Array::from(vec![Some(100.0), None, Some(300.0)])) as _),
//!     ("carrier", Arc::new(StringArray::from(vec!["AA", "UA", "AA"])) as _),
//! ]).unwrap();
//! let data = Dataset::new(Table::from(batch.clone())).features(["miles", "carrier"])?;
//!
//! let fitted = Preprocess::default().fit(&data, &FitContext::default())?;
//! assert_eq!(fitted.columns(), ["miles", "carrier=AA", "carrier=UA", "carrier (other)"]);
//! let matrix = fitted.apply(&fitted.inputs_of(&batch)?)?;
//! assert_eq!(matrix.values::<f32>()?[4..8], [0.0, 0.0, 1.0, 0.0], "the missing miles became the mean, carrier UA");
//! # Ok::<(), ml_core::Error>(())
//! ```

pub mod encode;
pub mod impute;
mod inputs;
mod preprocess;
pub mod scale;

pub use encode::OneHot;
pub use impute::Impute;
pub use inputs::inputs;
pub(crate) use inputs::{feature_spec, input};
pub use preprocess::{FittedPreprocess, Preprocess};
pub use scale::Standardize;

use crate::{
    Error, Result, Tensor,
    collective::Collective,
    onnx::graph::{GraphBuilder, Value},
    trainer::Checkpoint,
};
use std::{fmt, sync::Arc};

/// Something that can be learned about columns and then be done to them.
///
/// # Contract
/// 1. What a [`FittedTransform`] adds to a graph gives what its `apply` gives. (check: `export_predicts_the_same` of the trainers)
/// 2. A row of weight 2 counts as the row twice. (check: `weights_count_rows` of the trainers)
pub trait Transform: fmt::Debug + Send + Sync + 'static {
    /// Starts to learn about a block with these columns.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it cannot take so many columns.
    fn start(&self, columns: &[String]) -> Result<Box<dyn Fitting>>;
}

impl<T: Transform + ?Sized> Transform for Arc<T> {
    fn start(&self, columns: &[String]) -> Result<Box<dyn Fitting>> {
        (**self).start(columns)
    }
}

/// A transform that sees the rows go by, in one pass or several.
pub trait Fitting: fmt::Debug + Send + 'static {
    /// Looks at some rows: a block of shape `(rows, columns)`, and a weight above zero for each row.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for values that cannot be learned from.
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()>;

    /// Ends a pass, together with all members of the job.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there was nothing to learn from; as [`Collective::all_reduce_sum`].
    fn finish(self: Box<Self>, collective: &dyn Collective) -> Result<Pass>;
}

/// What a pass over the rows ends with.
#[derive(Debug)]
pub enum Pass {
    /// All is learned.
    Done(Arc<dyn FittedTransform>),
    /// The rows have to go by once more.
    Again(Box<dyn Fitting>),
}

/// A transform that has learned what it needs.
pub trait FittedTransform: fmt::Debug + Send + Sync + 'static {
    /// The names of the columns it gives.
    fn columns(&self) -> &[String];

    /// Transforms a block of shape `(rows, columns in)` to one of shape `(rows, columns out)`, row by row.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the block is not of the kind it was fitted on.
    fn apply(&self, block: Tensor) -> Result<Tensor>;

    /// Adds the nodes that do the same to a graph.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for what ONNX cannot carry.
    fn emit(&self, graph: &mut GraphBuilder, block: Value) -> Result<Value>;

    /// What was learned.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when it cannot be written.
    fn checkpoint(&self) -> Result<Checkpoint>;
}

/// Takes the numbers out of a block of `width` columns.
fn numbers(block: Tensor, width: usize) -> Result<Vec<f32>> {
    match block.shape() {
        [_, columns] if *columns == width => block.into_values(),
        shape => Err(Error::invalid_input("a block has another number of columns")
            .with("expected", width)
            .with("got", format!("{shape:?}"))),
    }
}

/// The rows of a block of numbers, beside their weights.
fn weighted_rows<'a>(block: &'a Tensor, weights: &'a [f64]) -> Result<impl Iterator<Item = (&'a [f32], f64)>> {
    let width = block.shape().get(1).copied().unwrap_or(1).max(1);
    Ok(block.values::<f32>()?.chunks_exact(width).zip(weights.iter().copied()))
}

/// What every member of the job has to say, by rank.
fn gather(collective: &dyn Collective, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
    (0..collective.world())
        .map(|root| {
            let mut bytes = if root == collective.rank() { own.clone() } else { Vec::new() };
            collective.broadcast(root, &mut bytes)?;
            Ok(bytes)
        })
        .collect()
}

/// As [`gather`], for values with a JSON form. One member alone keeps its own as it is.
fn gather_json<T: serde::Serialize + serde::de::DeserializeOwned>(
    collective: &dyn Collective,
    own: T,
) -> Result<Vec<T>> {
    if collective.world() == 1 {
        return Ok(vec![own]);
    }
    let bytes = serde_json::to_vec(&own)
        .map_err(|source| Error::internal("statistics could not be written").with_source(source))?;
    gather(collective, bytes)?
        .iter()
        .map(|bytes| {
            serde_json::from_slice(bytes)
                .map_err(|source| Error::corrupt("statistics of a member could not be read").with_source(source))
        })
        .collect()
}

/// The state of a fitted transform as a checkpoint.
pub(crate) fn state(backend: &str, state: &impl serde::Serialize) -> Result<Checkpoint> {
    let state = serde_json::to_value(state).map_err(|source| {
        Error::internal("a fitted state has no JSON form").with("backend", backend).with_source(source)
    })?;
    Ok(Checkpoint { backend: backend.into(), version: 1, state })
}
