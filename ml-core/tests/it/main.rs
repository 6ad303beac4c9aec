//! Integration tests of ml-core.

mod collective;
mod onnx;
mod onnx_proto;
