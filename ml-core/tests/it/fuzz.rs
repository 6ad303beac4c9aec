//! What the fuzzer has found worth keeping, replayed: the corpora of the targets in `fuzz/`.

use crate::runtime::survive;
use ml_core::{
    ErrorKind, Result,
    import::{self, Import, Rounds},
};
use std::{fs, path::Path};

/// The files of a corpus.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = files.map(|file| fs::read(file.expect("a file").path()).expect("checked in")).collect();
    assert!(files.len() > 20, "{target}: {} files", files.len());
    files
}

/// A model is imported, or refused for what is wrong with it: the graph never gives what the trees do not.
fn imported_or_refused(target: &str, import: impl Fn(Vec<u8>) -> Result<Import>) {
    for bytes in corpus(target) {
        if let Err(error) = import(bytes) {
            assert_ne!(error.kind(), ErrorKind::Internal, "{error:?}");
        }
    }
}

#[test]
fn models_of_the_onnx_corpus_are_refused_or_run() {
    corpus("onnx").into_iter().for_each(survive);
}

#[test]
fn models_of_the_lightgbm_corpus_are_imported_or_refused() {
    imported_or_refused("lightgbm", import::lightgbm);
}

#[test]
fn models_of_the_xgboost_corpus_are_imported_or_refused() {
    imported_or_refused("xgboost", |bytes| import::xgboost(bytes, Rounds::All));
}
