//! Tensors as ONNX carries them.

use super::proto::{StringStringEntryProto, TensorProto, tensor_proto::DataType};
use crate::{
    Error, Result, Tensor,
    tensor::{DType, TensorData, element_count},
};
use bytes::Bytes;
use half::{bf16, f16};

/// The number by which ONNX names an element type.
pub(crate) fn onnx_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Bool,
        DType::Uint8 => DataType::Uint8,
        DType::Uint16 => DataType::Uint16,
        DType::Uint32 => DataType::Uint32,
        DType::Uint64 => DataType::Uint64,
        DType::Int8 => DataType::Int8,
        DType::Int16 => DataType::Int16,
        DType::Int32 => DataType::Int32,
        DType::Int64 => DataType::Int64,
        DType::Fp16 => DataType::Float16,
        DType::Fp32 => DataType::Float,
        DType::Fp64 => DataType::Double,
        DType::Bf16 => DataType::Bfloat16,
        DType::Bytes => DataType::String,
    }
}

/// The element type that ONNX names by this number, where the family has it.
pub(crate) fn dtype(number: i32) -> Option<DType> {
    DType::ALL.into_iter().find(|&dtype| onnx_type(dtype) as i32 == number)
}

/// Writes a tensor: strings one by one, everything else as raw little-endian bytes.
pub(crate) fn to_proto(name: String, tensor: &Tensor) -> TensorProto {
    macro_rules! raw {
        ($values:expr) => {
            $values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
    }
    let raw: Vec<u8> = match tensor.data() {
        TensorData::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
        TensorData::Uint8(values) => values.clone(),
        TensorData::Uint16(values) => raw!(values),
        TensorData::Uint32(values) => raw!(values),
        TensorData::Uint64(values) => raw!(values),
        TensorData::Int8(values) => raw!(values),
        TensorData::Int16(values) => raw!(values),
        TensorData::Int32(values) => raw!(values),
        TensorData::Int64(values) => raw!(values),
        TensorData::Fp16(values) => raw!(values),
        TensorData::Fp32(values) => raw!(values),
        TensorData::Fp64(values) => raw!(values),
        TensorData::Bf16(values) => raw!(values),
        TensorData::Bytes(_) => Vec::new(),
    };
    let string_data = if let TensorData::Bytes(values) = tensor.data() { values.clone() } else { Vec::new() };
    TensorProto {
        name: Some(name),
        dims: tensor.shape().iter().map(|&dim| i64::try_from(dim).expect("a dimension in memory fits i64")).collect(),
        data_type: Some(onnx_type(tensor.dtype()) as i32),
        raw_data: (tensor.dtype() != DType::Bytes).then(|| raw.into()),
        string_data,
        ..TensorProto::default()
    }
}

/// Reads a tensor that [`check`](super::check) has passed.
pub(crate) fn from_proto(proto: &TensorProto) -> Result<Tensor> {
    let shape = shape(proto)?;
    let dtype = dtype(proto.data_type()).ok_or_else(|| {
        Error::unsupported("tensors of this element type are not supported")
            .with("tensor", proto.name().escape_debug())
            .with("data_type", proto.data_type())
    })?;
    /// From raw bytes, else from the field that carries this type, else nothing at all.
    macro_rules! read {
        ($type:ty, $field:ident, $from:expr) => {
            match &proto.raw_data {
                Some(raw) => raw
                    .chunks_exact(size_of::<$type>())
                    .map(|bytes| <$type>::from_le_bytes(bytes.try_into().expect("chunks of this size")))
                    .collect(),
                None => proto.$field.iter().map($from).collect::<Result<Vec<_>>>()?,
            }
        };
    }
    let data = match dtype {
        DType::Bool => TensorData::Bool(match &proto.raw_data {
            Some(raw) => raw.iter().map(|&byte| byte != 0).collect(),
            None => proto.int32_data.iter().map(|&value| value != 0).collect(),
        }),
        DType::Uint8 => TensorData::Uint8(read!(u8, int32_data, |&v| narrow(v))),
        DType::Uint16 => TensorData::Uint16(read!(u16, int32_data, |&v| narrow(v))),
        DType::Uint32 => TensorData::Uint32(read!(u32, uint64_data, |&v| narrow(v))),
        DType::Uint64 => TensorData::Uint64(read!(u64, uint64_data, |&v| Ok(v))),
        DType::Int8 => TensorData::Int8(read!(i8, int32_data, |&v| narrow(v))),
        DType::Int16 => TensorData::Int16(read!(i16, int32_data, |&v| narrow(v))),
        DType::Int32 => TensorData::Int32(read!(i32, int32_data, |&v| Ok(v))),
        DType::Int64 => TensorData::Int64(read!(i64, int64_data, |&v| Ok(v))),
        DType::Fp16 => TensorData::Fp16(read!(f16, int32_data, |&v| narrow(v).map(f16::from_bits))),
        DType::Bf16 => TensorData::Bf16(read!(bf16, int32_data, |&v| narrow(v).map(bf16::from_bits))),
        DType::Fp32 => TensorData::Fp32(read!(f32, float_data, |&v| Ok(v))),
        DType::Fp64 => TensorData::Fp64(read!(f64, double_data, |&v| Ok(v))),
        DType::Bytes => TensorData::Bytes(proto.string_data.clone()),
    };
    Tensor::from_data(shape, data)
        .map_err(|error| Error::corrupt("a tensor of the graph has another size than its shape").with_source(error))
}

/// The shape and the number of elements that it holds.
pub(crate) fn shape(proto: &TensorProto) -> Result<Vec<usize>> {
    let shape: Vec<usize> = proto
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim).map_err(|_| Error::corrupt("a tensor of the graph has a negative dimension")))
        .collect::<Result<_>>()?;
    element_count(&shape).map_err(|error| Error::corrupt("a tensor of the graph is too large").with_source(error))?;
    Ok(shape)
}

/// Where a tensor outside the file would be; the family refuses every one.
pub(super) fn external_location(proto: &TensorProto) -> Option<&str> {
    let entry = |entry: &'_ &StringStringEntryProto| entry.key() == "location";
    let outside = !proto.external_data.is_empty() || proto.data_location.is_some_and(|location| location != 0);
    outside.then(|| proto.external_data.iter().find(entry).map_or("", StringStringEntryProto::value))
}

fn narrow<T, U: TryInto<T>>(value: U) -> Result<T> {
    value.try_into().map_err(|_| Error::corrupt("an element of a tensor of the graph is out of range"))
}

/// Text as ONNX attributes carry it.
pub(super) fn bytes(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}
