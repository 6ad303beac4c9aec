//! From a fitted model to a bundle.

use super::TrainedModel;
use crate::{
    Bundle, Error, Result, Tensor, Tensors,
    bundle::{BundleBuilder, CHECKPOINT},
    tensor::TensorData,
    transform,
};
use arrow::array::RecordBatch;
use bytes::Bytes;

/// Starts the bundle of a fitted model: graph, signature, checkpoint, and what the model predicts for the first rows of
/// `sample`, replayed at every load. The replay covers a row in which every number is missing and every text unknown.
///
/// The bundle keeps the features of those eight rows as they are: give rows that whoever reads the model may read too.
///
/// ```
/// use ml_core::{Dataset, Table, Trainer, arrow::array::{Float64Array, RecordBatch}, bundle};
/// use ml_core::trainer::{self, FitContext, linear::{Ridge, RidgeParams}};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([
///     ("miles", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as _),
///     ("fare", Arc::new(Float64Array::from(vec![5.0, 7.0, 8.0])) as _),
/// ]).unwrap();
/// let data = Dataset::new(Table::from(batch.clone())).features(["miles"])?.label("fare")?;
/// let model = Ridge::new(RidgeParams::default())?.fit(&data, &FitContext::default())?;
///
/// let bundle = trainer::bundle(&model, &batch)?.json(bundle::METRICS, &serde_json::json!({"rmse": 0.3}))?.build()?;
/// assert_eq!(bundle.golden()?.len(), 2);
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// As [`TrainedModel::to_onnx`] and [`transform::inputs`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) when the
/// sample has no rows.
pub fn bundle(model: &dyn TrainedModel, sample: &RecordBatch) -> Result<BundleBuilder> {
    if sample.num_rows() == 0 {
        return Err(Error::invalid_input("a sample without rows"));
    }
    let known = transform::inputs(model.signature(), &sample.slice(0, sample.num_rows().min(GOLDEN_ROWS)))?;
    let mut unknown = Tensors::new();
    for (name, tensor) in known.slice_rows(0..1)? {
        let (shape, data) = tensor.into_parts();
        let data = match data {
            TensorData::Fp32(values) => TensorData::Fp32(vec![f32::NAN; values.len()]),
            TensorData::Fp64(values) => TensorData::Fp64(vec![f64::NAN; values.len()]),
            TensorData::Bytes(values) => TensorData::Bytes(vec![Bytes::from_static(UNKNOWN); values.len()]),
            other => other,
        };
        unknown.insert(name, Tensor::from_data(shape, data)?)?;
    }
    let mut builder = Bundle::builder(model.to_onnx()?).json(CHECKPOINT, &model.checkpoint()?)?;
    for inputs in [known, unknown] {
        let outputs = model.predict(&inputs)?;
        builder = builder.golden(inputs, outputs)?;
    }
    Ok(builder)
}

/// How many rows of the sample are replayed.
const GOLDEN_ROWS: usize = 8;

/// A text that no data has as a category.
const UNKNOWN: &[u8] = b"\xEF\xBF\xBD no such category";
