//! Tensors to values of tract and back.

use crate::{
    Error, Result, Tensor,
    signature::TensorSpec,
    tensor::{DType, Element, TensorData},
};
use bytes::Bytes;
use half::f16;
use tract_onnx::prelude::{
    Datum, DatumType, IntoTValue, IntoTensor, TValue, Tensor as Foreign, TractError, tract_ndarray::ArrayD,
};

/// The element type of tract, where there is one.
pub(super) fn datum_type(dtype: DType) -> Option<DatumType> {
    Some(match dtype {
        DType::Bool => DatumType::Bool,
        DType::Uint8 => DatumType::U8,
        DType::Uint16 => DatumType::U16,
        DType::Uint32 => DatumType::U32,
        DType::Uint64 => DatumType::U64,
        DType::Int8 => DatumType::I8,
        DType::Int16 => DatumType::I16,
        DType::Int32 => DatumType::I32,
        DType::Int64 => DatumType::I64,
        DType::Fp16 => DatumType::F16,
        DType::Fp32 => DatumType::F32,
        DType::Fp64 => DatumType::F64,
        DType::Bytes => DatumType::String,
        DType::Bf16 => return None,
    })
}

/// A copy of an input.
pub(super) fn to_tract(tensor: &Tensor) -> Result<TValue> {
    let shape = tensor.shape();
    let value = match tensor.data() {
        TensorData::Bool(values) => Foreign::from_shape(shape, values),
        TensorData::Uint8(values) => Foreign::from_shape(shape, values),
        TensorData::Uint16(values) => Foreign::from_shape(shape, values),
        TensorData::Uint32(values) => Foreign::from_shape(shape, values),
        TensorData::Uint64(values) => Foreign::from_shape(shape, values),
        TensorData::Int8(values) => Foreign::from_shape(shape, values),
        TensorData::Int16(values) => Foreign::from_shape(shape, values),
        TensorData::Int32(values) => Foreign::from_shape(shape, values),
        TensorData::Int64(values) => Foreign::from_shape(shape, values),
        TensorData::Fp16(values) => Foreign::from_shape(shape, values),
        TensorData::Fp32(values) => Foreign::from_shape(shape, values),
        TensorData::Fp64(values) => Foreign::from_shape(shape, values),
        TensorData::Bf16(_) => return Err(Error::unsupported("tract has no BF16")),
        TensorData::Bytes(values) => {
            let texts = values
                .iter()
                .map(|value| std::str::from_utf8(value).map(str::to_owned))
                .collect::<Result<Vec<String>, _>>()
                .map_err(|source| Error::invalid_input("tract takes only text that is UTF-8").with_source(source))?;
            ArrayD::from_shape_vec(shape, texts).map(IntoTensor::into_tensor).map_err(TractError::from)
        }
    };
    value.map(IntoTValue::into_tvalue).map_err(foreign)
}

/// A copy of an output, as the signature declares it.
pub(super) fn from_tract(value: &Foreign, spec: &TensorSpec) -> Result<Tensor> {
    let read = match spec.dtype {
        DType::Bool => read::<bool>(value),
        DType::Uint8 => read::<u8>(value),
        DType::Uint16 => read::<u16>(value),
        DType::Uint32 => read::<u32>(value),
        DType::Uint64 => read::<u64>(value),
        DType::Int8 => read::<i8>(value),
        DType::Int16 => read::<i16>(value),
        DType::Int32 => read::<i32>(value),
        DType::Int64 => read::<i64>(value),
        DType::Fp16 => read::<f16>(value),
        DType::Fp32 => read::<f32>(value),
        DType::Fp64 => read::<f64>(value),
        DType::Bf16 => Err(Error::unsupported("tract has no BF16")),
        DType::Bytes => elements::<String>(value)
            .and_then(|texts| Tensor::new(value.shape(), texts.into_iter().map(Bytes::from).collect())),
    };
    read.map_err(|error| {
        Error::corrupt("an output is not what the graph declares")
            .with("tensor", spec.name.escape_debug())
            .with_source(error)
    })
}

fn read<T: Datum + Element>(value: &Foreign) -> Result<Tensor> {
    Tensor::new(value.shape(), elements::<T>(value)?)
}

/// The elements in their own type. Shapes that a graph computes are of a type of tract's own, and are cast.
fn elements<T: Datum + Clone>(value: &Foreign) -> Result<Vec<T>> {
    let value = if value.datum_type() == DatumType::TDim {
        value.cast_to::<T>().map_err(foreign)?
    } else {
        std::borrow::Cow::Borrowed(value)
    };
    let view = value.try_as_plain_ram().map_err(foreign)?;
    view.as_slice::<T>().map(<[T]>::to_vec).map_err(foreign)
}

fn foreign(source: TractError) -> Error {
    Error::internal("tract refuses a tensor").with_source(source.to_string())
}
