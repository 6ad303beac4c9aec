//! What the `ort` runtime adds to a call of ONNX Runtime's C interface: 1.5 µs at most for a batch of one row.
//!
//! The raw side does what any program has to do around `Run`: it wraps the input, runs, copies the output out and frees both.
//! Needs the library: `ORT_DYLIB_PATH=/path/to/libonnxruntime.so cargo bench -p benches --bench ort_overhead`.
#![expect(unsafe_code, reason = "the raw side of the comparison is the C interface")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ml_core::{
    InferenceRuntime, Model, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    runtime::{
        LoadOptions,
        ort::{OrtConfig, OrtRuntime},
    },
    signature::TensorSpec,
    tensor::DType,
};
use ort::{
    AsPointer,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::Session,
    sys,
};
use std::{ffi::c_void, hint::black_box, ptr, slice};

const COLUMNS: usize = 30;

/// A regression: as little work as a model can be, so that the overhead stands out.
fn regression() -> OnnxModel {
    let mut graph = GraphBuilder::new("regression");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [COLUMNS])).expect("a free name");
    let coefficients = Attribute::floats("coefficients", (0..COLUMNS).map(|_| 0.25));
    let y = graph.node(Domain::Ml, "LinearRegressor", &[x], vec![coefficients]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("a free name");
    graph.finish().expect("a valid graph")
}

/// A dense net of 64, 256, 256 and 10.
fn net() -> OnnxModel {
    let mut graph = GraphBuilder::new("net");
    let mut x = graph.input(TensorSpec::batched("x", DType::Fp32, [64])).expect("a free name");
    for (from, to) in [(64, 256), (256, 256), (256, 10)] {
        let weights: Vec<f32> = (0..from * to).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
        let w = graph.initializer(Tensor::new([from, to], weights).expect("as many"));
        let b = graph.initializer(Tensor::new([to], vec![0.1_f32; to]).expect("as many"));
        x = graph.node(Domain::Onnx, "Gemm", &[x, w, b], vec![]);
        x = graph.node(Domain::Onnx, "Sigmoid", &[x], vec![]);
    }
    graph.output(x, TensorSpec::batched("y", DType::Fp32, [10])).expect("a free name");
    graph.finish().expect("a valid graph")
}

/// One session, called as a program in C would call it.
struct Raw {
    session: Session,
    memory: MemoryInfo<'static>,
}

impl Raw {
    fn new(environment: &ort::environment::Environment, model: &OnnxModel) -> Self {
        let session = Session::builder(environment)
            .and_then(|builder| {
                Ok(builder.with_intra_threads(1)?.with_inter_threads(1)?.with_intra_op_spinning(false)?)
            })
            .and_then(|mut builder| builder.commit_from_memory(&model.bytes))
            .expect("the model is supported");
        let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)
            .expect("the processor");
        Self { session, memory }
    }

    fn call(&mut self, x: &mut [f32], shape: [i64; 2]) -> Vec<f32> {
        let api = ort::api();
        let check = |status| unsafe { ort::Error::result_from_status(status) }.expect("the call is right");
        let (inputs, outputs) = ([c"x".as_ptr()], [c"y".as_ptr()]);
        let (mut input, mut output): (*mut sys::OrtValue, *mut sys::OrtValue) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: every pointer is to something that lives to the end of this block; both values are freed once.
        unsafe {
            check((api.CreateTensorWithDataAsOrtValue)(
                self.memory.ptr(),
                x.as_mut_ptr().cast::<c_void>(),
                size_of_val(x),
                shape.as_ptr(),
                2,
                sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &raw mut input,
            ));
            check((api.Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                inputs.as_ptr(),
                [input.cast_const()].as_ptr(),
                1,
                outputs.as_ptr(),
                1,
                &raw mut output,
            ));
            let mut data: *mut c_void = ptr::null_mut();
            let mut info = ptr::null_mut();
            let mut count = 0;
            check((api.GetTensorTypeAndShape)(output, &raw mut info));
            check((api.GetTensorShapeElementCount)(info, &raw mut count));
            (api.ReleaseTensorTypeAndShapeInfo)(info);
            check((api.GetTensorMutableData)(output, &raw mut data));
            let copy = slice::from_raw_parts(data.cast::<f32>(), count).to_vec();
            (api.ReleaseValue)(output);
            (api.ReleaseValue)(input);
            copy
        }
    }
}

fn overhead(criterion: &mut Criterion) {
    // The raw side shares the process's one environment, so it is made here and handed to the runtime.
    let library = std::env::var("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH names the library");
    let environment =
        ort::init_from(library).expect("a library").with_telemetry(false).build().expect("the first of this process");
    let runtime = OrtRuntime::with_environment(environment.clone())
        .with_providers(OrtConfig::default().providers)
        .expect("the processor");
    for (name, model, columns) in [("regression", regression(), COLUMNS), ("net", net(), 64)] {
        let mut group = criterion.benchmark_group(format!("ort_overhead/{name}"));
        let mut raw = Raw::new(&environment, &model);
        let loaded = runtime.load(&model, &LoadOptions::default()).expect("supported").model;
        for rows in [1_usize, 64] {
            let mut x: Vec<f32> = (0..rows * columns).map(|i| (i % 7) as f32).collect();
            let inputs =
                Tensors::new().with("x", Tensor::new([rows, columns], x.clone()).expect("as many")).expect("one name");
            let shape = [rows, columns].map(|length| i64::try_from(length).expect("short"));
            let expected = loaded.predict(&inputs).expect("right inputs");
            assert_eq!(expected.require("y").expect("there").values::<f32>().expect("FP32"), raw.call(&mut x, shape));
            group.bench_function(BenchmarkId::new("raw", rows), |b| b.iter(|| raw.call(black_box(&mut x), shape)));
            group.bench_function(BenchmarkId::new("runtime", rows), |b| b.iter(|| loaded.predict(black_box(&inputs))));
        }
    }
}

criterion_group!(benches, overhead);
criterion_main!(benches);
