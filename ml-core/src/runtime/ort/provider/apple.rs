//! The provider for Apple hardware.

use super::{MoreOptions, settings::Settings};
use crate::Result;
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroUsize, path::PathBuf};

/// Options of Core ML.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoreMl {
    /// What may compute; everything when it is not said.
    pub compute_units: Option<ComputeUnits>,
    /// The form that the model is turned into.
    pub format: Option<CoreMlFormat>,
    /// Whether the bodies of loops and branches are taken too.
    pub subgraphs: Option<bool>,
    /// Whether only nodes of fixed shapes are taken.
    pub static_shapes: Option<bool>,
    /// A folder that keeps compiled models.
    pub cache: Option<PathBuf>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl CoreMl {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        let units = self.compute_units.map(|units| match units {
            ComputeUnits::All => ep::coreml::ComputeUnits::All,
            ComputeUnits::CpuAndNeuralEngine => ep::coreml::ComputeUnits::CPUAndNeuralEngine,
            ComputeUnits::CpuAndGpu => ep::coreml::ComputeUnits::CPUAndGPU,
            ComputeUnits::CpuOnly => ep::coreml::ComputeUnits::CPUOnly,
        });
        let format = self.format.map(|format| match format {
            CoreMlFormat::MlProgram => ep::coreml::ModelFormat::MLProgram,
            CoreMlFormat::NeuralNetwork => ep::coreml::ModelFormat::NeuralNetwork,
        });
        Settings::default()
            .value("MLComputeUnits", units)
            .value("ModelFormat", format)
            .switch("EnableOnSubgraphs", self.subgraphs)
            .switch("RequireStaticInputShapes", self.static_shapes)
            .path("ModelCacheDirectory", self.cache.as_deref())?
            .more(&self.more)?
            .apply(ep::CoreML::default())
    }
}

/// What Core ML may compute on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeUnits {
    /// Everything there is.
    All,
    /// The processor and the neural engine.
    CpuAndNeuralEngine,
    /// The processor and the GPU.
    CpuAndGpu,
    /// The processor.
    CpuOnly,
}

/// A form of models in Core ML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoreMlFormat {
    /// The newer one, of macOS 12 and iOS 15 on, with more operators.
    MlProgram,
    /// The older one.
    NeuralNetwork,
}
