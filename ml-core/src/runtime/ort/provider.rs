//! Execution providers: what ONNX Runtime may compute on.

mod amd;
mod apple;
mod arm;
mod intel;
mod microsoft;
mod nvidia;
mod other;
mod settings;

pub use amd::{MiGraphX, Rocm, VitisAi};
pub use apple::{ComputeUnits, CoreMl, CoreMlFormat};
pub use arm::{Acl, ArmNn, Nnapi, Qnn, Rknpu, Vsinpu, Xnnpack};
pub use intel::{OneDnn, OpenVino};
pub use microsoft::{Azure, DirectMl, DirectMlDevices, DirectMlPreference};
pub use nvidia::{Cuda, NvTensorRtRtx, TensorRt};
pub use other::{Cann, Cpu, Tvm, WebGpu};

use crate::{Error, Result};
use ::ort::ep::ExecutionProviderDispatch;
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroUsize, str::FromStr};

/// The options of a provider that have no field of their own, by the names of the library.
pub type MoreOptions = std::collections::BTreeMap<String, String>;

/// One provider with its options becomes a variant, a name, and what registers it with a session.
macro_rules! providers {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $library:literal;)*) => {
        /// What ONNX Runtime may compute on, with the options of each.
        ///
        /// An option that is `None` is left as the library has it. Whether a provider is there depends on how the library
        /// was built and on the machine; [`OrtRuntime`](super::OrtRuntime) asks when a model is loaded and never passes over
        /// one without saying so.
        ///
        /// ```
        /// use ml_core::runtime::ort::{Cpu, Cuda, ExecutionProvider, OrtConfig, TensorRt};
        ///
        /// let config: OrtConfig = serde_json::from_str(r#"{
        ///     "library": "/opt/onnxruntime/lib/libonnxruntime.so",
        ///     "providers": [
        ///         {"name": "tensorrt", "fp16": true, "engine_cache": "/var/cache/engines"},
        ///         {"name": "cuda", "device": 0, "memory_limit_bytes": 2147483648},
        ///         {"name": "cpu"}
        ///     ]
        /// }"#)?;
        /// assert_eq!(config.providers[1], Cuda { memory_limit_bytes: Some(2 << 30), ..Cuda::default() }.into());
        /// assert_eq!(config.providers[2], "cpu".parse()?);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[non_exhaustive]
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum ExecutionProvider {
            $($(#[$doc])* #[serde(rename = $name)] $variant($variant),)*
        }

        impl ExecutionProvider {
            /// The names of all providers, as [`FromStr`] and the configuration take them.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The name, such as `cuda`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The name that the library uses, such as `CUDAExecutionProvider`.
            #[must_use]
            pub fn library_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $library,)* }
            }

            /// What registers the provider; `threads` is what one call may use.
            pub(super) fn dispatch(&self, threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
                let dispatch = match self { $(Self::$variant(options) => options.dispatch(threads),)* };
                dispatch.map_err(|error| error.with("provider", self.name()))
            }
        }

        /// The provider of this name with its default options.
        impl FromStr for ExecutionProvider {
            type Err = Error;
            fn from_str(name: &str) -> Result<Self> {
                match name {
                    $($name => Ok(Self::$variant($variant::default())),)*
                    _ => Err(Error::invalid_input("no such execution provider")
                        .with("provider", name.escape_debug())
                        .with("known", Self::NAMES.join(", "))),
                }
            }
        }

        $(impl From<$variant> for ExecutionProvider {
            fn from(options: $variant) -> Self {
                Self::$variant(options)
            }
        })*

        /// The name of the family for a name of the library; the library's own where the family has none.
        pub(super) fn short_name(library: &str) -> &str {
            match library {
                $($library => $name,)*
                other => other,
            }
        }
    };
}

