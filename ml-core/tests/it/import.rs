//! Imported models give what the library that trained them gave.

mod hostile;
pub(crate) mod onnx;

use crate::runtime::load;
use ml_core::{
    Bundle, ErrorKind, InferenceRuntime, Tensor, Tensors,
    conformance::model::assert_close,
    import::{self, Columns, Ensemble, Format, ImportOptions, Kind, Rounds},
    runtime::{LoadOptions, native::NativeRuntime},
    tensor::json::ReadTensor,
};
use serde::Deserialize;
use std::{fs, path::PathBuf, sync::Arc};

#[derive(Deserialize)]
struct Case<'a> {
    model: String,
    #[serde(borrow)]
    inputs: Vec<ReadTensor<'a>>,
    #[serde(borrow)]
    outputs: Vec<ReadTensor<'a>>,
    #[serde(borrow, default)]
    best: Vec<ReadTensor<'a>>,
}

/// A model of the library, and what it predicted.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) inputs: Tensors,
    pub(crate) outputs: Tensors,
    best: Tensors,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden_of(library: &str, extension: &str) -> Vec<Golden> {
    let json = fs::read_to_string(folder().join(format!("import_{library}.json"))).expect("checked in");
    let cases: Vec<Case<'_>> = serde_json::from_str(&json).expect("written by the generator");
    let tensors = |read: &[ReadTensor<'_>]| {
        read.iter().fold(Tensors::new(), |tensors, tensor| {
            tensors.with(&tensor.name, tensor.to_tensor().expect("a tensor")).expect("names differ")
        })
    };
    let golden = |case: &Case<'_>| Golden {
        path: folder().join(format!("import_{library}_{}.{extension}", case.model)),
        name: case.model.clone(),
        inputs: tensors(&case.inputs),
        outputs: tensors(&case.outputs),
        best: tensors(&case.best),
    };
    cases.iter().map(golden).collect()
}

pub(crate) fn golden() -> Vec<Golden> {
    [golden_of("lightgbm", "txt"), golden_of("xgboost", "json")].into_iter().flatten().collect()
}

pub(crate) fn import(path: &PathBuf) -> Bundle {
    import::file(path, &ImportOptions::default()).expect("a model").bundle.build().expect("a bundle")
}

#[test]
fn imported_models_predict_as_their_library_does() {
    for golden in golden() {
        let bundle = import(&golden.path);
        println!("{}", golden.name);
        let model = load(&bundle.model().expect("a model")).expect("supported");
        assert_close(&golden.outputs, &model.predict(&golden.inputs).expect("right inputs"));
    }
}

#[test]
fn both_encodings_of_xgboost_are_one_model() {
    let mut read = 0;
    for golden in golden_of("xgboost", "ubj").into_iter().filter(|golden| golden.path.exists()) {
        let ubj = import::file(&golden.path, &ImportOptions::default()).expect("a model");
        assert_eq!(ubj.report.format, Format::XgboostUbj);
        let json = import(&golden.path.with_extension("json"));
        assert_eq!(ubj.bundle.build().expect("a bundle").digest(), json.digest(), "{}", golden.name);
        read += 1;
    }
    assert_eq!(read, 4);
}

#[test]
fn every_import_is_compared_and_keeps_rows_to_be_replayed() {
    for golden in golden() {
        let import = import::file(&golden.path, &ImportOptions::default()).expect("a model");
        assert_eq!(import.report.compared_rows, 256, "{}: {}", golden.name, import.report);
        let bundle = import.bundle.build().expect("a bundle");
        let rows: usize = bundle.golden().expect("golden rows").iter().map(|golden| golden.inputs.rows()).sum();
        assert_eq!(rows, 8, "{}", golden.name);
        let native: Arc<dyn InferenceRuntime> = Arc::new(NativeRuntime);
        bundle.load(&[native], &LoadOptions::default()).expect("golden rows are replayed");
    }
}

