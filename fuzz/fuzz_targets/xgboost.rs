//! The importer of XGBoost's JSON and Universal Binary JSON, up to the comparison of the graph with the trees.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_core::{
    ErrorKind,
    import::{self, Rounds},
};

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = import::xgboost(bytes.to_vec(), Rounds::All) {
        assert_ne!(error.kind(), ErrorKind::Internal, "{error:?}");
    }
});
