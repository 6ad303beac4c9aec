//! ONNX files, with the mistakes of their exporters mended.

use super::{Format, Import, ImportOptions, ImportReport};
use crate::{
    Bundle, Result,
    onnx::{OnnxModel, check},
};
use bytes::Bytes;

pub(super) fn import(bytes: Bytes, _options: &ImportOptions) -> Result<Import> {
    let proto = check::decode(&bytes)?;
    let version = format!("{} {}", proto.producer_name(), proto.producer_version()).trim().escape_debug().to_string();
    let model = OnnxModel::from_bytes(bytes)?;
    let report = ImportReport {
        format: Format::Onnx,
        version,
        trees: 0,
        compared_rows: 0,
        greatest_difference: 0.0,
        notes: Vec::new(),
    };
    Ok(Import { bundle: Bundle::builder(model), report })
}