#[test]
fn the_trees_of_a_bundle_keep_covers_and_raw_scores() {
    let bundle = import(&folder().join("import_lightgbm_sets.txt"));
    let ensemble = Ensemble::of(&bundle).expect("a checkpoint");
    assert_eq!(ensemble.features, ["miles", "zone", "delay", "load"]);
    for tree in &ensemble.trees {
        // The cover of a branch is that of its children.
        let cover = |at: usize| match &tree.nodes[at] {
            import::Node::Leaf { cover, .. } | import::Node::Branch { cover, .. } => *cover,
        };
        assert_eq!(cover(0), 600.0);
        for node in &tree.nodes {
            if let import::Node::Branch { left, right, cover: own, .. } = node {
                assert_eq!(cover(*left) + cover(*right), *own);
            }
        }
    }
    let golden = golden().into_iter().find(|golden| golden.path.ends_with("import_lightgbm_sets.txt")).expect("a case");
    let rows = golden.inputs.require("features").unwrap().values::<f32>().unwrap().chunks_exact(4);
    let expected = golden.outputs.require("prediction").unwrap().values::<f32>().unwrap();
    for (row, expected) in rows.zip(expected) {
        let raw = ensemble.raw_scores(row).expect("four columns")[0];
        assert!((raw - f64::from(*expected)).abs() < 1e-6, "{raw} {expected}");
    }
    assert_eq!(ensemble.raw_scores(&[0.0]).expect_err("one column").kind(), ErrorKind::InvalidInput);
}

#[test]
fn columns_are_named_and_categories_told() {
    for file in ["import_lightgbm_sets.txt", "import_xgboost_sets.json"] {
        let columns = Columns::of(&import(&folder().join(file))).expect("named");
        assert_eq!(columns.input, "features");
        let named: Vec<_> = columns.columns.iter().map(|column| (column.name.as_str(), column.kind)).collect();
        let expected =
            [("miles", Kind::Number), ("zone", Kind::Category), ("delay", Kind::Number), ("load", Kind::Number)];
        assert_eq!(named, expected, "{file}");
    }
}

#[test]
fn rounds_after_the_best_are_told_of_and_may_be_left_out() {
    let golden = golden().into_iter().find(|golden| golden.name == "stopped").expect("a case");
    let import = |rounds| import::file(&golden.path, &ImportOptions::default().with_rounds(rounds));
    let all = import(Rounds::All).expect("a model");
    assert!(all.report.notes[0].contains("the best was number 2 from 0"), "{}", all.report);
    let best = import(Rounds::Best).expect("a model");
    assert!(best.report.trees < all.report.trees && best.report.notes.is_empty());
    let model = best.bundle.build().and_then(|bundle| load(&bundle.model()?)).expect("a model");
    assert_close(&golden.best, &model.predict(&golden.inputs).expect("right inputs"));
    let first = import(Rounds::First(3)).expect("a model").bundle.build().expect("a bundle");
    assert_eq!(first.digest(), best_digest(&golden.path));
    assert_eq!(import(Rounds::First(1000)).expect_err("fewer").kind(), ErrorKind::InvalidInput);
}

fn best_digest(path: &PathBuf) -> ml_core::id::Digest {
    let options = ImportOptions::default().with_rounds(Rounds::Best);
    import::file(path, &options).and_then(|import| import.bundle.build()).expect("a model").digest()
}

#[test]
fn ten_thousand_rows_agree_with_the_trees_in_double_precision() {
    let mut random = ml_core::Seed::new(3).stream("rows");
    for name in ["import_lightgbm_sets.txt", "import_lightgbm_zero_as_missing.txt", "import_xgboost_sets.json"] {
        let bundle = import(&folder().join(name));
        let ensemble = Ensemble::of(&bundle).expect("a checkpoint");
        let values: Vec<f32> = (0..40_000).map(|_| value(&mut random)).collect();
        let expected: Vec<f32> =
            values.chunks_exact(4).map(|row| single(ensemble.raw_scores(row).unwrap()[0])).collect();
        let inputs = Tensors::new().with("features", Tensor::new([10_000, 4], values).unwrap()).unwrap();
        let outputs = load(&bundle.model().unwrap()).unwrap().predict(&inputs).unwrap();
        assert_close(&Tensors::new().with("prediction", Tensor::column(expected)).unwrap(), &outputs);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is compared is in single precision")]
fn single(number: f64) -> f32 {
    number as f32
}

/// A number, a category, or nothing.
pub(crate) fn value(random: &mut ml_core::seed::RandomStream) -> f32 {
    match random.below(8) {
        0 => f32::NAN,
        1 => 0.0,
        2..=4 => f32::from(u8::try_from(random.below(80)).expect("below 80")),
        _ => single(random.next_f64() * 6.0 - 3.0),
    }
}
