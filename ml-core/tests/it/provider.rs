//! Execution providers: those that are there run the model, those that are not say so.
//!
//! Beside the library for processors, `cargo xtask test` brings three others, which exist for Linux on x86-64: one with
//! OpenVINO, which runs on any processor, one with CUDA and TensorRT, and one that is too old.

use crate::{
    own_process::{in_own_process, library},
    runtime::golden_of,
};
use ml_core::{
    ErrorKind, InferenceRuntime, Model, Result, Seed, Tensor,
    conformance::model::{assert_close, random_inputs},
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    runtime::{
        LoadOptions, LoadedModel, Runtimes,
        native::NativeRuntime,
        ort::{Cpu, Cuda, ExecutionProvider, OpenVino, OrtConfig, OrtRuntime, TensorRt},
    },
    signature::TensorSpec,
    tensor::DType,
};
use std::{path::PathBuf, sync::Arc};

/// A net of two layers, which every provider runs.
pub(crate) fn net() -> OnnxModel {
    let mut random = Seed::new(11).stream("net");
    let mut weights = |shape: [usize; 2]| {
        let values = (0..shape[0] * shape[1]).map(|_| f64_to_f32(random.next_f64() - 0.5)).collect();
        Tensor::new(shape, values).expect("as many as the shape says")
    };
    let mut graph = GraphBuilder::new("net");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [8])).expect("a free name");
    let (w1, b1, w2, b2) = (weights([8, 16]), weights([1, 16]), weights([16, 3]), weights([1, 3]));
    let (w1, b1) = (graph.initializer(w1), graph.initializer(b1));
    let (w2, b2) = (graph.initializer(w2), graph.initializer(b2));
    let hidden = graph.node(Domain::Onnx, "Gemm", &[x, w1, b1], vec![Attribute::int("transB", 0)]);
    let hidden = graph.node(Domain::Onnx, "Sigmoid", &[hidden], vec![]);
    let y = graph.node(Domain::Onnx, "Gemm", &[hidden, w2, b2], vec![Attribute::int("transB", 0)]);
    let y = graph.node(Domain::Onnx, "Sigmoid", &[y], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [3])).expect("a free name");
    graph.finish().expect("a valid graph")
}

fn f64_to_f32(value: f64) -> f32 {
    half::f16::from_f64(value).to_f32()
}

fn load(library: Option<PathBuf>, providers: Vec<ExecutionProvider>, model: &OnnxModel) -> Result<LoadedModel> {
    OrtRuntime::new(OrtConfig { library, providers })?.load(model, &LoadOptions::default())
}

/// The model gives what the native runtime gives.
fn agrees_with_native(loaded: &LoadedModel, model: &OnnxModel) {
    let native = NativeRuntime.load(model, &LoadOptions::default()).expect("supported").model;
    for rows in [0, 1, 7, 64] {
        let inputs = random_inputs(&model.signature, rows, Seed::new(23));
        let inputs = if model.signature == net().signature { finite(rows) } else { inputs };
        let expected = native.predict(&inputs).expect("right inputs");
        assert_close(&expected, &loaded.model.predict(&inputs).expect("right inputs"));
    }
}

/// The runtimes that need no library.
fn without_library() -> Vec<Arc<dyn InferenceRuntime>> {
    vec![
        Arc::new(NativeRuntime),
        #[cfg(feature = "tract")]
        Arc::new(ml_core::runtime::tract::TractRuntime),
    ]
}

/// Inputs without NaN and infinities, which providers treat as they like.
fn finite(rows: usize) -> ml_core::Tensors {
    let mut random = Seed::new(29).stream("finite");
    let values = (0..rows * 8).map(|_| f64_to_f32(random.next_f64() * 4.0 - 2.0)).collect();
    ml_core::Tensors::new().with("x", Tensor::new([rows, 8], values).expect("eight a row")).expect("one name")
}

#[test]
fn the_processor_runs_every_node_and_the_report_says_so() {
    in_own_process(|| {
        let loaded = load(None, vec![Cpu::default().into()], &net()).expect("the library is there");
        let report = &loaded.report;
        assert_eq!((report.runtime.as_str(), report.provider.as_str()), ("onnxruntime", "cpu"));
        assert_eq!(report.placements.len(), 1, "{report:?}");
        assert!(report.placements[0].nodes > 0 && report.declined.is_empty(), "{report:?}");
        agrees_with_native(&loaded, &net());
    });
}

