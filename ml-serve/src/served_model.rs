//! What a server tells about a model it serves.

use ml_core::{
    Signature,
    id::{ModelName, Version},
    runtime::LoadReport,
};
use std::sync::Arc;

/// A version of a model that is loaded.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct ServedModel {
    /// The model.
    pub name: ModelName,
    /// The version.
    pub version: Version,
    /// What it takes and gives.
    pub signature: Arc<Signature>,
    /// What really runs it.
    pub report: LoadReport,
}

impl ServedModel {
    /// Keeps the facts of a loaded version.
    #[must_use]
    pub fn new(name: ModelName, version: Version, signature: Arc<Signature>, report: LoadReport) -> Self {
        Self { name, version, signature, report }
    }
}
