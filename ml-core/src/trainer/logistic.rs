//! Logistic regression.

use super::{
    Checkpoint, FitContext, TrainedModel, Trainer, cholesky, linear_scores,
    moments::{Design, total},
    rows::{RowReader, Survey},
    weights_of,
};
use crate::{
    Dataset, Error, Model, Result, Signature, Tensor, Tensors,
    model::PROBABILITIES,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    signature::TensorSpec,
    tensor::DType,
    transform::{FittedPreprocess, Preprocess, state},
};
use ndarray::{Array1, Array2, s};
use serde::{Deserialize, Serialize};

/// Hyperparameters of [`Logistic`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogisticParams {
    /// The L2 penalty on the coefficients, zero or more: `1 / C` of scikit-learn.
    pub l2: f64,
    /// The most steps, at least 1. Newton's method rarely needs more than ten.
    pub max_iterations: u32,
    /// The fit ends when no part of the gradient of the mean loss is larger than this; above zero.
    pub tolerance: f64,
}

impl Default for LogisticParams {
    /// An `l2` of 1, 100 steps, and a tolerance of 1e-8.
    fn default() -> Self {
        Self { l2: 1.0, max_iterations: 100, tolerance: 1e-8 }
    }
}

/// Logistic regression of a label of two classes.
///
/// Minimizes `Σ wᵢ ln(1 + exp(-sᵢ zᵢ)) + l2/2 ‖β‖²` with `z = xᵀβ + β₀` and `s` = ±1 by Newton's method (iteratively
/// reweighted least squares; Hastie, Tibshirani and Friedman 2009, section 4.4.1), halving a step that makes the loss
/// larger; the intercept `β₀` is not penalized. `x` is what [`Preprocess`] makes of the features, so the coefficients
/// are those of standardized numbers. Each step is one pass over the rows, which may be more than memory holds. Classes
/// that the features separate keep the coefficients finite only through `l2`.
///
/// The label is boolean, or a number with exactly two whole values; the larger is the positive class. Every pass reports
/// `log_loss`, the mean over the rows without the penalty.
///
/// The model takes the raw columns and gives `label`, `INT64` of shape `(batch,)` with the value of the more likely
/// class, and `probabilities`, `FP32` of shape `(batch, 2)` with the positive class last.
///
/// ```
/// use ml_core::{Dataset, Model, Table, Trainer, arrow::array::{BooleanArray, Float64Array, RecordBatch}};
/// use ml_core::{trainer::{FitContext, logistic::{Logistic, LogisticParams}}, transform};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([
///     ("delay", Arc::new(Float64Array::from(vec![-5.0, 2.0, 20.0, 11.0, 60.0, 45.0])) as _),
///     ("late", Arc::new(BooleanArray::from(vec![false, false, false, true, true, true])) as _),
/// ]).unwrap();
/// let data = Dataset::new(Table::from(batch.clone())).features(["delay"])?.label("late")?;
///
/// let model = Logistic::new(LogisticParams::default())?.fit(&data, &FitContext::default())?;
/// let outputs = model.predict(&transform::inputs(model.signature(), &batch)?)?;
/// assert!(outputs.require("probabilities")?.values::<f32>()?[1] < 0.5, "the first flight is not late");
/// assert_eq!(outputs.require("label")?.values::<i64>()?[4], 1);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Logistic {
    params: LogisticParams,
    preprocess: Preprocess,
}

impl Logistic {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when one is out of its range.
    pub fn new(params: LogisticParams) -> Result<Self> {
        if !(params.l2.is_finite() && params.l2 >= 0.0) {
            return Err(Error::invalid_input("l2 is not a number of zero or more").with("l2", params.l2));
        }
        if params.max_iterations == 0 {
            return Err(Error::invalid_input("at least one step is needed").with("param", "max_iterations"));
        }
        if !(params.tolerance.is_finite() && params.tolerance > 0.0) {
            return Err(
                Error::invalid_input("the tolerance is not a number above zero").with("tolerance", params.tolerance)
            );
        }
        Ok(Self { params, preprocess: Preprocess::default() })
    }

    /// The same with another preprocessing.
    #[must_use]
    pub fn with_preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = preprocess;
        self
    }
}

impl Trainer for Logistic {
    type Model = LogisticModel;

    fn fit(&self, data: &Dataset, context: &FitContext) -> Result<LogisticModel> {
        context.cancel.check()?;
        let reader = RowReader::labelled(data)?;
        let signature = Signature::new(
            reader.inputs().to_vec(),
            vec![TensorSpec::batched(LABEL, DType::Int64, []), TensorSpec::batched(PROBABILITIES, DType::Fp32, [2])],
        )?;
        super::check_names(&signature)?;
        let survey = reader.survey(context)?;
        let classes = classes(&survey)?;
        let preprocess = self.preprocess.fit_rows(&reader, context)?;
        let fit = self.minimize(&reader, &preprocess, classes, context)?;
        super::check_weights(&fit.coefficients, fit.intercept, &survey.label)?;
        Ok(LogisticModel { params: self.params, signature, preprocess, classes, fit })
    }
}