#[test]
fn the_memory_of_a_model_is_that_of_its_weights_and_more() {
    in_own_process(|| {
        let mut graph = GraphBuilder::new("wide");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1024])).expect("a free name");
        let w = graph.initializer(Tensor::new([1024, 2048], vec![0.5_f32; 1024 * 2048]).expect("as many"));
        let b = graph.initializer(Tensor::new([1, 2048], vec![0.5_f32; 2048]).expect("as many"));
        let y = graph.node(Domain::Onnx, "Gemm", &[x, w, b], vec![]);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [2048])).expect("a free name");
        let loaded = load(None, vec![Cpu::default().into()], &graph.finish().expect("valid")).expect("supported");
        let bytes = loaded.report.memory_bytes.expect("the arena counts");
        assert!((8 << 20..64 << 20).contains(&bytes), "8 MiB of weights in {bytes} bytes");
    });
}

#[test]
fn a_provider_that_is_not_there_is_an_error_or_the_next_of_the_list() {
    in_own_process(|| {
        for name in ExecutionProvider::NAMES {
            let provider: ExecutionProvider = name.parse().expect("its own name");
            // Azure is in every build and takes no node of an ordinary model.
            if ["cpu", "azure"].contains(name) {
                continue;
            }
            let error = load(None, vec![provider.clone()], &net()).expect_err("not in this library");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error:?}");
            assert!(error.to_string().contains(&format!("declined: {name} (")), "{error}");
            let loaded = load(None, vec![provider, Cpu::default().into()], &net()).expect("the processor is next");
            assert_eq!(loaded.report.provider, "cpu", "{name}");
            let declined = &loaded.report.declined;
            assert!(declined.len() == 1 && declined[0].candidate == *name, "{declined:?}");
            assert!(!declined[0].reason.is_empty());
            assert!(loaded.report.to_string().contains(&format!("declined: {name} (")), "{}", loaded.report);
        }
        let azure = || "azure".parse::<ExecutionProvider>().expect("its own name");
        let loaded = load(None, vec![azure(), Cpu::default().into()], &net()).expect("the processor is next");
        assert_eq!(loaded.report.declined[0].reason, "it takes none of the nodes of the model");
        let error = load(None, vec![azure()], &net()).expect_err("nobody takes the nodes");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    });
}

#[test]
fn a_list_of_providers_that_makes_no_sense_is_refused() {
    in_own_process(|| {
        let new = |providers| OrtRuntime::new(OrtConfig { library: None, providers }).expect_err("refused");
        let empty = new(vec![]);
        assert_eq!(
            (empty.kind(), empty.message()),
            (ErrorKind::InvalidInput, "the list of execution providers is empty")
        );
        let twice =
            new(vec![Cuda::default().into(), Cpu::default().into(), Cuda { device: 1, ..Cuda::default() }.into()]);
        assert_eq!(twice.to_string(), "runtime.ort.new: an execution provider is listed twice (provider: cuda)");
        let zero = new(vec![OpenVino { device: Some("C\0PU".into()), ..OpenVino::default() }.into()]);
        assert_eq!(zero.kind(), ErrorKind::InvalidInput, "{zero}");
    });
}

