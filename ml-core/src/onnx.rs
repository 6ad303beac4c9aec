//! ONNX: the one model format of the family.
//!
//! [`graph`] writes it, [`OnnxModel::from_bytes`] reads it and checks it. What the check passes is well formed and holds
//! all its data itself: nothing outside the file is ever read.

pub mod graph;

pub(crate) mod check;
#[rustfmt::skip]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub(crate) mod proto;
pub(crate) mod tensor;
pub(crate) mod unzip;
mod weight;

use crate::{Result, Signature};
use bytes::Bytes;
use prost::Message as _;

/// An ONNX model and the signature it is called with.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxModel {
    /// The bytes of a `ModelProto`.
    pub bytes: Bytes,
    /// What the model takes and gives.
    pub signature: Signature,
}

impl OnnxModel {
    /// Reads and checks a model; the signature is that of its graph.
    ///
    /// A first dimension without a name is taken as the [batch](crate::signature::BATCH), as exporters leave it; another
    /// dimension without a name gets one of its own.
    ///
    /// An output that `ZipMap` makes, a map from class to probability for each row, becomes the `FP32` tensor it was made
    /// from: of shape `[batch, classes]`, with the classes in the order of the map's labels. Only then do the bytes differ
    /// from those given.
    ///
    /// ```
    /// use ml_core::{ErrorKind, onnx::OnnxModel};
    ///
    /// let error = OnnxModel::from_bytes(b"not a graph".to_vec()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Corrupt);
    /// ```
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) for bytes that are no well-formed model: not protobuf, a value used before it is
    /// made or made twice, a tensor whose bytes do not fill its shape.
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for data outside the file, for inputs and outputs that are no tensors,
    /// and for more than [2 GiB](https://protobuf.dev/programming-guides/proto-limits/).
    /// [`ResourceExhausted`](crate::ErrorKind::ResourceExhausted) for more nodes, attributes, tensors and texts than 512 MiB
    /// hold once they are decoded, which a hostile file asks for in a few megabytes; a large graph has some ten thousand
    /// nodes and takes a tenth of that. Numbers take up to eight times their bytes, and raw bytes are not copied.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Result<Self> {
        let mut bytes = bytes.into();
        let mut model = check::decode(&bytes)?;
        if !unzip::unzip(&mut model)?.is_empty() {
            bytes = model.encode_to_vec().into();
        }
        Ok(Self { bytes, signature: check::signature(&model)? })
    }
}
