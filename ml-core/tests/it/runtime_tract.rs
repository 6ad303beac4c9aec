//! The tract runtime: its contract, the node tests of ONNX, and agreement with the native runtime.

use crate::{
    node::{NodeCase, Verdict},
    onnx::classifier,
    runtime::{golden, golden_of},
};
use ml_core::{
    ErrorKind, InferenceRuntime, Model, Seed, Tensor, Tensors,
    conformance::model::{assert_close, random_inputs},
    onnx::graph::{Attribute, Domain, GraphBuilder},
    runtime::{LoadOptions, native::NativeRuntime, tract::TractRuntime},
    signature::TensorSpec,
    tensor::DType,
};
use std::{env, fmt::Write as _, fs, path::Path, sync::Arc};

mod static_runtime {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (TractRuntime, ()) });
}

mod dyn_runtime {
    use super::*;
    ml_core::inference_runtime_conformance!(async { (Arc::new(TractRuntime) as Arc<dyn InferenceRuntime>, ()) });
}

/// `tests/golden/node_tract.txt` names every test that tract does not pass, and why; after a change of its version:
/// `UPDATE_GENERATED=1 cargo nextest run --workspace --all-features -E 'test(runtime_tract)'`.
///
/// What it does not pass it refuses, at load or when it runs. Nothing comes out wrong but what ONNX Runtime gets wrong too, by
/// `tests/golden/node_ort.txt`: averages over windows that are cut off, and products in eight bits that are rounded twice.
#[test]
fn tract_passes_a_node_test_or_refuses_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let disputed = fs::read_to_string(folder.join("node_ort.txt")).expect("checked in");
    let mut table = String::new();
    let mut wrong = Vec::new();
    for case in NodeCase::all() {
        let (verdict, why) = match case.run(&TractRuntime) {
            Verdict::Pass => continue,
            Verdict::Unread(why) => ("unread", why),
            Verdict::Refused(why) => ("refused", why),
            Verdict::Failed(why) => {
                if why.contains("an output has") && !disputed.contains(&format!("{}\twrong\t", case.name)) {
                    wrong.push(format!("{}: {why}", case.name));
                }
                ("failed", why)
            }
        };
        // The first words and the last tell why; between them are names of nodes.
        let why = why.lines().next().unwrap_or_default().trim_start_matches("[unsupported] runtime.tract.load: ");
        let letters: Vec<char> = why.chars().collect();
        let why: String = match letters.len() {
            0..=140 => letters.iter().collect(),
            long => letters[..60].iter().chain(&[' ', '…', ' ']).chain(&letters[long - 70..]).collect(),
        };
        writeln!(table, "{}\t{verdict}\t{why}", case.name).expect("memory");
    }
    let path = folder.join("node_tract.txt");
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &table).expect("the folder can be written");
    }
    assert!(wrong.is_empty(), "{} tests come out wrong:\n{}", wrong.len(), wrong.join("\n"));
    let known = fs::read_to_string(path).expect("checked in");
    let names = |table: &str| -> Vec<String> {
        table.lines().map(|line| line.splitn(3, '\t').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let (known, got) = (names(&known), names(&table));
    let differ: Vec<&String> = known
        .iter()
        .filter(|line| !got.contains(line))
        .chain(got.iter().filter(|line| !known.contains(line)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn what_tract_computes_otherwise_than_the_specification_says_is_refused() {
    for (name, model, ..) in golden_of("trees") {
        assert!(!TractRuntime.supports(&model), "{name}");
        let error = TractRuntime.load(&model, &LoadOptions::default()).expect_err("trees are refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error:?}");
        assert!(error.to_string().contains("ai.onnx.ml.TreeEnsemble"), "{error}");
    }
    let error = TractRuntime.load(&classifier(), &LoadOptions::default()).expect_err("an imputer and more");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}

/// Its activations do not carry NaN and infinities through, so that the inputs here have none.
#[test]
fn what_tract_takes_of_the_golden_models_comes_out_as_from_the_native_runtime() {
    for (name, model, inputs, _) in golden() {
        let native = NativeRuntime.load(&model, &LoadOptions::default()).expect("supported").model;
        match TractRuntime.load(&model, &LoadOptions::default()) {
            Ok(loaded) => {
                let inputs = finite(&inputs);
                let expected = native.predict(&inputs).expect("right inputs");
                // Text can say NaN as well.
                if format!("{expected:?}").contains("NaN") {
                    continue;
                }
                let got = loaded.model.predict(&inputs).unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert_close(&expected, &got);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}: {error:?}"),
        }
    }
}

fn finite(inputs: &Tensors) -> Tensors {
    inputs.iter().fold(Tensors::new(), |finite, (name, tensor)| {
        let tensor = match tensor.values::<f32>() {
            Ok(values) => {
                let values = values.iter().map(|value| if value.is_finite() { *value } else { 0.5 }).collect();
                Tensor::new(tensor.shape(), values).expect("the same shape")
            }
            Err(_) => tensor.clone(),
        };
        finite.with(name, tensor).expect("names differ")
    })
}

#[test]
fn a_net_gives_what_the_native_runtime_gives_for_any_number_of_rows() {
    let mut graph = GraphBuilder::new("net");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [4])).expect("a free name");
    let weights = (0_u8..12).map(|i| f32::from(i) / 7.0 - 0.8).collect();
    let w = graph.initializer(Tensor::new([4, 3], weights).expect("twelve"));
    let b = graph.initializer(Tensor::new([3], vec![0.1_f32, -0.2, 0.3]).expect("three"));
    let hidden = graph.node(Domain::Onnx, "Gemm", &[x, w, b], vec![Attribute::float("alpha", 0.5)]);
    let y = graph.node(Domain::Onnx, "Sigmoid", &[hidden], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [3])).expect("a free name");
    let model = graph.finish().expect("a valid graph");
    let load = |runtime: &dyn InferenceRuntime| runtime.load(&model, &LoadOptions::default()).expect("supported").model;
    let (native, tract) = (load(&NativeRuntime), load(&TractRuntime));
    for rows in [0_usize, 1, 3, 64] {
        let values = (0..rows * 4).map(|i| (i % 11) as f32 / 3.0 - 1.5).collect();
        let x = Tensors::new().with("x", Tensor::new([rows, 4], values).expect("four a row")).expect("one name");
        assert_close(&native.predict(&x).expect("right inputs"), &tract.predict(&x).expect("right inputs"));
    }
}

#[test]
fn every_element_type_passes_through_or_is_refused_at_load() {
    for dtype in DType::ALL {
        let mut graph = GraphBuilder::new("identity");
        let x = graph.input(TensorSpec::batched("x", dtype, [2])).expect("free name");
        let y = graph.node(Domain::Onnx, "Identity", &[x], vec![]);
        graph.output(y, TensorSpec::batched("y", dtype, [2])).expect("free name");
        let model = graph.finish().expect("a valid graph");
        if dtype == DType::Bf16 {
            let error = TractRuntime.load(&model, &LoadOptions::default()).expect_err("tract has no BF16");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
            continue;
        }
        let loaded =
            TractRuntime.load(&model, &LoadOptions::default()).unwrap_or_else(|error| panic!("{dtype}: {error:?}"));
        let inputs = random_inputs(&model.signature, 5, Seed::new(u64::from(dtype as u8)));
        let outputs = loaded.model.predict(&inputs).unwrap_or_else(|error| panic!("{dtype}: {error:?}"));
        let (x, y) = (inputs.require("x").expect("made up"), outputs.require("y").expect("declared"));
        assert_eq!(format!("{x:?}"), format!("{y:?}"), "NaN is the same as NaN in print");
    }
}