#[test]
fn runtimes_are_tried_in_order_and_the_report_says_who_declined() {
    in_own_process(|| {
        let mut graph = GraphBuilder::new("spectrum");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [16, 1])).expect("a free name");
        let y = graph.node(Domain::Onnx, "DFT", &[x], vec![]);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [16, 2])).expect("a free name");
        let spectrum = graph.finish().expect("a valid graph");
        let ort = OrtRuntime::new(OrtConfig {
            library: None,
            providers: vec![Cuda::default().into(), Cpu::default().into()],
        })
        .expect("the library is there");
        let both = Runtimes::new(vec![Arc::new(NativeRuntime), Arc::new(ort.clone())]);
        assert!(both.supports(&spectrum));
        let report = both.load(&spectrum, &LoadOptions::default()).expect("the second takes it").report;
        assert_eq!(report.runtime, "onnxruntime");
        let declined: Vec<&str> = report.declined.iter().map(|declined| declined.candidate.as_str()).collect();
        assert_eq!(declined, ["native", "cuda"], "{report}");
        assert!(report.declined[0].reason.contains("DFT"), "{report}");
        let report = both.load(&net(), &LoadOptions::default()).expect("the first takes it").report;
        assert!(report.runtime == "native" && report.declined.is_empty(), "{report}");

        let nobody = Runtimes::new(vec![
            Arc::new(NativeRuntime),
            Arc::new(ort.with_providers(vec![TensorRt::default().into()]).expect("a valid list")),
        ]);
        let error = nobody.load(&spectrum, &LoadOptions::default()).expect_err("none takes it");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let message = error.to_string();
        assert!(message.contains("declined: native (") && message.contains("declined: onnxruntime ("), "{message}");
        assert!(message.contains("tensorrt"), "{message}");

        let mut damaged = net();
        damaged.bytes = damaged.bytes.slice(..damaged.bytes.len() / 2);
        let error = both.load(&damaged, &LoadOptions::default()).expect_err("half a model");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "damaged for the first is damaged for all: {error}");
    });
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod other_libraries {
    use super::*;

    #[test]
    fn openvino_runs_every_node_without_the_processor_of_onnx_runtime() {
        in_own_process(|| {
            let openvino =
                || OpenVino { device: Some("CPU".into()), precision: Some("FP32".into()), ..OpenVino::default() };
            let path = library("ORT_OPENVINO_PATH");
            // Without the processor in the list, the library refuses a model of which it would run a node itself.
            let loaded =
                load(Some(path.clone()), vec![openvino().into()], &net()).expect("OpenVINO is in this library");
            let report = &loaded.report;
            assert_eq!((report.provider.as_str(), report.version.as_str()), ("openvino", "1.24.1"));
            assert!(report.placements.iter().all(|placement| placement.provider == "openvino"), "{report:?}");
            assert!(report.declined.is_empty(), "{report}");
            agrees_with_native(&loaded, &net());

            let cpu = load(Some(path.clone()), vec![Cpu::default().into()], &net()).expect("always there");
            assert_eq!(cpu.report.provider, "cpu");
            for rows in [1, 5, 64] {
                let expected = cpu.model.predict(&finite(rows)).expect("right inputs");
                assert_close(&expected, &loaded.model.predict(&finite(rows)).expect("right inputs"));
            }

            // It has no trees: alone it is refused, and with the processor next it is told.
            let (_, trees, inputs, expected) = golden_of("trees").into_iter().next().expect("a golden model");
            let error = load(Some(path.clone()), vec![openvino().into()], &trees).expect_err("no trees in OpenVINO");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            let loaded = load(Some(path), vec![openvino().into(), Cpu::default().into()], &trees)
                .expect("the processor is next");
            assert_eq!(loaded.report.provider, "cpu");
            assert_eq!(loaded.report.declined[0].candidate, "openvino");
            assert_close(&expected, &loaded.model.predict(&inputs).expect("right inputs"));
        });
    }

    /// A dense net, a convolution and an encoder: what OpenVINO runs without help gives what the processor gives, and so do
    /// the runtimes without a library where they take the model.
    #[test]
    fn the_same_nets_give_the_same_on_every_runtime_and_provider() {
        in_own_process(|| {
            let path = library("ORT_OPENVINO_PATH");
            let openvino =
                OpenVino { device: Some("CPU".into()), precision: Some("FP32".into()), ..OpenVino::default() };
            let mut taken = Vec::new();
            for name in ["mlp", "conv", "encoder"] {
                let file =
                    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/optimize_{name}.onnx"));
                let model = OnnxModel::from_bytes(std::fs::read(file).expect("checked in")).expect("a valid model");
                let cpu = load(Some(path.clone()), vec![Cpu::default().into()], &model).expect("always there").model;
                let providers = vec![openvino.clone().into()];
                let loaded = load(Some(path.clone()), providers, &model).expect("OpenVINO runs all of it");
                assert_eq!(loaded.report.provider, "openvino", "{}", loaded.report);
                let mut others = vec![("openvino".to_owned(), loaded.model)];
                for runtime in without_library() {
                    match runtime.load(&model, &LoadOptions::default()) {
                        Ok(loaded) => others.push((runtime.name().to_owned(), loaded.model)),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error:?}"),
                    }
                }
                for (runner, other) in others {
                    for rows in [1, 4] {
                        let inputs = moderate(&model, rows);
                        let expected = cpu.predict(&inputs).expect("right inputs");
                        let got =
                            other.predict(&inputs).unwrap_or_else(|error| panic!("{name} on {runner}: {error:?}"));
                        assert_near(&expected, &got, &format!("{name} on {runner}"));
                    }
                    taken.push(format!("{name} on {runner}"));
                }
            }
            for sure in ["mlp on openvino", "conv on openvino", "encoder on openvino", "mlp on native"] {
                assert!(taken.iter().any(|taken| taken == sure), "{sure}: {taken:?}");
            }
        });
    }

    /// Small numbers without NaN, and whole numbers that are valid as words of any vocabulary.
    fn moderate(model: &OnnxModel, rows: usize) -> ml_core::Tensors {
        random_inputs(&model.signature, rows, Seed::new(31)).iter().fold(
            ml_core::Tensors::new(),
            |inputs, (name, tensor)| {
                let shape = tensor.shape().to_vec();
                let tensor = match tensor.dtype() {
                    DType::Fp32 => {
                        let values = (0..tensor.len()).map(|i| (i % 13) as f32 / 6.5 - 1.0).collect();
                        Tensor::new(shape, values).expect("the same shape")
                    }
                    DType::Int64 => Tensor::new(shape, vec![1_i64; tensor.len()]).expect("the same shape"),
                    _ => tensor.clone(),
                };
                inputs.with(name, tensor).expect("names differ")
            },
        )
    }

    /// Sums of hundreds of products, in another order on every engine: 1e-4 of the largest.
    fn assert_near(expected: &ml_core::Tensors, got: &ml_core::Tensors, what: &str) {
        for (name, expected) in expected.iter() {
            let got = got.require(name).expect("the output is there");
            assert_eq!((expected.dtype(), expected.shape()), (got.dtype(), got.shape()), "{what}: {name}");
            let (Ok(expected), Ok(got)) = (expected.values::<f32>(), got.values::<f32>()) else {
                assert_eq!(expected, got, "{what}: {name}");
                continue;
            };
            let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
            let apart = expected.iter().zip(got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-4 * largest, "{what}: {name} is {apart} apart");
        }
    }

    #[test]
    fn cuda_and_tensorrt_say_what_is_missing_and_lead_on_to_the_next_of_the_list() {
        in_own_process(|| {
            if std::path::Path::new("/dev/nvidiactl").exists() {
                return; // The group `gpu` runs here instead.
            }
            let path = library("ORT_GPU_PATH");
            for provider in [ExecutionProvider::from(Cuda::default()), TensorRt::default().into()] {
                let error = load(Some(path.clone()), vec![provider.clone()], &net()).expect_err("there is no GPU");
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert!(error.to_string().contains(&format!("declined: {provider} (")), "{error}");
                assert!(error.to_string().contains(".so"), "names the library that is missing: {error}");
            }
            let list = vec![TensorRt::default().into(), Cuda::default().into(), Cpu::default().into()];
            let loaded = load(Some(path), list, &net()).expect("the processor is next");
            assert_eq!((loaded.report.provider.as_str(), loaded.report.version.as_str()), ("cpu", "1.31.1"));
            let declined: Vec<&str> =
                loaded.report.declined.iter().map(|declined| declined.candidate.as_str()).collect();
            assert_eq!(declined, ["tensorrt", "cuda"]);
            agrees_with_native(&loaded, &net());
        });
    }

    #[test]
    fn a_library_that_is_too_old_says_which_version_is_needed() {
        in_own_process(|| {
            let path = library("ORT_OLD_PATH");
            let error = load(Some(path), vec![Cpu::default().into()], &net()).expect_err("too old");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            let message = error.to_string();
            assert!(
                message.contains("version 1.24 or later is needed") && message.contains("version: 1.23.2"),
                "{message}"
            );
            // Nothing is in the way of a right one afterwards.
            load(None, vec![Cpu::default().into()], &net()).expect("the library is there");
        });
    }

    #[test]
    fn a_second_library_in_one_process_is_a_conflict_that_names_both() {
        in_own_process(|| {
            load(None, vec![Cpu::default().into()], &net()).expect("the library is there");
            let path = library("ORT_OPENVINO_PATH");
            let error = load(Some(path.clone()), vec![Cpu::default().into()], &net()).expect_err("another library");
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
            let other = path.canonicalize().expect("there").display().to_string();
            let first = library("ORT_DYLIB_PATH").canonicalize().expect("there").display().to_string();
            assert!(error.to_string().contains(&other) && error.to_string().contains(&first), "{error}");
        });
    }
}