providers! {
    /// The processor, with the kernels of ONNX Runtime itself. Always there.
    Cpu = "cpu", "CPUExecutionProvider";
    /// NVIDIA GPUs.
    Cuda = "cuda", "CUDAExecutionProvider";
    /// NVIDIA GPUs, through engines that TensorRT builds for the model and the GPU.
    TensorRt = "tensorrt", "TensorrtExecutionProvider";
    /// NVIDIA RTX GPUs, through TensorRT for RTX.
    NvTensorRtRtx = "nv_tensorrt_rtx", "NvTensorRTRTXExecutionProvider";
    /// Intel processors, GPUs and NPUs.
    OpenVino = "openvino", "OpenVINOExecutionProvider";
    /// Intel processors, through oneDNN.
    OneDnn = "onednn", "DnnlExecutionProvider";
    /// AMD GPUs, through MIGraphX.
    MiGraphX = "migraphx", "MIGraphXExecutionProvider";
    /// AMD GPUs, through ROCm; libraries from 1.23 on leave it out in favor of MIGraphX.
    Rocm = "rocm", "ROCMExecutionProvider";
    /// AMD NPUs and adaptive SoCs.
    VitisAi = "vitis_ai", "VitisAIExecutionProvider";
    /// Apple processors, GPUs and neural engines.
    CoreMl = "coreml", "CoreMLExecutionProvider";
    /// Any GPU or NPU of Windows, through DirectX 12.
    DirectMl = "directml", "DmlExecutionProvider";
    /// Models behind an endpoint of Azure.
    Azure = "azure", "AzureExecutionProvider";
    /// ARM, x86 and WebAssembly processors, with small-footprint kernels for neural nets.
    Xnnpack = "xnnpack", "XnnpackExecutionProvider";
    /// ARM processors, through the Compute Library.
    Acl = "acl", "ACLExecutionProvider";
    /// ARM processors and Mali GPUs, through Arm NN; recent libraries leave it out.
    ArmNn = "armnn", "ArmNNExecutionProvider";
    /// The accelerators of Android.
    Nnapi = "nnapi", "NnapiExecutionProvider";
    /// Qualcomm NPUs, GPUs and processors.
    Qnn = "qnn", "QNNExecutionProvider";
    /// Rockchip NPUs.
    Rknpu = "rknpu", "RknpuExecutionProvider";
    /// VeriSilicon NPUs.
    Vsinpu = "vsinpu", "VSINPUExecutionProvider";
    /// Huawei Ascend NPUs.
    Cann = "cann", "CANNExecutionProvider";
    /// Whatever Apache TVM compiles for.
    Tvm = "tvm", "TvmExecutionProvider";
    /// Any GPU, through WebGPU.
    WebGpu = "webgpu", "WebGpuExecutionProvider";
}

impl Default for ExecutionProvider {
    fn default() -> Self {
        Self::Cpu(Cpu::default())
    }
}

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<ExecutionProvider> {
        ExecutionProvider::NAMES.iter().map(|name| name.parse().expect("its own name")).collect()
    }

    #[test]
    fn every_provider_is_named_as_the_library_names_it() {
        for provider in all() {
            let dispatch = provider.dispatch(NonZeroUsize::MIN).expect("default options are valid");
            assert_eq!(dispatch.name(), provider.library_name());
            assert_eq!(short_name(dispatch.name()), provider.name());
        }
        assert_eq!(short_name("MineExecutionProvider"), "MineExecutionProvider");
    }

    #[test]
    fn a_configuration_reads_what_it_writes_and_refuses_what_it_does_not_know() {
        for provider in all() {
            let json = serde_json::to_string(&provider).expect("plain data");
            assert_eq!(serde_json::from_str::<ExecutionProvider>(&json).expect("its own form"), provider);
            let name = provider.name();
            assert_eq!(
                serde_json::from_str::<ExecutionProvider>(&format!(r#"{{"name":"{name}"}}"#)).expect("defaults"),
                provider
            );
            let unknown = format!(r#"{{"name":"{name}","surprise":1}}"#);
            assert!(serde_json::from_str::<ExecutionProvider>(&unknown).is_err(), "{unknown}");
        }
        assert!(serde_json::from_str::<ExecutionProvider>(r#"{"name":"abacus"}"#).is_err());
        assert!("abacus".parse::<ExecutionProvider>().expect_err("unknown").to_string().contains("tensorrt"));
    }

    #[test]
    fn options_that_no_library_can_take_are_refused() {
        let zero = || MoreOptions::from([("key".into(), "a\0b".into())]);
        let more = |key: &str| MoreOptions::from([(key.into(), "1".into())]);
        let wrong: Vec<ExecutionProvider> = vec![
            Cuda { more: zero(), ..Cuda::default() }.into(),
            Cuda { more: more(""), ..Cuda::default() }.into(),
            Cuda { more: more("device_id"), ..Cuda::default() }.into(),
            OpenVino { device: Some("CPU\0".into()), ..OpenVino::default() }.into(),
            TensorRt { engine_cache: Some("a\0b".into()), ..TensorRt::default() }.into(),
            Tvm { target: Some("llvm,so_folder:/tmp".into()), ..Tvm::default() }.into(),
            MiGraphX { save_model: Some("a\0b".into()), ..MiGraphX::default() }.into(),
        ];
        for provider in wrong {
            let Err(error) = provider.dispatch(NonZeroUsize::MIN) else { panic!("accepted: {provider:?}") };
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains(provider.name()), "{error}");
        }
    }
}
