//! Providers for Intel hardware.

use super::{MoreOptions, settings::Settings};
use crate::Result;
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroUsize, path::PathBuf};

/// Options of OpenVINO.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenVino {
    /// The device: `CPU`, `GPU`, `GPU.1`, `NPU`, or several as in `AUTO:GPU,CPU`.
    pub device: Option<String>,
    /// The precision of the arithmetic: `FP32`, `FP16` or `ACCURACY`, which keeps that of the model.
    pub precision: Option<String>,
    /// Threads on the processor; those of [`LoadOptions`](crate::runtime::LoadOptions) when there is no number.
    pub threads: Option<NonZeroUsize>,
    /// How many calls run side by side.
    pub streams: Option<u8>,
    /// A folder that keeps compiled models.
    pub cache: Option<PathBuf>,
    /// Whether shapes may change between calls without compiling anew.
    pub dynamic_shapes: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl OpenVino {
    pub(super) fn dispatch(&self, threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("device_type", self.device.as_ref())
            .value("precision", self.precision.as_ref())
            .value("num_of_threads", Some(self.threads.unwrap_or(threads)))
            .value("num_streams", self.streams)
            .path("cache_dir", self.cache.as_deref())?
            .value("disable_dynamic_shapes", self.dynamic_shapes.map(|dynamic| !dynamic))
            .more(&self.more)?
            .apply(ep::OpenVINO::default())
    }
}

/// Options of oneDNN.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneDnn {
    /// Whether memory is kept between calls.
    pub arena: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl OneDnn {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default().switch("use_arena", self.arena).more(&self.more)?.apply(ep::OneDNN::default())
    }
}