/// Needs an NVIDIA GPU, and its libraries on the path of the loader: `cargo nextest run --run-ignored only -E 'test(gpu::)'`.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod gpu {
    use super::*;

    #[test]
    #[ignore = "needs an NVIDIA GPU with CUDA"]
    fn cuda_runs_the_net_as_the_processor_does() {
        in_own_process(|| {
            let loaded = load(Some(library("ORT_GPU_PATH")), vec![Cuda::default().into()], &net()).expect("a GPU");
            assert_eq!(loaded.report.provider, "cuda", "{}", loaded.report);
            assert!(loaded.report.declined.is_empty(), "{}", loaded.report);
            agrees_with_native(&loaded, &net());
        });
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU with TensorRT"]
    fn tensorrt_keeps_its_engine_for_the_next_load() {
        in_own_process(|| {
            let cache = tempfile::tempdir().expect("a temporary folder");
            let tensorrt = TensorRt { engine_cache: Some(cache.path().into()), ..TensorRt::default() };
            for _ in 0..2 {
                let list = vec![tensorrt.clone().into(), Cuda::default().into()];
                let loaded = load(Some(library("ORT_GPU_PATH")), list, &net()).expect("a GPU");
                assert_eq!(loaded.report.provider, "tensorrt", "{}", loaded.report);
                agrees_with_native(&loaded, &net());
                assert!(cache.path().read_dir().expect("a folder").next().is_some(), "an engine is kept");
            }
        });
    }
}
