//! ONNX files as exporters leave them.

use super::{Golden, golden_of};
use crate::runtime::load;
use ml_core::{
    Bundle, ErrorKind, Signature,
    conformance::model::assert_close,
    import::{self, Format, ImportOptions},
};
use std::fs;

pub(crate) fn golden() -> Vec<Golden> {
    golden_of("onnx", "onnx")
}

/// The output as it is declared, such as `INT64 [batch]`.
fn declared(signature: &Signature, output: &str) -> String {
    let spec = signature.outputs().iter().find(|spec| spec.name == output).expect("an output of this name");
    format!("{} {:?}", spec.dtype, spec.shape.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn import(name: &str) -> (Bundle, Vec<String>) {
    let golden = golden().into_iter().find(|golden| golden.name == name).expect("a case");
    let import = import::file(&golden.path, &ImportOptions::default()).expect("a model");
    assert_eq!(import.report.format, Format::Onnx);
    (import.bundle.build().expect("a bundle"), import.report.notes)
}

#[test]
fn mended_models_give_what_onnx_runtime_gave() {
    for golden in golden() {
        let import = import::file(&golden.path, &ImportOptions::default()).expect("a model");
        println!("{}: {}", golden.name, import.report);
        match load(&import.bundle.build().and_then(|bundle| bundle.model()).expect("a bundle")) {
            Ok(model) => assert_close(&golden.outputs, &model.predict(&golden.inputs).expect("right inputs")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}"),
        }
    }
}

#[test]
fn one_label_for_all_rows_becomes_one_a_row() {
    let (bundle, notes) = import("one_label");
    assert_eq!(notes, ["output label was declared as INT64 [1]: it is INT64 [batch]"]);
    assert_eq!(declared(&bundle.model().unwrap().signature, "label"), r#"INT64 ["batch"]"#);
    assert_eq!(bundle.golden().unwrap()[0].inputs.rows(), 2);
}

#[test]
fn targets_that_were_not_declared_are() {
    let (bundle, notes) = import("two_targets");
    assert_eq!(notes, ["output variable was declared as FP32 [batch, 1]: it is FP32 [batch, 2]"]);
    assert_eq!(declared(&bundle.model().unwrap().signature, "variable"), r#"FP32 ["batch", "2"]"#);
}

#[test]
fn maps_become_the_tensor_they_were_made_from() {
    let (bundle, notes) = import("maps");
    assert_eq!(notes[0], "output probabilities was a map a row: it is a tensor with a column each for 0, 1, 2");
    assert_eq!(declared(&bundle.model().unwrap().signature, "probabilities"), r#"FP32 ["batch", "3"]"#);
    let (_, notes) = import("text_maps");
    assert!(notes[0].ends_with("a column each for high, low, middle"), "{notes:?}");
}

#[test]
fn an_output_without_a_shape_gets_one() {
    let (bundle, notes) = import("no_shape");
    assert_eq!(notes, ["output y was declared as nothing that can be called: it is FP32 [n, 4]"]);
    assert_eq!(declared(&bundle.model().unwrap().signature, "y"), r#"FP32 ["n", "4"]"#);
}

#[test]
fn a_right_model_stays_as_it_is() {
    let path = super::folder().join("runtime_binary.onnx");
    let import = import::file(&path, &ImportOptions::default()).expect("a model");
    assert_eq!(import.report.notes, [""; 0]);
    let bundle = import.bundle.build().expect("a bundle");
    assert_eq!(bundle.model().expect("a model").bytes, fs::read(&path).expect("checked in"));
}
