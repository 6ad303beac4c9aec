//! The rows of a call to the native runtime, shared between threads.

use crate::runtime::golden;
use ml_core::{
    Compute, ErrorKind, InferenceRuntime, Seed, Tensor, Tensors,
    conformance::model::random_inputs,
    onnx::graph::{Attribute, Domain, GraphBuilder},
    runtime::{LoadOptions, LoadedModel, native::NativeRuntime},
    signature::TensorSpec,
    tensor::DType,
};
use std::num::NonZeroUsize;

fn options(threads: usize) -> LoadOptions {
    let mut options = LoadOptions::default();
    options.threads = NonZeroUsize::new(threads).expect("some");
    options
}

/// A model with one operator.
fn loaded(
    op: &'static str,
    domain: Domain,
    of: (DType, usize),
    to: (DType, Vec<usize>),
    attributes: Vec<Attribute>,
    options: &LoadOptions,
) -> LoadedModel {
    let mut graph = GraphBuilder::new("one");
    let x = graph.input(TensorSpec::batched("x", of.0, [of.1])).expect("free name");
    let y = graph.node(domain, op, &[x], attributes);
    graph.output(y, TensorSpec::batched("y", to.0, to.1)).expect("free name");
    NativeRuntime.load(&graph.finish().expect("a valid graph"), options).expect("supported")
}

fn sigmoid(options: &LoadOptions) -> LoadedModel {
    loaded("Sigmoid", Domain::Onnx, (DType::Fp32, 3), (DType::Fp32, vec![3]), vec![], options)
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (name, model, ..) in golden() {
        let load = |threads| NativeRuntime.load(&model, &options(threads)).expect(&name).model;
        let (one, three) = (load(1), load(3));
        for rows in [0, 1, 64, 65, 193, 1000] {
            let inputs = random_inputs(&model.signature, rows, Seed::new(7));
            let bits = |outputs: Tensors| -> Vec<String> {
                outputs
                    .into_iter()
                    .map(|(name, tensor)| format!("{name} {:?} {:?}", tensor.shape(), tensor.data()))
                    .collect()
            };
            let (one, three) = (one.predict(&inputs), three.predict(&inputs));
            match (one, three) {
                (Ok(one), Ok(three)) => assert_eq!(bits(one), bits(three), "{name} of {rows} rows"),
                (Err(one), Err(three)) => assert_eq!(one.kind(), three.kind(), "{name} of {rows} rows"),
                (one, three) => panic!("{name} of {rows} rows: {one:?}, {three:?}"),
            }
        }
    }
}

#[test]
fn the_report_tells_the_threads_that_are_used() {
    assert_eq!(sigmoid(&options(1)).report.threads.get(), 1);
    assert_eq!(sigmoid(&options(3)).report.threads.get(), 3);
}

#[test]
fn the_pool_of_the_host_is_used_as_far_as_it_goes() {
    let compute = Compute::new(NonZeroUsize::new(2).expect("some")).expect("threads");
    let mut options = options(8);
    options.compute = Some(compute.clone());
    let loaded = sigmoid(&options);
    assert_eq!(loaded.report.threads.get(), 2);
    let inputs =
        Tensors::new().with("x", Tensor::new([500, 3], vec![0.0_f32; 1500]).expect("shape")).expect("one name");
    let outside = loaded.model.predict(&inputs).expect("right inputs");
    assert_eq!(compute.install(|| loaded.model.predict(&inputs)).expect("right inputs"), outside);
    assert_eq!(outside.require("y").expect("the output").values::<f32>().expect("floats"), [0.5; 1500]);
}

#[test]
fn rows_that_depend_on_each_other_stay_on_one_thread() {
    let attributes = vec![Attribute::int("axis", 0)];
    let softmax = loaded("Softmax", Domain::Onnx, (DType::Fp32, 3), (DType::Fp32, vec![3]), attributes, &options(4));
    assert_eq!(softmax.report.threads.get(), 1);
}

#[test]
fn an_error_in_one_part_is_the_error_of_the_call() {
    let attributes = vec![Attribute::ints("cats_int64s", [1, 2]), Attribute::int("zeros", 0)];
    let loaded =
        loaded("OneHotEncoder", Domain::Ml, (DType::Int64, 1), (DType::Fp32, vec![1, 2]), attributes, &options(2));
    let mut values = vec![1_i64; 300];
    values[257] = 9;
    let inputs = Tensors::new().with("x", Tensor::column(values)).expect("one name");
    let error = loaded.model.predict(&inputs).expect_err("an unknown category");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("counted_from_row: 192"), "{error}");
}
