//! Providers for NVIDIA GPUs.

use super::{MoreOptions, settings::Settings};
use crate::Result;
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Options of CUDA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cuda {
    /// Which GPU, counted from zero.
    pub device: u32,
    /// The most memory that the arena takes on the GPU; weights and what CUDA itself takes come on top.
    pub memory_limit_bytes: Option<u64>,
    /// Whether calls are captured as a CUDA graph, for models of fixed shapes.
    pub cuda_graph: Option<bool>,
    /// Whether products may be in TF32 on GPUs that have it; the library says yes.
    pub tf32: Option<bool>,
    /// Whether convolutions are laid out with channels last.
    pub prefer_nhwc: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl Cuda {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("device_id", Some(self.device))
            .value("gpu_mem_limit", self.memory_limit_bytes)
            .switch("enable_cuda_graph", self.cuda_graph)
            .switch("use_tf32", self.tf32)
            .switch("prefer_nhwc", self.prefer_nhwc)
            .more(&self.more)?
            .apply(ep::CUDA::default())
    }
}

/// Options of TensorRT. List [`Cuda`] after it for the operators that TensorRT has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TensorRt {
    /// Which GPU, counted from zero.
    pub device: u32,
    /// The most memory that building and running an engine may use as working space.
    pub workspace_bytes: Option<u64>,
    /// Whether layers may run in FP16.
    pub fp16: Option<bool>,
    /// Whether layers may run in BF16.
    pub bf16: Option<bool>,
    /// Whether layers may run in INT8; a model without quantization nodes needs `int8_calibration_table` too.
    pub int8: Option<bool>,
    /// The name of the calibration table in the folder of the engine cache.
    pub int8_calibration_table: Option<String>,
    /// A folder that keeps the engines, so that only the first load on a kind of GPU builds them, which takes minutes.
    pub engine_cache: Option<PathBuf>,
    /// A folder that keeps the timings that choose kernels.
    pub timing_cache: Option<PathBuf>,
    /// The fewest nodes that are worth an engine.
    pub min_subgraph_nodes: Option<u32>,
    /// How long the builder searches, from 0 to 5.
    pub builder_optimization_level: Option<u8>,
    /// Whether calls are captured as a CUDA graph.
    pub cuda_graph: Option<bool>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl TensorRt {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        let cached = |path: &Option<PathBuf>| path.as_ref().map(|_| true);
        Settings::default()
            .value("device_id", Some(self.device))
            .value("trt_max_workspace_size", self.workspace_bytes)
            .switch("trt_fp16_enable", self.fp16)
            .switch("trt_bf16_enable", self.bf16)
            .switch("trt_int8_enable", self.int8)
            .value("trt_int8_calibration_table_name", self.int8_calibration_table.as_ref())
            .switch("trt_engine_cache_enable", cached(&self.engine_cache))
            .path("trt_engine_cache_path", self.engine_cache.as_deref())?
            .switch("trt_timing_cache_enable", cached(&self.timing_cache))
            .path("trt_timing_cache_path", self.timing_cache.as_deref())?
            .value("trt_min_subgraph_size", self.min_subgraph_nodes)
            .value("trt_builder_optimization_level", self.builder_optimization_level)
            .switch("trt_cuda_graph_enable", self.cuda_graph)
            .more(&self.more)?
            .apply(ep::TensorRT::default())
    }
}

/// Options of TensorRT for RTX.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NvTensorRtRtx {
    /// Which GPU, counted from zero.
    pub device: u32,
    /// The most memory that building and running an engine may use as working space.
    pub workspace_bytes: Option<u64>,
    /// Whether calls are captured as a CUDA graph.
    pub cuda_graph: Option<bool>,
    /// A folder that keeps compiled kernels.
    pub runtime_cache: Option<PathBuf>,
    /// Options without a field.
    pub more: MoreOptions,
}

impl NvTensorRtRtx {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default()
            .value("device_id", Some(self.device))
            .value("nv_max_workspace_size", self.workspace_bytes)
            .switch("enable_cuda_graph", self.cuda_graph)
            .path("nv_runtime_cache_path", self.runtime_cache.as_deref().map(Path::new))?
            .more(&self.more)?
            .apply(ep::NVRTX::default())
    }
}
