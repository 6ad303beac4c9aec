//! Measuring a changed model beside the original.

use super::{
    AccuracyGate, Labels, Latency, Measure, Score,
    predictions::Predictions,
    rows::{self, first_rows},
};
use crate::{
    Dataset, Error, InferenceRuntime, Model, Result, Signature, Tensors,
    dataset::Role,
    onnx::OnnxModel,
    runtime::{LoadOptions, LoadReport},
    signature::Dim,
    tensor::DType,
};
use arrow::array::Array;
use std::{sync::Arc, time::Instant};

/// Rows that are predicted at once, where the model leaves it open.
const BATCH_ROWS: usize = 256;

/// The data and the runtime that models are measured with.
///
/// Outputs are compared with those of the original model on the same rows, and with labels where the host has them.
/// Latency is the median time of a call; the calls of both models take turns, so that what slows the machine slows both.
///
/// ```
/// use ml_core::{
///     Tensor, Tensors,
///     optimize::{AccuracyGate, Evaluation, Labels, Measure},
///     runtime::native::NativeRuntime,
/// };
/// use std::sync::Arc;
///
/// let rows = Tensors::new().with("x", Tensor::column(vec![1.0_f32, 2.0]))?;
/// let evaluation = Evaluation::new(Arc::new(NativeRuntime), rows)?
///     .with_labels(Labels::Numbers(vec![1.5, 2.5]))?
///     .with_gate(AccuracyGate::new(Measure::Rmse, 0.01)?)?;
/// // A gate on what cannot be measured is refused here and not after the work.
/// assert!(evaluation.with_gate(AccuracyGate::new(Measure::Accuracy, 0.01)?).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Evaluation {
    runtime: Arc<dyn InferenceRuntime>,
    options: LoadOptions,
    rows: Tensors,
    labels: Option<Labels>,
    gate: Option<AccuracyGate>,
    latency_rows: Vec<usize>,
    calls: usize,
}

impl Evaluation {
    /// Measures on these rows: the inputs of the model for all of them.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there are no rows.
    pub fn new(runtime: Arc<dyn InferenceRuntime>, rows: Tensors) -> Result<Self> {
        if rows.rows() == 0 {
            return Err(Error::invalid_input("no rows to measure on"));
        }
        Ok(Self {
            runtime,
            options: LoadOptions::default(),
            rows,
            labels: None,
            gate: None,
            latency_rows: vec![1, 64],
            calls: 101,
        })
    }

    /// Measures on the first rows of a data set, at most `limit` of them, and against its label where it has one.
    ///
    /// The label is taken for classes when the model gives classes or several scores, and for numbers otherwise. How
    /// columns become inputs is said at [`inputs`](super::inputs).
    ///
    /// # Errors
    /// As [`inputs`](super::inputs), [`Labels::classes`] and [`Labels::numbers`].
    pub fn from_dataset(
        runtime: Arc<dyn InferenceRuntime>,
        model: &OnnxModel,
        data: &Dataset,
        limit: usize,
    ) -> Result<Self> {
        let evaluation = Self::new(runtime, rows::inputs(&model.signature, data, limit)?)?;
        let Ok(label) = data.the(Role::Label) else { return Ok(evaluation) };
        let column = first_rows(data, limit)?.column(&label)?;
        let column: &dyn Array = column.as_ref();
        let labels = if is_classifier(&model.signature) { Labels::classes(column) } else { Labels::numbers(column) };
        evaluation.with_labels(labels.map_err(|error| error.with("column", label.escape_debug()))?)
    }

