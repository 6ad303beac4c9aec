//! The node tests of ONNX on ONNX Runtime.

use crate::{node, runtime_ort::ort};
use std::{collections::BTreeMap, fs, path::Path};

/// `tests/golden/node_ort.txt` says which tests Python's ONNX Runtime does not pass, and why; every other one passes here.
#[test]
fn the_library_passes_here_what_it_passes_in_python_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/node_ort.txt");
    let table = fs::read_to_string(path).expect("checked in");
    let expected: BTreeMap<String, &str> = table
        .lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let (Some(name), Some(verdict), Some(_why)) = (fields.next(), fields.next(), fields.next()) else {
                panic!("three fields: {line}");
            };
            let verdict = match verdict {
                "unread" => "unread",
                "load" => "refused",
                "run" | "wrong" => "failed",
                other => panic!("no such verdict: {other}"),
            };
            (name.to_owned(), verdict)
        })
        .collect();
    let runtime = ort();
    let differences = node::differences(&expected, |case| case.run(&runtime));
    assert!(differences.is_empty(), "{} tests:\n{}", differences.len(), differences.join("\n"));
}
