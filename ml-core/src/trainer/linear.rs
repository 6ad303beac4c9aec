//! Linear regression.

use super::{
    Checkpoint, FitContext, TrainedModel, Trainer, cholesky,
    moments::{Design, total},
    rows::RowReader,
    weights_of,
};
use crate::{
    Dataset, Error, Model, Result, Signature, Tensor, Tensors,
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

/// Hyperparameters of [`Ridge`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeParams {
    /// The L2 penalty on the coefficients, zero or more: scikit-learn's `alpha`.
    pub l2: f64,
}

impl Default for RidgeParams {
    /// An `l2` of 1.
    fn default() -> Self {
        Self { l2: 1.0 }
    }
}

/// Ridge regression (Hoerl and Kennard 1970): linear least squares with a penalty on large coefficients.
///
/// Minimizes `Σ wᵢ (yᵢ - xᵢᵀβ - β₀)² + l2 ‖β‖²` in closed form, from the normal equations; the intercept `β₀` is not
/// penalized. `x` is what [`Preprocess`] makes of the features, so the coefficients are those of standardized numbers.
/// Data may be larger than memory: preprocessing takes two passes by default, and the fit one more.
///
/// The model takes the raw columns and gives `prediction`, `FP32` of shape `(batch, 1)`.
///
/// ```
/// use ml_core::{Dataset, Model, Table, Trainer, arrow::array::{Float64Array, RecordBatch}};
/// use ml_core::{trainer::{FitContext, linear::{Ridge, RidgeParams}}, transform};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([
///     ("miles", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0])) as _),
///     ("fare", Arc::new(Float64Array::from(vec![5.0, 7.0, 9.0, 11.0])) as _),
/// ]).unwrap();
/// let data = Dataset::new(Table::from(batch.clone())).features(["miles"])?.label("fare")?;
///
/// let model = Ridge::new(RidgeParams { l2: 0.0 })?.fit(&data, &FitContext::default())?;
/// let fares = model.predict(&transform::inputs(model.signature(), &batch)?)?;
/// assert!((fares.require("prediction")?.values::<f32>()?[3] - 11.0).abs() < 1e-5);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ridge {
    params: RidgeParams,
    preprocess: Preprocess,
}

impl Ridge {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when `l2` is not a number of zero or more.
    pub fn new(params: RidgeParams) -> Result<Self> {
        if !(params.l2.is_finite() && params.l2 >= 0.0) {
            return Err(Error::invalid_input("l2 is not a number of zero or more").with("l2", params.l2));
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

impl Trainer for Ridge {
    type Model = RidgeModel;

    fn fit(&self, data: &Dataset, context: &FitContext) -> Result<RidgeModel> {
        context.cancel.check()?;
        let reader = RowReader::labelled(data)?;
        let signature =
            Signature::new(reader.inputs().to_vec(), vec![TensorSpec::batched(PREDICTION, DType::Fp32, [1])])?;
        super::check_names(&signature)?;
        let label = reader.survey(context)?.label;
        let preprocess = self.preprocess.fit_rows(&reader, context)?;

        // Of every row, features, 1 and label, times the root of its weight: their products are all that is needed.
        let p = preprocess.columns().len();
        let sums = reader.fold(
            context,
            p + 2,
            || Array2::zeros((p + 2, p + 2)),
            |sums: &mut Array2<f64>, rows| {
                let mut design = Design::new(&preprocess, &rows, 2)?;
                for (row, (label, weight)) in design.rows_mut().zip(rows.labels.iter().zip(&rows.weights)) {
                    row[p + 1] = *label;
                    let root = weight.sqrt();
                    row.iter_mut().for_each(|value| *value *= root);
                }
                design.add_products(sums);
                Ok(())
            },
        )?;
        let (coefficients, intercept, rmse) = self.solve(&total(sums, context)?, preprocess.columns())?;
        super::check_weights(&coefficients, intercept, &label)?;
        context.progress.metric("rmse", 0, rmse);
        context.cancel.check()?;
        Ok(RidgeModel { params: self.params, signature, preprocess, coefficients, intercept })
    }
}

impl Ridge {
    /// Coefficients, intercept and training error, from the sums of products of features, 1 and label.
    fn solve(&self, sums: &Array2<f64>, columns: &[String]) -> Result<(Vec<f64>, f64, f64)> {
        let p = columns.len();
        let weight = sums[[p, p]];
        let mean: Array1<f64> = sums.slice(s![p, ..p]).to_owned() / weight;
        let label_mean = sums[[p, p + 1]] / weight;
        // About the means, which takes the intercept out of the equations.
        let mut a = sums.slice(s![..p, ..p]).to_owned();
        for i in 0..p {
            for j in 0..p {
                a[[i, j]] -= weight * mean[i] * mean[j];
            }
        }
        let b = &sums.slice(s![..p, p + 1]) - &(&mean * (weight * label_mean));
        let covariance = a.clone();
        a.diag_mut().mapv_inplace(|value| value + self.params.l2);
        let beta = cholesky::solve(a, b.clone()).map_err(|at| {
            Error::invalid_input("a feature follows from the others: leave it out or raise l2")
                .with("feature", &columns[at])
                .with("l2", self.params.l2)
        })?;
        let squares = sums[[p + 1, p + 1]] - weight * label_mean * label_mean;
        let residual = squares - 2.0 * beta.dot(&b) + beta.dot(&covariance.dot(&beta));
        let intercept = label_mean - mean.dot(&beta);
        Ok((beta.to_vec(), intercept, (residual.max(0.0) / weight).sqrt()))
    }
}

/// What [`Ridge`] fits.
#[derive(Debug, Clone)]
pub struct RidgeModel {
    params: RidgeParams,
    signature: Signature,
    preprocess: FittedPreprocess,
    coefficients: Vec<f64>,
    intercept: f64,
}

impl RidgeModel {
    /// The columns that preprocessing makes of the features.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.preprocess.columns()
    }

    /// The coefficient of each of the [`columns`](RidgeModel::columns).
    #[must_use]
    pub fn coefficients(&self) -> &[f64] {
        &self.coefficients
    }

    /// The prediction where every column is zero.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }
}

impl Model for RidgeModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.signature.check_inputs(inputs)?;
        let (beta, intercept) = weights_of(&self.coefficients, self.intercept);
        let matrix = self.preprocess.apply(inputs)?;
        let predictions = super::linear_scores(&matrix, &beta, intercept)?;
        Tensors::new().with(PREDICTION, Tensor::column(predictions))
    }
}

impl TrainedModel for RidgeModel {
    fn to_onnx(&self) -> Result<OnnxModel> {
        let mut graph = GraphBuilder::new("ridge");
        let matrix = self.preprocess.emit(&mut graph)?;
        let (beta, intercept) = weights_of(&self.coefficients, self.intercept);
        let prediction = graph.node(
            Domain::Ml,
            "LinearRegressor",
            &[matrix],
            vec![Attribute::floats("coefficients", beta), Attribute::floats("intercepts", [intercept])],
        );
        graph.output(prediction, self.signature.outputs()[0].clone())?;
        graph.finish()
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        #[derive(Serialize)]
        struct Saved<'a> {
            params: RidgeParams,
            preprocess: Checkpoint,
            columns: &'a [String],
            coefficients: &'a [f64],
            intercept: f64,
        }
        state(
            "ridge",
            &Saved {
                params: self.params,
                preprocess: self.preprocess.checkpoint()?,
                columns: self.columns(),
                coefficients: &self.coefficients,
                intercept: self.intercept,
            },
        )
    }
}

const PREDICTION: &str = "prediction";