    /// Measures against labels as well, one a row.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another number of labels than rows.
    pub fn with_labels(mut self, labels: Labels) -> Result<Self> {
        if labels.len() != self.rows.rows() {
            return Err(Error::invalid_input("labels and rows have two lengths")
                .with("rows", self.rows.rows())
                .with("labels", labels.len()));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// Refuses models that lose more than a gate allows. Labels come before the gate that needs them.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the gate's measure needs labels of a kind that is not there.
    pub fn with_gate(mut self, gate: AccuracyGate) -> Result<Self> {
        let measurable = match gate.measure() {
            Measure::Accuracy | Measure::RocAuc => matches!(self.labels, Some(Labels::Classes(_))),
            Measure::Rmse | Measure::Mae | Measure::R2 => matches!(self.labels, Some(Labels::Numbers(_))),
            Measure::Agreement | Measure::Cosine | Measure::MaxDifference => true,
        };
        if !measurable {
            return Err(Error::invalid_input("the gate needs labels of another kind than there are")
                .with("measure", gate.measure()));
        }
        self.gate = Some(gate);
        Ok(self)
    }

    /// Loads models with other options.
    #[must_use]
    pub fn with_options(mut self, options: LoadOptions) -> Self {
        self.options = options;
        self
    }

    /// Times that many calls with each of these numbers of rows; 101 calls with 1 and with 64 rows by default. No numbers
    /// of rows, or no calls, time nothing.
    #[must_use]
    pub fn with_latency(mut self, rows: impl IntoIterator<Item = usize>, calls: usize) -> Self {
        self.latency_rows = rows.into_iter().collect();
        self.calls = calls;
        self
    }

    /// The gate, if there is one.
    #[must_use]
    pub fn gate(&self) -> Option<&AccuracyGate> {
        self.gate.as_ref()
    }

    /// Measures the original.
    pub(super) fn baseline(&self, model: &OnnxModel) -> Result<Baseline<'_>> {
        let loaded = self.runtime.load(model, &self.options)?;
        let predictions = self.predict(loaded.model.as_ref())?;
        let baseline = Baseline { evaluation: self, model: loaded.model, report: loaded.report, predictions };
        if let Some(gate) = self.gate
            && baseline.value(gate.measure(), &baseline.predictions)?.is_none()
        {
            return Err(Error::invalid_input("the outputs of the model cannot be measured as the gate asks")
                .with("measure", gate.measure()));
        }
        Ok(baseline)
    }

    fn predict(&self, model: &dyn Model) -> Result<Predictions> {
        let rows = self.rows.rows();
        let batch = fixed_rows(model.signature()).unwrap_or(BATCH_ROWS.min(rows));
        if batch == 0 || !rows.is_multiple_of(batch) && fixed_rows(model.signature()).is_some() {
            return Err(Error::invalid_input(
                "the model takes a fixed number of rows, of which the data are no multiple",
            )
            .with("rows", rows)
            .with("expected", batch));
        }
        let mut predictions = Predictions::default();
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + batch);
            let outputs = model.predict(&self.rows.slice_rows(start..end)?)?;
            predictions.push(end - start, &outputs)?;
            start = end;
        }
        Ok(predictions)
    }
}

/// The original, loaded and measured.
#[derive(Debug)]
pub(super) struct Baseline<'a> {
    evaluation: &'a Evaluation,
    model: Arc<dyn Model>,
    report: LoadReport,
    predictions: Predictions,
}

/// How a changed model compares.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) latencies: Vec<Latency>,
    pub(super) scores: Vec<Score>,
}

impl Baseline<'_> {
    /// What runs the models, and on how many rows.
    pub(super) fn conditions(&self) -> (String, usize) {
        (self.report.to_string(), self.evaluation.rows.rows())
    }

    pub(super) fn measure(&self, model: &OnnxModel) -> Result<Measured> {
        let loaded = self.evaluation.runtime.load(model, &self.evaluation.options)?;
        let predictions = self.evaluation.predict(loaded.model.as_ref())?;
        let mut scores = Vec::new();
        for measure in Measure::ALL {
            let before = self.value(measure, &self.predictions)?;
            let after = self.value(measure, &predictions)?;
            // What was a number and is none any more, since scores became NaN, is NaN and lost all.
            if let Some(before) = before {
                scores.push(Score { measure, before, after: after.unwrap_or(f64::NAN) });
            }
        }
        Ok(Measured { latencies: self.latencies(loaded.model.as_ref())?, scores })
    }

    fn value(&self, measure: Measure, predictions: &Predictions) -> Result<Option<f64>> {
        measure.of(predictions, &self.predictions, self.evaluation.labels.as_ref())
    }

    fn latencies(&self, model: &dyn Model) -> Result<Vec<Latency>> {
        let evaluation = self.evaluation;
        let fixed = fixed_rows(self.model.signature());
        let mut sizes: Vec<usize> =
            evaluation.latency_rows.iter().map(|&rows| fixed.unwrap_or(rows).min(evaluation.rows.rows())).collect();
        sizes.dedup();
        let mut latencies = Vec::new();
        for rows in sizes.into_iter().filter(|&rows| rows > 0 && evaluation.calls > 0) {
            let inputs = evaluation.rows.slice_rows(0..rows)?;
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for call in 0..evaluation.calls.saturating_add(WARM_UP) {
                for (model, times) in [(self.model.as_ref(), &mut before), (model, &mut after)] {
                    let start = Instant::now();
                    model.predict(&inputs)?;
                    if call >= WARM_UP {
                        times.push(start.elapsed().as_secs_f64() * 1e6);
                    }
                }
            }
            latencies.push(Latency { rows, before_micros: median(&mut before), after_micros: median(&mut after) });
        }
        Ok(latencies)
    }
}

/// Calls that are not counted.
const WARM_UP: usize = 5;

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The rows that a model takes at once, where it says so.
fn fixed_rows(signature: &Signature) -> Option<usize> {
    match signature.inputs().first()?.shape.first()? {
        Dim::Fixed(rows) => Some(*rows),
        Dim::Named(_) => None,
    }
}

/// Whether a model gives classes, or a score for each of several.
fn is_classifier(signature: &Signature) -> bool {
    signature.outputs().iter().any(|output| match output.dtype {
        DType::Fp16 | DType::Bf16 | DType::Fp32 | DType::Fp64 => {
            matches!(output.shape[..], [_, Dim::Fixed(2..)])
        }
        _ => matches!(output.shape[..], [_] | [_, Dim::Fixed(1)]),
    })
}
