//! The processor itself, and providers that belong to no maker of chips of the other files.

use super::{
    MoreOptions,
    settings::{Settings, loud, no_zero, path_text},
};
use crate::{Error, Result};
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroUsize, path::PathBuf};

/// Options of the processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cpu {
    /// Whether memory is kept between calls: faster, and never given back before the model is dropped.
    pub arena: bool,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { arena: true }
    }
}

impl Cpu {
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Ok(loud(ep::CPU::default().with_arena_allocator(self.arena)))
    }
}

/// Options of CANN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cann {
    /// Which NPU, counted from zero.
    pub device: u32,
    /// The most memory that the arena takes on the NPU.
    pub memory_limit_bytes: Option<u64>,
    /// The precision of the arithmetic, such as `force_fp16` or `must_keep_origin_dtype`.
    pub precision: Option<String>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl Cann {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("device_id", Some(self.device))
            .value("npu_mem_limit", self.memory_limit_bytes)
            .value("precision_mode", self.precision.as_ref())
            .more(&self.more)?
            .apply(ep::CANN::default())
    }
}

/// Options of TVM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tvm {
    /// What to compile for, such as `llvm -mcpu=skylake-avx512`.
    pub target: Option<String>,
    /// The folder with a model that TVM has compiled.
    pub compiled: Option<PathBuf>,
    /// How much is optimized, from 0 to 4.
    pub optimization_level: Option<u8>,
}

impl Tvm {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        // All options go in one text of `key:value,…`, so that a comma would begin another one.
        let whole = |text: &str| match no_zero(text)? {
            text if text.contains(',') => {
                Err(Error::invalid_input("TVM takes no option with a comma").with("option", text.escape_debug()))
            }
            text => Ok(text.to_owned()),
        };
        Ok(loud(ep::TVM {
            target: self.target.as_deref().map(whole).transpose()?,
            so_folder: self.compiled.as_deref().map(path_text).transpose()?.map(whole).transpose()?,
            opt_level: self.optimization_level.map(usize::from),
            ..ep::TVM::default()
        }))
    }
}

/// Options of WebGPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebGpu {
    /// Which GPU, counted from zero.
    pub device: Option<u32>,
    /// The backend of Dawn, `Vulkan` or `D3D12`.
    pub backend: Option<String>,
    /// The layout of images, `NCHW` or `NHWC`.
    pub layout: Option<String>,
    /// Whether calls are captured as a graph.
    pub graph_capture: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl WebGpu {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("deviceId", self.device)
            .value("dawnBackendType", self.backend.as_ref())
            .value("preferredLayout", self.layout.as_ref())
            .switch("enableGraphCapture", self.graph_capture)
            .more(&self.more)?
            .apply(ep::WebGPU::default())
    }
}
