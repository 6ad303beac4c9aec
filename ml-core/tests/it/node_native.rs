//! The node tests of ONNX on the native runtime.

use crate::node;
use ml_core::runtime::native::NativeRuntime;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// `tests/golden/node_native.txt` says which tests the native runtime does not take, and why; every other one passes.
#[test]
fn the_native_runtime_passes_every_test_of_an_operator_that_it_knows() {
    let table = fs::read_to_string(golden("node_native.txt")).expect("checked in");
    let expected: BTreeMap<String, &str> = table
        .lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let (Some(name), Some(verdict), Some(_why)) = (fields.next(), fields.next(), fields.next()) else {
                panic!("three fields: {line}");
            };
            (name.to_owned(), verdict)
        })
        .collect();
    let differences = node::differences(&expected, |case| case.run_resolved(&NativeRuntime));
    assert!(differences.is_empty(), "{} tests:\n{}", differences.len(), differences.join("\n"));
    let ort = fs::read_to_string(golden("node_ort.txt")).expect("checked in");
    for (name, verdict) in &expected {
        assert!(!name.contains("ai_onnx_ml"), "{name}: all of ai.onnx.ml is taken");
        let disputed = ort.lines().any(|line| line.starts_with(&format!("{name}\twrong\t")));
        assert!(*verdict != "failed" || disputed, "{name}: ONNX Runtime gives what the test expects");
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}
