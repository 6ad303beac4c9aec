//! From Arrow columns to the tensors that a model takes.

use crate::{
    Error, Result, Signature, Tensor, Tensors,
    signature::{Dim, TensorSpec},
    table,
    tensor::{DType, Element},
};
use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute,
    datatypes::{DataType, Field, Int64Type},
};
use bytes::Bytes;

/// Makes the inputs of a model from the columns of the same names; other columns are not looked at.
///
/// Numbers, also decimal ones, become `FP32` or `FP64` (null is NaN) or `INT64` (null is refused); text, booleans and
/// dictionaries of text or numbers become `BYTES` (null is the empty text). A column of the null type, as readers make of
/// one without any value, is missing in every row. Dates, times, binary and nested columns are refused: what of a date
/// tells something, such as its hour, is a column of its own.
///
/// ```
/// use ml_core::{Signature, arrow::array::{Int64Array, RecordBatch}, signature::TensorSpec, tensor::DType, transform};
/// use std::sync::Arc;
///
/// let signature = Signature::new(
///     vec![TensorSpec::batched("age", DType::Fp32, [1])],
///     vec![TensorSpec::batched("prediction", DType::Fp32, [1])],
/// )?;
/// let batch = RecordBatch::try_from_iter([("age", Arc::new(Int64Array::from(vec![Some(31), None])) as _)]).unwrap();
/// let inputs = transform::inputs(&signature, &batch)?;
/// assert!(inputs.require("age")?.values::<f32>()?[1].is_nan());
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column, when it is missing, is of another kind than the
/// tensor, or holds an infinity or a number beyond the range of the tensor; [`Unsupported`](crate::ErrorKind::Unsupported)
/// for tensors that no column can fill.
pub fn inputs(signature: &Signature, batch: &RecordBatch) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for spec in signature.inputs() {
        let column = batch.column_by_name(&spec.name).ok_or_else(|| {
            Error::invalid_input("a column that the model takes is missing").with("column", &spec.name)
        })?;
        tensors.insert(&spec.name, input(spec, column.as_ref())?)?;
    }
    Ok(tensors)
}

/// The input tensor that a feature column becomes.
pub(crate) fn feature_spec(field: &Field) -> Result<TensorSpec> {
    let dtype = if is_text(field.data_type()) {
        DType::Bytes
    } else if is_number(field.data_type()) {
        DType::Fp32
    } else {
        return Err(Error::invalid_input("a feature is neither number nor text")
            .with("column", field.name())
            .with("type", field.data_type()));
    };
    Ok(TensorSpec::batched(field.name(), dtype, [1]))
}

/// One column as the tensor that `spec` asks for.
pub(crate) fn input(spec: &TensorSpec, column: &dyn Array) -> Result<Tensor> {
    let as_column = match spec.shape.as_slice() {
        [_] => false,
        [_, Dim::Fixed(1)] => true,
        _ => {
            return Err(Error::unsupported("a tensor of this shape cannot be filled from one column")
                .with("tensor", &spec.name));
        }
    };
    let tensor = match spec.dtype {
        DType::Fp32 => shape(as_column, singles(column).map_err(|error| error.with("column", &spec.name))?),
        DType::Fp64 => shape(as_column, doubles(column).map_err(|error| error.with("column", &spec.name))?),
        DType::Int64 => shape(as_column, integers(column).map_err(|error| error.with("column", &spec.name))?),
        DType::Bytes => shape(as_column, texts(column).map_err(|error| error.with("column", &spec.name))?),
        other => {
            return Err(Error::unsupported("a tensor of this type cannot be filled from a column")
                .with("tensor", &spec.name)
                .with("datatype", other));
        }
    };
    Ok(tensor)
}

fn shape<T: Element>(as_column: bool, values: Vec<T>) -> Tensor {
    if as_column { Tensor::column(values) } else { Tensor::vector(values) }
}

fn doubles(column: &dyn Array) -> Result<Vec<f64>> {
    if !is_number(column.data_type()) {
        return Err(another_kind("numbers", column));
    }
    let values: Vec<f64> = table::floats(column)?.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
    match values.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(Error::invalid_input("a number is infinite").with("row", row)),
        None => Ok(values),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "FP32 is what the graph takes; what is too large is refused")]
