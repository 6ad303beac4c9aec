//! Providers for ARM processors, phones and boards.

use super::{
    MoreOptions,
    settings::{Settings, loud},
};
use crate::Result;
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroUsize, path::PathBuf};

/// Options of XNNPACK.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Xnnpack {
    /// Threads of its own pool; those of [`LoadOptions`](crate::runtime::LoadOptions) when there is no number.
    pub threads: Option<NonZeroUsize>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl Xnnpack {
    pub(super) fn dispatch(&self, threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("intra_op_num_threads", Some(self.threads.unwrap_or(threads)))
            .more(&self.more)?
            .apply(ep::XNNPACK::default())
    }
}

/// Options of the Compute Library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acl {
    /// Whether products may be less precise.
    pub fast_math: bool,
}

impl Acl {
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Ok(loud(ep::ACL::default().with_fast_math(self.fast_math)))
    }
}

/// Options of Arm NN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArmNn {
    /// Whether memory is kept between calls.
    pub arena: bool,
}

impl ArmNn {
    #[expect(deprecated, reason = "older libraries have it")]
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Ok(loud(ep::ArmNN::default().with_arena_allocator(self.arena)))
    }
}

/// Options of NNAPI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nnapi {
    /// Whether arithmetic is in FP16.
    pub fp16: bool,
    /// Whether channels come first.
    pub nchw: bool,
    /// Whether its implementation on the processor is left out.
    pub disable_cpu: bool,
    /// Whether only its implementation on the processor is used.
    pub cpu_only: bool,
}

impl Nnapi {
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        let provider = ep::NNAPI::default()
            .with_fp16(self.fp16)
            .with_nchw(self.nchw)
            .with_disable_cpu(self.disable_cpu)
            .with_cpu_only(self.cpu_only);
        Ok(loud(provider))
    }
}

/// Options of Qualcomm's AI Engine Direct.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qnn {
    /// The library of the backend: `libQnnHtp.so` for the NPU, `libQnnGpu.so`, `libQnnCpu.so`.
    pub backend: Option<PathBuf>,
    /// The device, counted from zero.
    pub device: Option<u32>,
    /// The trade of speed and power, such as `burst`, `balanced` or `power_saver`.
    pub performance: Option<String>,
    /// Whether FP32 models run in FP16 on the NPU.
    pub fp16: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl Qnn {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .path("backend_path", self.backend.as_deref())?
            .value("device_id", self.device)
            .value("htp_performance_mode", self.performance.as_ref())
            .switch("enable_htp_fp16_precision", self.fp16)
            .more(&self.more)?
            .apply(ep::QNN::default())
    }
}

/// Options of Rockchip NPUs: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rknpu {}

impl Rknpu {
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Ok(loud(ep::RKNPU::default()))
    }
}

/// Options of VeriSilicon NPUs: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vsinpu {}

impl Vsinpu {
    #[expect(clippy::unnecessary_wraps, reason = "one form for all providers")]
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Ok(loud(ep::VSINPU))
    }
}
