//! Bundles that are damaged, incomplete or forged are refused, and golden outputs are replayed.

use crate::onnx::classifier;
use ml_core::{
    Bundle, Error, ErrorKind, InferenceRuntime, Seed, Tensor, Tensors, bundle,
    conformance::model::random_inputs,
    id::Digest,
    onnx::graph::{Domain, GraphBuilder},
    runtime::{LoadOptions, native::NativeRuntime},
    signature::TensorSpec,
    tensor::DType,
};
use serde_json::json;
use std::{fs, path::Path, sync::Arc};

fn runtimes() -> Vec<Arc<dyn InferenceRuntime>> {
    vec![Arc::new(NativeRuntime)]
}

/// A bundle with a golden replay that has NaN among its inputs.
fn whole() -> Bundle {
    let model = classifier();
    let inputs = random_inputs(&model.signature, 20, Seed::new(11));
    assert!(inputs.require("delay").and_then(Tensor::values::<f32>).expect("FP32").iter().any(|value| value.is_nan()));
    let loaded = NativeRuntime.load(&model, &LoadOptions::default()).expect("supported").model;
    let outputs = loaded.predict(&inputs).expect("made-up inputs fit");
    Bundle::builder(model)
        .json(bundle::METRICS, &json!({"roc_auc": 0.75}))
        .and_then(|builder| builder.json(bundle::BIAS, &json!({"groups": []})))
        .and_then(|builder| builder.golden(inputs, outputs))
        .and_then(|builder| builder.build())
        .expect("a whole bundle")
}

fn written() -> (tempfile::TempDir, Bundle) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = whole();
    bundle.write(folder.path()).expect("a folder that can be written");
    (folder, bundle)
}

fn refused(folder: &Path) -> Error {
    Bundle::read(folder).expect_err("not what was written")
}

#[test]
fn a_bundle_reads_back_and_loads() {
    let (folder, bundle) = written();
    let read = Bundle::read(folder.path()).expect("as written");
    assert_eq!(read, bundle);
    read.load(&runtimes(), &LoadOptions::default()).expect("the golden outputs are given again");
}

#[test]
fn a_manifest_is_never_there_in_part() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = whole();
    let manifest = folder.path().join(bundle::MANIFEST);
    // Where a crash, or anything else that fails at the manifest, leaves the folder: the next write has to succeed.
    let in_the_way = folder.path().join(".manifest.json");
    fs::create_dir(&in_the_way).expect("a folder that can be written");
    assert_eq!(bundle.write(folder.path()).expect_err("in the way").kind(), ErrorKind::Unavailable);
    assert!(!manifest.exists());
    fs::remove_dir(&in_the_way).expect("empty");
    fs::write(&in_the_way, "{ \"format\": 1, \"fil").expect("a folder that can be written");
    bundle.write(folder.path()).expect("what a crash left is no bundle");
    assert_eq!(Bundle::read(folder.path()).expect("whole"), bundle);
    assert!(!in_the_way.exists());
}

#[test]
fn the_same_content_has_the_same_digest() {
    assert_eq!(whole().digest(), whole().digest());
}

#[test]
fn a_flipped_byte_in_any_file_is_refused() {
    let (folder, bundle) = written();
    for (path, bytes) in bundle.files() {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            fs::write(folder.path().join(path), damaged).expect("written");
            let error = refused(folder.path());
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            assert!(error.to_string().contains(path), "{error}");
        }
        fs::write(folder.path().join(path), bytes).expect("written");
    }
    Bundle::read(folder.path()).expect("whole again");
}

#[test]
fn a_flipped_byte_in_the_manifest_changes_the_digest_or_is_refused() {
    let (folder, bundle) = written();
    let manifest = bundle.manifest().to_vec();
    for at in 0..manifest.len() {
        let mut damaged = manifest.clone();
        damaged[at] ^= 1;
        fs::write(folder.path().join(bundle::MANIFEST), damaged).expect("written");
        if let Ok(read) = Bundle::read(folder.path()) {
            assert_ne!(read.digest(), bundle.digest(), "byte {at}");
        }
    }
}

