//! Trainers: what turns a [`Dataset`] into a [`Model`] that can be exported.
//!
//! A trainer owns its preprocessing, which is fitted with it and exported in the same graph: the model takes raw columns.

mod cholesky;
mod export;
pub mod linear;
pub mod logistic;
mod moments;
pub(crate) mod rows;

pub use export::bundle;

use crate::{
    CancelToken, Dataset, Error, Model, Result, Seed, Signature, Tensor,
    collective::{Collective, Solo},
    onnx::OnnxModel,
};
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroUsize, sync::Arc};

/// Hears of the steps of a fit as they happen.
pub trait Progress: fmt::Debug + Send + Sync {
    /// A number was measured after a step, counted from 0.
    fn metric(&self, name: &str, step: u64, value: f64);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn metric(&self, _name: &str, _step: u64, _value: f64) {}
}

/// A closure as [`Progress`].
struct OnMetric<F>(F);

impl<F> fmt::Debug for OnMetric<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnMetric")
    }
}

impl<F: Fn(&str, u64, f64) + Send + Sync> Progress for OnMetric<F> {
    fn metric(&self, name: &str, step: u64, value: f64) {
        (self.0)(name, step, value);
    }
}

/// All that surrounds a fit. Made with [`FitContext::default`] and changed with the `with_` methods.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct FitContext {
    /// The root of all random choices.
    pub seed: Seed,
    /// Threads the fit may use; 1 by default.
    pub threads: NonZeroUsize,
    /// Looked at once an iteration.
    pub cancel: CancelToken,
    /// Hears of each iteration.
    pub progress: Arc<dyn Progress>,
    /// The members of the job.
    pub collective: Arc<dyn Collective>,
}

impl Default for FitContext {
    fn default() -> Self {
        Self {
            seed: Seed::default(),
            threads: NonZeroUsize::MIN,
            cancel: CancelToken::new(),
            progress: Arc::new(Silent),
            collective: Arc::new(Solo),
        }
    }
}

impl FitContext {
    /// The same with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// The same with another number of threads.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// The same with another cancel token.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// The same with another listener.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// The same with a closure that hears of each step: the name of the number, the step, and its value.
    ///
    /// ```
    /// use ml_core::trainer::FitContext;
    ///
    /// let context = FitContext::default().on_metric(|name, step, value| println!("step {step}: {name} {value:.4}"));
    /// context.progress.metric("log_loss", 0, 0.6931);
    /// ```
    #[must_use]
    pub fn on_metric(self, hear: impl Fn(&str, u64, f64) + Send + Sync + 'static) -> Self {
        self.with_progress(OnMetric(hear))
    }

    /// The same with other members.
    #[must_use]
    pub fn with_collective(mut self, collective: impl Collective + 'static) -> Self {
        self.collective = Arc::new(collective);
        self
    }
}

/// The state of a model in its trainer's own form, for what ONNX cannot carry: resuming, covers for SHAP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The trainer that wrote it, such as `logistic`.
    pub backend: String,
    /// The version of the form.
    pub version: u32,
    /// The state.
    pub state: serde_json::Value,
}

/// A model fresh from its trainer.
///
/// # Contract
/// The exported graph predicts what the model predicts, within
/// [`GOLDEN_TOLERANCE`](crate::bundle::GOLDEN_TOLERANCE). (check: `export_predicts_the_same`)
pub trait TrainedModel: Model {
    /// Exports the model with its fitted transforms as one ONNX graph.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for what ONNX cannot carry.
    fn to_onnx(&self) -> Result<OnnxModel>;

    /// The native state.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when it cannot be written.
    fn checkpoint(&self) -> Result<Checkpoint>;
}

impl<M: TrainedModel + ?Sized> TrainedModel for Arc<M> {
    fn to_onnx(&self) -> Result<OnnxModel> {
        (**self).to_onnx()
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        (**self).checkpoint()
    }
}

