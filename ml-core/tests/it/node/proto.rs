//! The `TensorProto` of ONNX as the node tests carry it, read without the reader of the library under test.

use bytes::Bytes;
use half::{bf16, f16};
use ml_core::{
    Tensor,
    tensor::{DType, Element},
};
use prost::Message;

/// The fields that the tests use. Numbers are those of `onnx.proto`.
#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    int32_data: Vec<i32>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    string_data: Vec<Bytes>,
    #[prost(int64, repeated, tag = "7")]
    int64_data: Vec<i64>,
    #[prost(bytes = "bytes", tag = "9")]
    raw_data: Bytes,
    #[prost(double, repeated, tag = "10")]
    double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    uint64_data: Vec<u64>,
}

/// Reads a tensor. The tests hold BF16 as UINT16, so the type that the graph declares decides between the two.
pub(crate) fn tensor(bytes: &[u8], declared: DType) -> Result<Tensor, String> {
    let proto = TensorProto::decode(bytes).map_err(|error| error.to_string())?;
    let shape: Vec<usize> = proto.dims.iter().map(|&dim| usize::try_from(dim).expect("a length")).collect();
    macro_rules! raw {
        ($type:ty) => {
            proto
                .raw_data
                .chunks_exact(size_of::<$type>())
                .map(|b| <$type>::from_le_bytes(b.try_into().expect("the size")))
                .collect()
        };
    }
    macro_rules! numbers {
        ($type:ty, $field:ident) => {{
            let mut values: Vec<$type> = raw!($type);
            if values.is_empty() {
                values = proto.$field.iter().map(|&v| <$type>::try_from(v).expect("in range")).collect();
            }
            make(shape, values)
        }};
    }
    macro_rules! halves {
        ($type:ty) => {{
            let mut values: Vec<$type> = raw!($type);
            if values.is_empty() {
                values =
                    proto.int32_data.iter().map(|&v| <$type>::from_bits(u16::try_from(v).expect("16 bits"))).collect();
            }
            make(shape, values)
        }};
    }
    match proto.data_type {
        1 => numbers!(f32, float_data),
        2 => numbers!(u8, int32_data),
        3 => numbers!(i8, int32_data),
        4 if declared == DType::Bf16 => halves!(bf16),
        4 => numbers!(u16, int32_data),
        5 => numbers!(i16, int32_data),
        6 => numbers!(i32, int32_data),
        7 => numbers!(i64, int64_data),
        8 => make(shape, proto.string_data),
        9 if proto.raw_data.is_empty() => make(shape, proto.int32_data.iter().map(|&v| v != 0).collect()),
        9 => make(shape, proto.raw_data.iter().map(|&v| v != 0).collect()),
        10 => halves!(f16),
        11 => numbers!(f64, double_data),
        12 => numbers!(u32, uint64_data),
        13 => numbers!(u64, uint64_data),
        16 => halves!(bf16),
        other => Err(format!("element type {other}")),
    }
}

fn make<T: Element>(shape: Vec<usize>, values: Vec<T>) -> Result<Tensor, String> {
    Tensor::new(shape, values).map_err(|error| error.to_string())
}

/// The bytes that, at the end of those of a model, add a tensor to the constants of its graph.
pub(crate) fn initializer(tensor: &[u8], name: &str) -> Vec<u8> {
    /// `ModelProto` and `GraphProto`, as far as needed: fields of a second message are merged into the first.
    #[derive(Clone, PartialEq, Message)]
    struct Model {
        #[prost(message, tag = "7")]
        graph: Option<Graph>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Graph {
        #[prost(bytes = "vec", repeated, tag = "5")]
        initializer: Vec<Vec<u8>>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Name {
        #[prost(string, tag = "8")]
        name: String,
    }
    let named = [tensor, &Name { name: name.into() }.encode_to_vec()].concat();
    Model { graph: Some(Graph { initializer: vec![named] }) }.encode_to_vec()
}