#[test]
fn a_truncated_manifest_is_refused() {
    let (folder, bundle) = written();
    for length in (0..bundle.manifest().len()).step_by(17) {
        fs::write(folder.path().join(bundle::MANIFEST), &bundle.manifest()[..length]).expect("written");
        assert_eq!(refused(folder.path()).kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_missing_file_is_refused_and_a_missing_manifest_is_no_bundle() {
    let (folder, _) = written();
    fs::remove_file(folder.path().join(bundle::BIAS)).expect("there");
    let error = refused(folder.path());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(bundle::BIAS), "{error}");
    fs::remove_file(folder.path().join(bundle::MANIFEST)).expect("there");
    assert_eq!(refused(folder.path()).kind(), ErrorKind::NotFound);
}

#[test]
fn a_file_of_no_manifest_is_refused() {
    let bundle = whole();
    let mut files: std::collections::BTreeMap<_, _> =
        bundle.files().map(|(path, bytes)| (path.to_owned(), bytes.clone())).collect();
    files.insert("extra.bin".into(), vec![1].into());
    let error = Bundle::from_parts(bundle.manifest().clone(), files).expect_err("one too many");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_manifest_cannot_point_outside_the_folder() {
    let outside = tempfile::tempdir().expect("a temporary folder");
    let folder = outside.path().join("bundle");
    fs::create_dir(&folder).expect("created");
    fs::write(outside.path().join("secret"), b"secret").expect("written");
    let absolute = outside.path().join("secret").display().to_string();
    for path in ["../secret", "a/../../secret", "./secret", "a//b", "", "..", &absolute, "a\\..\\secret", ".hidden"] {
        let entry = json!({"sha256": Digest::of("secret"), "size_bytes": 6});
        let manifest = json!({"format": 1, "files": {path: entry}});
        fs::write(folder.join(bundle::MANIFEST), manifest.to_string()).expect("written");
        let error = refused(&folder);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{path}: {error:?}");
        assert_eq!(error.message(), "not a path within a bundle", "{path}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_file_is_refused() {
    let (folder, bundle) = written();
    let copy = tempfile::tempdir().expect("a temporary folder");
    let target = copy.path().join("model.onnx");
    fs::write(&target, bundle.file(bundle::MODEL).expect("there")).expect("written");
    let path = folder.path().join(bundle::MODEL);
    fs::remove_file(&path).expect("there");
    std::os::unix::fs::symlink(&target, &path).expect("linked");
    assert_eq!(refused(folder.path()).kind(), ErrorKind::Corrupt);
}

#[test]
fn a_folder_without_manifest_is_written_again() {
    let (folder, bundle) = written();
    assert_eq!(bundle.write(folder.path()).expect_err("there already").kind(), ErrorKind::Conflict);
    // What a crash in the middle of a write leaves: files, of which one is cut short, and no manifest yet.
    fs::remove_file(folder.path().join(bundle::MANIFEST)).expect("there");
    fs::write(folder.path().join(bundle::MODEL), b"cut").expect("written");
    bundle.write(folder.path()).expect("written over");
    assert_eq!(Bundle::read(folder.path()).expect("whole"), bundle);
}

#[test]
fn outputs_other_than_the_golden_ones_are_refused_at_load() {
    let model = classifier();
    let inputs = random_inputs(&model.signature, 3, Seed::new(2));
    let label = || Tensor::vector(vec![0_i64; 3]);
    let forged = Tensors::new()
        .with("label", label())
        .and_then(|t| t.with("probabilities", Tensor::new([3, 2], vec![0.123_f32; 6])?))
        .expect("names differ");
    let bundle = Bundle::builder(model).golden(inputs, forged).and_then(|b| b.build()).expect("a whole bundle");
    let error = bundle.load(&runtimes(), &LoadOptions::default()).expect_err("not what the model gives");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("golden") && error.to_string().contains("native"), "{error}");
}

#[test]
fn a_list_without_a_runtime_for_the_model_is_unsupported() {
    let error = whole().load(&[], &LoadOptions::default()).expect_err("no runtime at all");
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    let mut graph = GraphBuilder::new("other");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
    let y = graph.node(Domain::Onnx, "LpNormalization", &[x], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
    let bundle = Bundle::builder(graph.finish().expect("a valid graph")).build().expect("a whole bundle");
    assert_eq!(
        bundle.load(&runtimes(), &LoadOptions::default()).expect_err("native only").kind(),
        ErrorKind::Unsupported
    );
}
