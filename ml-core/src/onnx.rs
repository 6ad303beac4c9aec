//! ONNX: the one model format of the family.

use crate::Signature;
use bytes::Bytes;

/// An ONNX model and the signature it is called with.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxModel {
    /// The bytes of a `ModelProto`.
    pub bytes: Bytes,
    /// What the model takes and gives.
    pub signature: Signature,
}