/// A learning algorithm with its hyperparameters.
///
/// # Contract
/// 1. The same seed, data and threads give the same bytes of ONNX. (check: `fits_repeat`)
/// 2. The exported graph predicts what the model predicts, within
///    [`GOLDEN_TOLERANCE`](crate::bundle::GOLDEN_TOLERANCE). (check: `export_predicts_the_same`)
/// 3. A cancelled token ends the fit as [`Cancelled`](crate::ErrorKind::Cancelled). (check: `a_cancelled_fit_stops`)
/// 4. No rows, no label, a label or weight that is null, NaN or infinite, a negative weight, and a total weight of zero
///    are [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column. (check: `bad_data_is_named`)
/// 5. A row of weight 2 counts as the row twice; a row of weight 0 counts not at all. (check: `weights_count_rows`)
/// 6. The model keeps the contract of [`Model`]. (checks: those of [`Model`])
///
/// ```
/// use ml_core::{Dataset, Model, Seed, Table, Trainer, arrow::array::{Float64Array, RecordBatch}, transform};
/// use ml_core::trainer::{FitContext, TrainedModel, linear::{Ridge, RidgeParams}};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([
///     ("miles", Arc::new(Float64Array::from(vec![100.0, 200.0, 300.0])) as _),
///     ("minutes", Arc::new(Float64Array::from(vec![30.0, 45.0, 60.0])) as _),
/// ]).unwrap();
/// let data = Dataset::new(Table::from(batch.clone())).features(["miles"])?.label("minutes")?;
///
/// let context = FitContext::default().with_seed(Seed::new(7));
/// let model = Ridge::new(RidgeParams { l2: 0.0, ..Default::default() })?.fit(&data, &context)?;
///
/// let outputs = model.predict(&transform::inputs(model.signature(), &batch)?)?;
/// assert!((outputs.require("prediction")?.values::<f32>()?[1] - 45.0).abs() < 1e-3);
/// assert!(!model.to_onnx()?.bytes.is_empty());
/// # Ok::<(), ml_core::Error>(())
/// ```
pub trait Trainer: fmt::Debug + Send + Sync {
    /// What a fit gives.
    type Model: TrainedModel;

    /// Fits a model. CPU work: async callers go through [`Compute`](crate::Compute).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for data that cannot be learned from, [`Cancelled`](crate::ErrorKind::Cancelled).
    fn fit(&self, data: &Dataset, context: &FitContext) -> Result<Self::Model>;
}

/// [`Trainer`] as a value, for code that chooses the algorithm at run time. Implemented for every trainer.
pub trait DynTrainer: fmt::Debug + Send + Sync {
    /// Fits a model.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    fn fit_dyn(&self, data: &Dataset, context: &FitContext) -> Result<Arc<dyn TrainedModel>>;
}

impl<T: Trainer> DynTrainer for T {
    fn fit_dyn(&self, data: &Dataset, context: &FitContext) -> Result<Arc<dyn TrainedModel>> {
        Ok(Arc::new(self.fit(data, context)?))
    }
}

impl<T: Trainer + ?Sized> Trainer for Arc<T> {
    type Model = T::Model;

    fn fit(&self, data: &Dataset, context: &FitContext) -> Result<T::Model> {
        (**self).fit(data, context)
    }
}

/// A trainer chosen at run time is a trainer, so that what takes one takes `Arc<dyn DynTrainer>` too.
impl Trainer for dyn DynTrainer {
    type Model = Arc<dyn TrainedModel>;

    fn fit(&self, data: &Dataset, context: &FitContext) -> Result<Arc<dyn TrainedModel>> {
        self.fit_dyn(data, context)
    }
}

/// Coefficients and intercept in the precision that graphs compute in.
#[expect(clippy::cast_possible_truncation, reason = "the graph computes in FP32")]
fn weights_of(coefficients: &[f64], intercept: f64) -> (Vec<f32>, f32) {
    (coefficients.iter().map(|c| *c as f32).collect(), intercept as f32)
}

/// Refuses what [`weights_of`] would make infinite, as a label far beyond single precision does.
fn check_weights(coefficients: &[f64], intercept: f64, label: &str) -> Result<()> {
    let (coefficients, intercept) = weights_of(coefficients, intercept);
    if intercept.is_finite() && coefficients.iter().all(|c| c.is_finite()) {
        return Ok(());
    }
    Err(Error::invalid_input("the coefficients are beyond the range of FP32: scale label, features or weights")
        .with("column", label))
}

/// `matrix · beta + intercept`, row by row and in single precision, as the exported graph computes it.
fn linear_scores(matrix: &Tensor, beta: &[f32], intercept: f32) -> Result<Vec<f32>> {
    let rows = matrix.values::<f32>()?.chunks_exact(beta.len().max(1));
    Ok(rows.map(|row| row.iter().zip(beta).map(|(x, b)| x * b).sum::<f32>() + intercept).collect())
}

/// Refuses a feature that is named as an output: one graph cannot have both.
fn check_names(signature: &Signature) -> Result<()> {
    let taken = |name: &str| signature.outputs().iter().any(|output| output.name == name);
    match signature.inputs().iter().find(|input| taken(&input.name)) {
        Some(input) => Err(Error::invalid_input("a feature has the name of an output of the model: rename it")
            .with("column", &input.name)),
        None => Ok(()),
    }
}
