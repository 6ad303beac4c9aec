//! The importer of LightGBM's text, up to the comparison of the graph with the trees.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_core::{ErrorKind, import};

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = import::lightgbm(bytes.to_vec()) {
        assert_ne!(error.kind(), ErrorKind::Internal, "{error:?}");
    }
});