/// What one pass over the rows tells about coefficients.
struct Point {
    /// Coefficients, and the intercept last.
    beta: Array1<f64>,
    /// The sum of losses with the penalty: what is minimized.
    objective: f64,
    /// The mean loss without the penalty.
    log_loss: f64,
    gradient: Array1<f64>,
    hessian: Array2<f64>,
    weight: f64,
}

impl Logistic {
    fn minimize(
        &self,
        reader: &RowReader<'_>,
        preprocess: &FittedPreprocess,
        classes: [i64; 2],
        context: &FitContext,
    ) -> Result<Fit> {
        let p = preprocess.columns().len();
        let mut point = self.look(Array1::zeros(p + 1), reader, preprocess, classes, context)?;
        context.progress.metric("log_loss", 0, point.log_loss);
        let mut iterations = 0;
        let mut converged = self.has_converged(&point);
        while !converged && iterations < self.params.max_iterations {
            context.cancel.check()?;
            let step = cholesky::solve(point.hessian.clone(), point.gradient.clone()).map_err(|at| {
                Error::invalid_input("a feature follows from the others, or separates the classes: raise l2")
                    .with("feature", preprocess.columns().get(at).map_or("intercept", String::as_str))
                    .with("l2", self.params.l2)
            })?;
            let Some(next) = self.descend(&point, &step, reader, preprocess, classes, context)? else {
                // Rounding hides any further progress.
                break;
            };
            point = next;
            iterations += 1;
            context.progress.metric("log_loss", u64::from(iterations), point.log_loss);
            converged = self.has_converged(&point);
        }
        let mut coefficients = point.beta.to_vec();
        let intercept = coefficients.pop().unwrap_or_default();
        Ok(Fit { coefficients, intercept, iterations, converged })
    }

    /// Goes along a step, half as far each time the objective grows.
    fn descend(
        &self,
        from: &Point,
        step: &Array1<f64>,
        reader: &RowReader<'_>,
        preprocess: &FittedPreprocess,
        classes: [i64; 2],
        context: &FitContext,
    ) -> Result<Option<Point>> {
        let mut length = 1.0;
        for _ in 0..MAX_HALVINGS {
            let next = self.look(&from.beta - &(step * length), reader, preprocess, classes, context)?;
            if next.objective <= from.objective + 1e-13 * from.objective.abs() {
                return Ok(Some(next));
            }
            length /= 2.0;
        }
        Ok(None)
    }

    fn has_converged(&self, point: &Point) -> bool {
        point.gradient.iter().all(|part| part.abs() <= self.params.tolerance * point.weight)
    }

    /// Loss, gradient and Hessian at `beta`, in one pass.
    fn look(
        &self,
        beta: Array1<f64>,
        reader: &RowReader<'_>,
        preprocess: &FittedPreprocess,
        classes: [i64; 2],
        context: &FitContext,
    ) -> Result<Point> {
        let p = preprocess.columns().len();
        let width = p + 1;
        let positive = as_label(classes[1]);
        // Rows of sums: the Hessian, then the gradient, then loss and weight.
        let parts = reader.fold(
            context,
            width + 2,
            || Array2::<f64>::zeros((width + 2, width)),
            |sums, rows| {
                let mut design = Design::new(preprocess, &rows, 1)?;
                let mut hessian = Array2::zeros((width, width));
                let mut gradient = Array1::<f64>::zeros(width);
                let (mut loss, mut weights) = (0.0, 0.0);
                for (row, (label, weight)) in design.rows_mut().zip(rows.labels.iter().zip(&rows.weights)) {
                    let z: f64 = row.iter().zip(&beta).map(|(x, b)| x * b).sum();
                    let y = f64::from(u8::from(*label == positive));
                    let probability = sigmoid(z);
                    loss += weight * (softplus(z) - y * z);
                    weights += weight;
                    let slope = weight * (probability - y);
                    gradient.iter_mut().zip(row.iter()).for_each(|(sum, x)| *sum += slope * x);
                    let root = (weight * probability * (1.0 - probability)).sqrt();
                    row.iter_mut().for_each(|x| *x *= root);
                }
                design.add_products(&mut hessian);
                let mut whole = sums.slice_mut(s![..width, ..]);
                whole += &hessian;
                let mut row = sums.row_mut(width);
                row += &gradient;
                sums[[width + 1, 0]] += loss;
                // There is at least one feature, so this is not the place of the loss.
                sums[[width + 1, p]] += weights;
                Ok(())
            },
        )?;
        let sums = total(parts, context)?;
        let mut hessian = sums.slice(s![..width, ..]).to_owned();
        let mut gradient = sums.row(width).to_owned();
        let (loss, weight) = (sums[[width + 1, 0]], sums[[width + 1, p]]);
        let mut penalty = 0.0;
        for at in 0..p {
            hessian[[at, at]] += self.params.l2;
            gradient[at] += self.params.l2 * beta[at];
            penalty += self.params.l2 / 2.0 * beta[at] * beta[at];
        }
        Ok(Point { beta, objective: loss + penalty, log_loss: loss / weight, gradient, hessian, weight })
    }
}

