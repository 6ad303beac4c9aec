//! What a model takes in memory once it is decoded, told from its bytes before any of it is taken.
//!
//! Two bytes are an attribute to the decoder, and an attribute in memory is more than a thousand. So the bytes are
//! walked once, from message to message and without a copy, and whatever stands in memory for each is added up.

use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorAnnotation, TensorProto, TensorShapeProto, TrainingInfoProto, TypeProto,
    ValueInfoProto, tensor_shape_proto::Dimension, type_proto,
};
use crate::{Error, Result};
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The most that messages and texts may take, beside the numbers and bytes that they carry.
pub(super) const MAX_DECODED_BYTES: usize = 512 << 20;

/// Messages within each other: the limit of the decoder.
const MAX_DEPTH: u32 = 100;

/// Refuses a model that would take too much.
///
/// # Errors
/// [`ResourceExhausted`](crate::ErrorKind::ResourceExhausted) for too much, [`Corrupt`](crate::ErrorKind::Corrupt) for
/// what is no protobuf.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let mut left = MAX_DECODED_BYTES;
    take(bytes, &MODEL, MAX_DEPTH, &mut left)
}

/// Takes what a message holds from what is left.
fn take(mut bytes: &[u8], kind: &Kind, depth: u32, left: &mut usize) -> Result<()> {
    let corrupt = || Error::corrupt("the bytes are no ONNX model");
    if depth == 0 {
        return Err(corrupt());
    }
    while !bytes.is_empty() {
        let (field, wire) = decode_key(&mut bytes).map_err(|source| corrupt().with_source(source))?;
        let Some((_, part)) = kind.fields.iter().find(|(known, _)| *known == field) else {
            skip_field(wire, field, &mut bytes, DecodeContext::default())
                .map_err(|source| corrupt().with_source(source))?;
            continue;
        };
        if wire != WireType::LengthDelimited {
            return Err(corrupt());
        }
        let length = decode_varint(&mut bytes).map_err(|source| corrupt().with_source(source))?;
        let (inner, rest) =
            usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length)).ok_or_else(corrupt)?;
        bytes = rest;
        *left = left.checked_sub(part.size_bytes).ok_or_else(|| {
            Error::resource_exhausted("the model has more nodes, attributes and texts than may be decoded")
                .with("limit_bytes", MAX_DECODED_BYTES)
        })?;
        if !part.fields.is_empty() {
            take(inner, part, depth - 1, left)?;
        }
    }
    Ok(())
}

/// A kind of message: what one takes in memory, and its fields that hold messages or any number of texts.
struct Kind {
    size_bytes: usize,
    fields: &'static [(u32, &'static Kind)],
}

impl Kind {
    const fn of<T>(fields: &'static [(u32, &'static Kind)]) -> Self {
        Self { size_bytes: size_of::<T>(), fields }
    }
}

static MODEL: Kind =
    Kind::of::<ModelProto>(&[(7, &GRAPH), (8, &OPERATOR_SET), (14, &ENTRY), (20, &TRAINING), (25, &FUNCTION)]);
static GRAPH: Kind = Kind::of::<GraphProto>(&[
    (1, &NODE),
    (5, &TENSOR),
    (11, &VALUE),
    (12, &VALUE),
    (13, &VALUE),
    (14, &ANNOTATION),
    (15, &SPARSE_TENSOR),
    (16, &ENTRY),
]);
static NODE: Kind = Kind::of::<NodeProto>(&[(1, &TEXT), (2, &TEXT), (5, &ATTRIBUTE), (9, &ENTRY)]);
static ATTRIBUTE: Kind = Kind::of::<AttributeProto>(&[
    (5, &TENSOR),
    (6, &GRAPH),
    (9, &TEXT),
    (10, &TENSOR),
    (11, &GRAPH),
    (14, &TYPE),
    (15, &TYPE),
    (22, &SPARSE_TENSOR),
    (23, &SPARSE_TENSOR),
]);
static TENSOR: Kind = Kind::of::<TensorProto>(&[(6, &TEXT), (13, &ENTRY), (16, &ENTRY)]);
static SPARSE_TENSOR: Kind = Kind::of::<SparseTensorProto>(&[(1, &TENSOR), (2, &TENSOR)]);
static VALUE: Kind = Kind::of::<ValueInfoProto>(&[(2, &TYPE), (4, &ENTRY)]);
static TYPE: Kind = Kind::of::<TypeProto>(&[(1, &SHAPED), (4, &WRAPPED), (5, &MAP), (8, &SHAPED), (9, &WRAPPED)]);
static SHAPED: Kind = Kind::of::<type_proto::Tensor>(&[(2, &SHAPE)]);
static WRAPPED: Kind = Kind::of::<type_proto::Sequence>(&[(1, &TYPE)]);
static MAP: Kind = Kind::of::<type_proto::Map>(&[(2, &TYPE)]);
static SHAPE: Kind = Kind::of::<TensorShapeProto>(&[(1, &DIMENSION)]);
static DIMENSION: Kind = Kind::of::<Dimension>(&[]);
static ANNOTATION: Kind = Kind::of::<TensorAnnotation>(&[(2, &ENTRY)]);
static TRAINING: Kind = Kind::of::<TrainingInfoProto>(&[(1, &GRAPH), (2, &GRAPH), (3, &ENTRY), (4, &ENTRY)]);
static FUNCTION: Kind = Kind::of::<FunctionProto>(&[
    (4, &TEXT),
    (5, &TEXT),
    (6, &TEXT),
    (7, &NODE),
    (9, &OPERATOR_SET),
    (11, &ATTRIBUTE),
    (12, &VALUE),
    (14, &ENTRY),
]);
static OPERATOR_SET: Kind = Kind::of::<OperatorSetIdProto>(&[]);
static ENTRY: Kind = Kind::of::<StringStringEntryProto>(&[]);
static TEXT: Kind = Kind::of::<Bytes>(&[]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, onnx::OnnxModel};

    fn message(tag: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend_from_slice(inner);
        bytes
    }

    #[test]
    fn a_small_file_that_would_fill_the_memory_is_refused() {
        // Two bytes each, a few megabytes in all: as decoded messages they would take gigabytes.
        let many = |tag: u8| [tag << 3 | 2, 0].repeat(3 << 20);
        let hostile = [
            ("nodes", message(7, &many(1))),
            ("constants", message(7, &many(5))),
            ("attributes", message(7, &message(1, &many(5)))),
            ("tensors of an attribute", message(7, &message(1, &message(5, &many(10))))),
            ("behind a group of no meaning", [[0x7b, 0x7c].as_slice(), &message(7, &many(1))].concat()),
        ];
        for (what, bytes) in hostile {
            let error = OnnxModel::from_bytes(bytes).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{what}: {error}");
        }
    }

    #[test]
    fn what_is_allowed_is_still_decoded() {
        // As many as a large export has: a hundred thousand nodes of two attributes.
        let node = message(1, &[message(5, &[]), message(5, &[])].concat());
        check(&message(7, &node.repeat(100_000))).expect("within the limit");
    }

    #[test]
    fn fields_of_the_wrong_kind_and_lengths_beyond_the_end_are_corrupt() {
        for bytes in [&[7 << 3, 1][..], &[7 << 3 | 2, 9, 0], &[7 << 3 | 2], &[0x7c], &[0]] {
            assert_eq!(check(bytes).expect_err("no model").kind(), ErrorKind::Corrupt, "{bytes:?}");
        }
    }
}