fn singles(column: &dyn Array) -> Result<Vec<f32>> {
    let values: Vec<f32> = doubles(column)?.into_iter().map(|value| value as f32).collect();
    match values.iter().position(|value| value.is_infinite()) {
        Some(row) => Err(Error::invalid_input("a number is beyond the range of FP32").with("row", row)),
        None => Ok(values),
    }
}

fn integers(column: &dyn Array) -> Result<Vec<i64>> {
    if !column.data_type().is_integer() {
        return Err(another_kind("whole numbers", column));
    }
    // A cast of a number beyond the range gives null, and so both are found at once.
    let cast = compute::cast(column, &DataType::Int64).map_err(table::arrow_error)?;
    if cast.null_count() > 0 {
        return Err(Error::invalid_input("a whole number is null or beyond the range of INT64"));
    }
    Ok(cast.as_primitive::<Int64Type>().values().to_vec())
}

fn texts(column: &dyn Array) -> Result<Vec<Bytes>> {
    if !(is_text(column.data_type()) || column.data_type().is_null()) {
        return Err(another_kind("text", column));
    }
    let text = table::strings(column)?;
    // One allocation for the whole column: every value is a view of it.
    let all = Bytes::copy_from_slice(text.value_data());
    let offsets = text.value_offsets();
    let at = |offset: i32| usize::try_from(offset).expect("offsets of an Arrow array are not negative");
    Ok((0..text.len())
        .map(|row| if text.is_null(row) { Bytes::new() } else { all.slice(at(offsets[row])..at(offsets[row + 1])) })
        .collect())
}

