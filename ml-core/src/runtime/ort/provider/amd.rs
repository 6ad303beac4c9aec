//! Providers for AMD hardware.

use super::{
    MoreOptions,
    settings::{Settings, loud, no_zero, path_text},
};
use crate::{Error, Result};
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroUsize, path::PathBuf};

/// Options of MIGraphX.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MiGraphX {
    /// Which GPU, counted from zero.
    pub device: u32,
    /// The most memory that the arena takes on the GPU.
    pub memory_limit_bytes: Option<u64>,
    /// Whether arithmetic is in FP16.
    pub fp16: bool,
    /// Whether arithmetic is in FP8.
    pub fp8: bool,
    /// Whether arithmetic is in INT8.
    pub int8: bool,
    /// The calibration table for INT8.
    pub int8_calibration_table: Option<String>,
    /// A file that the compiled model is written to.
    pub save_model: Option<PathBuf>,
    /// A file that the compiled model is read from.
    pub load_model: Option<PathBuf>,
    /// Whether every kernel is tried, which takes long once.
    pub exhaustive_tune: bool,
}

impl MiGraphX {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        let too_large = |_| Error::invalid_input("an option is too large");
        let mut provider = ep::MIGraphX::default()
            .with_device_id(i32::try_from(self.device).map_err(too_large)?)
            .with_fp16(self.fp16)
            .with_fp8(self.fp8)
            .with_int8(self.int8)
            .with_exhaustive_tune(self.exhaustive_tune);
        if let Some(bytes) = self.memory_limit_bytes {
            provider = provider.with_mem_limit(usize::try_from(bytes).map_err(too_large)?);
        }
        if let Some(table) = &self.int8_calibration_table {
            provider = provider.with_int8_calibration_table(no_zero(table)?, false);
        }
        if let Some(path) = &self.save_model {
            provider = provider.with_save_model(path_text(path)?);
        }
        if let Some(path) = &self.load_model {
            provider = provider.with_load_model(path_text(path)?);
        }
        Ok(loud(provider))
    }
}

/// Options of ROCm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rocm {
    /// Which GPU, counted from zero.
    pub device: u32,
    /// The most memory that the arena takes on the GPU.
    pub memory_limit_bytes: Option<u64>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl Rocm {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("device_id", Some(self.device))
            .value("gpu_mem_limit", self.memory_limit_bytes)
            .more(&self.more)?
            .apply(ep::ROCm::default())
    }
}

/// Options of Vitis AI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VitisAi {
    /// The configuration that comes with the software of the device.
    pub config_file: Option<PathBuf>,
    /// A folder that keeps compiled models.
    pub cache: Option<PathBuf>,
    /// The name of this model in the cache.
    pub cache_key: Option<String>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl VitisAi {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .path("config_file", self.config_file.as_deref())?
            .path("cache_dir", self.cache.as_deref())?
            .value("cache_key", self.cache_key.as_ref())
            .more(&self.more)?
            .apply(ep::Vitis::default())
    }
}