/// The result of the minimization.
#[derive(Debug, Clone, Serialize)]
struct Fit {
    coefficients: Vec<f64>,
    intercept: f64,
    iterations: u32,
    converged: bool,
}

/// What [`Logistic`] fits.
#[derive(Debug, Clone)]
pub struct LogisticModel {
    params: LogisticParams,
    signature: Signature,
    preprocess: FittedPreprocess,
    classes: [i64; 2],
    fit: Fit,
}

impl LogisticModel {
    /// The columns that preprocessing makes of the features.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.preprocess.columns()
    }

    /// The coefficient of each of the [`columns`](LogisticModel::columns), in log-odds of the positive class.
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.fit.coefficients
    }

    /// The log-odds where every column is zero.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.fit.intercept
    }

    /// The two values of the label, the positive class last.
    #[must_use]
    pub fn classes(&self) -> [i64; 2] {
        self.classes
    }

    /// The steps that were taken.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.fit.iterations
    }

    /// Whether the gradient came within the tolerance.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.fit.converged
    }
}

impl Model for LogisticModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.signature.check_inputs(inputs)?;
        let (beta, intercept) = weights_of(&self.fit.coefficients, self.fit.intercept);
        let scores = linear_scores(&self.preprocess.apply(inputs)?, &beta, intercept)?;
        let labels = scores.iter().map(|score| self.classes[usize::from(*score > 0.0)]).collect();
        let probabilities = scores.iter().flat_map(|score| [logistic(-score), logistic(*score)]).collect();
        Tensors::new()
            .with(LABEL, Tensor::vector(labels))?
            .with(PROBABILITIES, Tensor::new([scores.len(), 2], probabilities)?)
    }
}

impl TrainedModel for LogisticModel {
    fn to_onnx(&self) -> Result<OnnxModel> {
        let mut graph = GraphBuilder::new("logistic");
        let matrix = self.preprocess.emit(&mut graph)?;
        let (beta, intercept) = weights_of(&self.fit.coefficients, self.fit.intercept);
        // One row of coefficients a class, mirrored: the sigmoid of each is its probability.
        let coefficients = beta.iter().map(|b| -b).chain(beta.iter().copied());
        let [label, probabilities] = graph.node_of(
            Domain::Ml,
            "LinearClassifier",
            &[matrix],
            vec![
                Attribute::ints("classlabels_ints", self.classes),
                Attribute::floats("coefficients", coefficients),
                Attribute::floats("intercepts", [-intercept, intercept]),
                Attribute::string("post_transform", "LOGISTIC"),
            ],
        );
        for (value, spec) in [label, probabilities].into_iter().zip(self.signature.outputs()) {
            graph.output(value, spec.clone())?;
        }
        graph.finish()
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        #[derive(Serialize)]
        struct Saved<'a> {
            params: LogisticParams,
            preprocess: Checkpoint,
            columns: &'a [String],
            classes: [i64; 2],
            #[serde(flatten)]
            fit: &'a Fit,
        }
        state(
            "logistic",
            &Saved {
                params: self.params,
                preprocess: self.preprocess.checkpoint()?,
                columns: self.columns(),
                classes: self.classes,
                fit: &self.fit,
            },
        )
    }
}

/// The two values of the label.
fn classes(survey: &Survey) -> Result<[i64; 2]> {
    let bad = |message: &'static str| {
        Err(Error::invalid_input(message).with("column", &survey.label).with("values", format!("{:?}", survey.labels)))
    };
    match survey.labels[..] {
        [_] => bad("the label has one class only, so there is nothing to tell apart"),
        [negative, positive] => match (as_class(negative), as_class(positive)) {
            (Some(negative), Some(positive)) => Ok([negative, positive]),
            _ => bad("the label of a classification is not a whole number"),
        },
        _ => bad("the label has more than two classes"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number that a double holds exactly")]
fn as_class(label: f64) -> Option<i64> {
    (label.fract() == 0.0 && label.abs() <= 9_007_199_254_740_992.0).then_some(label as i64)
}

#[expect(clippy::cast_precision_loss, reason = "came from a double")]
fn as_label(class: i64) -> f64 {
    class as f64
}

fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// The sigmoid as runtimes compute it, in single precision.
fn logistic(z: f32) -> f32 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// `ln(1 + eᶻ)` without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

const LABEL: &str = "label";

/// A step this often halved moves less than rounding does.
const MAX_HALVINGS: u32 = 40;