fn another_kind(expected: &str, column: &dyn Array) -> Error {
    Error::invalid_input("a column is of another kind than the model takes")
        .with("expected", expected)
        .with("type", column.data_type())
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric() || matches!(kind, DataType::Null)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        DataType::Dictionary(_, values) => is_text(values) || is_number(values),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{
            ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, NullArray, StringArray,
            UInt64Array, new_null_array,
        },
        datatypes::{Int32Type, TimeUnit},
    };
    use std::sync::Arc;

    fn one(dtype: DType, array: ArrayRef) -> Result<Tensors> {
        let signature = Signature::new(
            vec![TensorSpec::batched("x", dtype, [1])],
            vec![TensorSpec::batched("prediction", DType::Fp32, [1])],
        )?;
        inputs(&signature, &RecordBatch::try_from_iter([("x", array)]).expect("batch"))
    }

    #[test]
    fn missing_and_empty_text_are_the_same() {
        let slice = StringArray::from(vec![Some("left out"), Some("a"), None, Some(""), Some("é")]).slice(1, 4);
        let tensors = one(DType::Bytes, Arc::new(slice)).expect("text");
        assert_eq!(tensors.require("x").and_then(|x| x.values::<Bytes>()).expect("text"), &["a", "", "", "é"]);
    }

    #[test]
    fn booleans_and_dictionaries_are_text() {
        let dictionary: DictionaryArray<Int32Type> = ["b", "a", "b"].into_iter().collect();
        let tensors = one(DType::Bytes, Arc::new(dictionary)).expect("text");
        assert_eq!(tensors.require("x").and_then(|x| x.values::<Bytes>()).expect("text"), &["b", "a", "b"]);
        let tensors = one(DType::Bytes, Arc::new(BooleanArray::from(vec![Some(true), None]))).expect("text");
        assert_eq!(tensors.require("x").and_then(|x| x.values::<Bytes>()).expect("text"), &["true", ""]);
    }

    #[test]
    fn every_type_that_a_file_brings_is_read_or_refused_by_name() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        for kind in [
            DataType::Int8,
            DataType::UInt16,
            DataType::Int32,
            DataType::UInt64,
            DataType::Float16,
            DataType::Float32,
            DataType::Decimal128(9, 2),
            DataType::Decimal256(40, 3),
        ] {
            let column = compute::cast(&numbers, &kind).expect("a number");
            assert_eq!(feature_spec(&Field::new("x", kind.clone(), true)).expect("a number").dtype, DType::Fp32);
            let tensors = one(DType::Fp32, column).expect("numbers");
            let values = tensors.require("x").and_then(|x| x.values::<f32>()).expect("numbers");
            assert!(values[0] == 7.0 && values[1].is_nan(), "{kind}: {values:?}");
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("é"), None]));
        let dictionary = DataType::Dictionary(DataType::Int16.into(), DataType::LargeUtf8.into());
        for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            let column = compute::cast(&text, &kind).expect("a text");
            assert_eq!(feature_spec(&Field::new("x", kind.clone(), true)).expect("a text").dtype, DType::Bytes);
            let tensors = one(DType::Bytes, column).expect("text");
            assert_eq!(tensors.require("x").and_then(|x| x.values::<Bytes>()).expect("text"), &["é", ""], "{kind}");
        }
        for kind in [
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            DataType::Duration(TimeUnit::Second),
            DataType::Binary,
            DataType::new_list(DataType::Float32, true),
            DataType::Dictionary(DataType::Int32.into(), DataType::Binary.into()),
        ] {
            let error = feature_spec(&Field::new("x", kind.clone(), true)).expect_err("neither number nor text");
            assert!(error.to_string().contains("column: x"), "{error}");
            for dtype in [DType::Fp32, DType::Int64, DType::Bytes] {
                let error = one(dtype, new_null_array(&kind, 2)).expect_err("neither number nor text");
                assert!(error.to_string().contains("column: x"), "{kind}: {error}");
            }
        }
    }

    #[test]
    fn bytes_in_a_dictionary_do_not_become_missing_text() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"\xff\xfe".as_slice()]));
        let kind = DataType::Dictionary(DataType::Int32.into(), DataType::Binary.into());
        let error = one(DType::Bytes, compute::cast(&bytes, &kind).expect("a dictionary")).expect_err("no text");
        assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_column_without_any_value_is_missing_as_number_and_as_text() {
        let tensors = one(DType::Bytes, Arc::new(NullArray::new(2))).expect("missing text");
        assert_eq!(tensors.require("x").and_then(|x| x.values::<Bytes>()).expect("text"), &["", ""]);
        let tensors = one(DType::Fp32, Arc::new(NullArray::new(2))).expect("missing numbers");
        assert!(tensors.require("x").and_then(|x| x.values::<f32>()).expect("numbers").iter().all(|x| x.is_nan()));
    }

    #[test]
    fn what_does_not_fit_names_the_column() {
        let cases: [(DType, ArrayRef, &str); 6] = [
            (
                DType::Fp32,
                Arc::new(Float64Array::from(vec![f64::INFINITY])),
                "a number is infinite (row: 0, column: x)",
            ),
            (
                DType::Fp32,
                Arc::new(Float64Array::from(vec![0.0, 1e300])),
                "a number is beyond the range of FP32 (row: 1, column: x)",
            ),
            (
                DType::Fp32,
                Arc::new(StringArray::from(vec!["7"])),
                "a column is of another kind than the model takes (expected: numbers, type: Utf8, column: x)",
            ),
            (
                DType::Bytes,
                Arc::new(Int64Array::from(vec![7])),
                "a column is of another kind than the model takes (expected: text, type: Int64, column: x)",
            ),
            (
                DType::Int64,
                Arc::new(UInt64Array::from(vec![u64::MAX])),
                "a whole number is null or beyond the range of INT64 (column: x)",
            ),
            (
                DType::Uint8,
                Arc::new(Int64Array::from(vec![7])),
                "a tensor of this type cannot be filled from a column (tensor: x, datatype: UINT8)",
            ),
        ];
        for (dtype, array, message) in cases {
            assert_eq!(one(dtype, array).expect_err("does not fit").to_string(), message);
        }
        let signature = Signature::new(
            vec![TensorSpec::batched("y", DType::Fp32, [1])],
            vec![TensorSpec::batched("prediction", DType::Fp32, [1])],
        )
        .expect("valid");
        let batch =
            RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]).expect("batch");
        let error = inputs(&signature, &batch).expect_err("missing");
        assert_eq!(error.to_string(), "a column that the model takes is missing (column: y)");
    }
}
