//! Tensors to values of ONNX Runtime and back.

use crate::{
    Error, Result, Tensor,
    signature::TensorSpec,
    tensor::{DType, Element, TensorData},
};
use bytes::Bytes;
use half::{bf16, f16};
use ort::{
    session::SessionInputValue,
    value::{DynValue, PrimitiveTensorElementType, TensorRef},
};
use std::fmt::Debug;

/// A view of a tensor; only text is copied.
pub(super) fn to_ort(tensor: &Tensor) -> Result<SessionInputValue<'_>> {
    let shape = tensor.shape();
    match tensor.data() {
        TensorData::Bool(values) => view(shape, values),
        TensorData::Uint8(values) => view(shape, values),
        TensorData::Uint16(values) => view(shape, values),
        TensorData::Uint32(values) => view(shape, values),
        TensorData::Uint64(values) => view(shape, values),
        TensorData::Int8(values) => view(shape, values),
        TensorData::Int16(values) => view(shape, values),
        TensorData::Int32(values) => view(shape, values),
        TensorData::Int64(values) => view(shape, values),
        TensorData::Fp16(values) => view(shape, values),
        TensorData::Fp32(values) => view(shape, values),
        TensorData::Fp64(values) => view(shape, values),
        TensorData::Bf16(values) => view(shape, values),
        TensorData::Bytes(values) => text(shape, values),
    }
}

/// A copy of an output, as the signature declares it.
pub(super) fn from_ort(value: &DynValue, spec: &TensorSpec) -> Result<Tensor> {
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
        DType::Bf16 => read::<bf16>(value),
        DType::Bytes => value
            .try_extract_strings()
            .map_err(foreign)
            .and_then(|(shape, values)| Tensor::new(dims(shape)?, values.into_iter().map(Bytes::from).collect())),
    };
    read.map_err(|error| {
        Error::corrupt("an output is not what the graph declares")
            .with("tensor", spec.name.escape_debug())
            .with_source(error)
    })
}

fn view<'a, T>(shape: &'a [usize], values: &'a [T]) -> Result<SessionInputValue<'a>>
where
    T: PrimitiveTensorElementType + Debug + Clone + 'static,
{
    let value = TensorRef::from_array_view((shape, values)).map_err(foreign)?;
    Ok(value.into())
}

fn text<'a>(shape: &'a [usize], values: &[Bytes]) -> Result<SessionInputValue<'a>> {
    let values = values
        .iter()
        .map(|value| match std::str::from_utf8(value) {
            Ok(value) if value.contains('\0') => {
                Err(Error::invalid_input("ONNX Runtime takes no text with a zero byte"))
            }
            Ok(value) => Ok(value.to_owned()),
            Err(source) => Err(Error::invalid_input("ONNX Runtime takes only text that is UTF-8").with_source(source)),
        })
        .collect::<Result<Vec<String>>>()?;
    let value = ort::value::Tensor::from_string_array((shape, &values[..])).map_err(foreign)?;
    Ok(value.into())
}

fn read<T: PrimitiveTensorElementType + Element>(value: &DynValue) -> Result<Tensor> {
    let (shape, values) = value.try_extract_tensor::<T>().map_err(foreign)?;
    Tensor::new(dims(shape)?, values.to_vec())
}

fn dims(shape: &[i64]) -> Result<Vec<usize>> {
    shape.iter().map(|&dim| usize::try_from(dim).map_err(|_| Error::internal("a dimension is negative"))).collect()
}

fn foreign(source: ort::Error) -> Error {
    Error::internal("ONNX Runtime refuses a tensor").with_source(source.to_string())
}
