//! Rows of a data set as inputs of a model.

use crate::{
    Dataset, Error, Result, Signature, Table, Tensor, Tensors,
    dataset::Role,
    signature::Dim,
    tensor::{DType, TensorData},
    transform,
};
use arrow::array::RecordBatch;

/// Makes the inputs of a model from rows of a data set, at most `limit` of them.
///
/// Columns fill the inputs of their names, as [`transform::inputs`] does. A model of one input with as many columns as
/// the data set has features takes those features, in the order of the schema.
///
/// # Errors
/// As [`Dataset::scan`] and [`transform::inputs`].
pub fn inputs(signature: &Signature, data: &Dataset, limit: usize) -> Result<Tensors> {
    let table = first_rows(data, limit)?;
    let batch = table.to_batch()?;
    let features: Vec<String> = data.with_role(Role::Feature).collect();
    if let [spec] = signature.inputs()
        && batch.column_by_name(&spec.name).is_none()
        && matches!(spec.dtype, DType::Fp32 | DType::Fp64)
        && matches!(spec.shape[..], [_, Dim::Named(_)] | [_, Dim::Fixed(_)])
    {
        if let [_, Dim::Fixed(width)] = spec.shape[..]
            && width != features.len()
        {
            return Err(Error::invalid_input("the model takes another number of columns than there are features")
                .with("tensor", spec.name.escape_debug())
                .with("expected", width)
                .with("got", features.len()));
        }
        return Tensors::new().with(&spec.name, matrix(spec.dtype, &batch, &features)?);
    }
    transform::inputs(signature, &batch)
}

/// The first rows in memory.
pub(super) fn first_rows(data: &Dataset, limit: usize) -> Result<Table> {
    let mut left = limit;
    let mut batches = Vec::new();
    for batch in data.scan()? {
        let batch = batch?;
        let kept = batch.slice(0, batch.num_rows().min(left));
        left -= kept.num_rows();
        batches.push(kept);
        if left == 0 {
            break;
        }
    }
    match batches.first() {
        Some(first) => Table::new(first.schema(), batches),
        None => Table::new(data.schema(), batches),
    }
}

/// Columns of numbers side by side.
fn matrix(dtype: DType, batch: &RecordBatch, columns: &[String]) -> Result<Tensor> {
    let one = |name: &String| -> Result<Tensor> {
        let column = batch.column_by_name(name).ok_or_else(|| Error::internal("a feature without a column"))?;
        transform::input(&crate::signature::TensorSpec::batched(name, dtype, []), column.as_ref())
    };
    let parts = columns.iter().map(one).collect::<Result<Vec<_>>>()?;
    let shape = [batch.num_rows(), columns.len()];
    macro_rules! interleaved {
        ($type:ty) => {{
            let parts = parts.iter().map(Tensor::values::<$type>).collect::<Result<Vec<_>>>()?;
            (0..shape[0]).flat_map(|row| parts.iter().map(move |part| part[row])).collect()
        }};
    }
    let data = match dtype {
        DType::Fp64 => TensorData::Fp64(interleaved!(f64)),
        _ => TensorData::Fp32(interleaved!(f32)),
    };
    Tensor::from_data(shape, data)
}
