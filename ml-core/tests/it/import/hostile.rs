//! Files that are no whole model.

use super::{folder, golden};
use ml_core::{
    ErrorKind,
    import::{self, ImportOptions},
};
use proptest::prelude::*;
use std::fs;

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(format!("import_{name}"))).expect("checked in")
}

/// The error of a model in which the first occurrence of a text is another one.
fn broken(name: &str, from: &str, to: &str) -> ml_core::Error {
    let text = read(name);
    assert!(text.contains(from), "{from} in {name}");
    import::bytes(text.replacen(from, to, 1), &ImportOptions::default()).expect_err(to)
}

#[test]
fn broken_lightgbm_models_name_line_field_tree_and_node() {
    let cases = [
        ("version=v4", "version=v9", "only v3 and v4 (version: v9)"),
        ("num_leaves=7", "num_leaves=x", "a number cannot be read (field: num_leaves, line: 13, got: x, tree: 0)"),
        ("num_leaves=7", "num_leaves=0", "a tree without leaves (tree: 0)"),
        ("num_leaves=7", "num_leaves=18446744073709551615", "a list has another length (field: leaf_value, line: "),
        (
            "split_feature=",
            "split_feature=9 ",
            "a list has another length (field: split_feature, line: 15, expected: 6, got: 7, tree: 0)",
        ),
        ("\nleft_child=1", "\nleft_child=0", "(node: 0, tree: 0)"),
        ("\nleft_child=1", "\nleft_child=99", "a child is not there (child: 99, node: 0, tree: 0)"),
        ("\nleft_child=1", "\nleft_child=-99", "a child is not there (child: -99, node: 0, tree: 0)"),
        ("\nleft_child=1", "\nleft_child=-9223372036854775808", "a child is not there"),
        ("\nthreshold=", "\nthreshold=nan 1 2 3 4 5\nx=", "no number (node: 0, tree: 0)"),
        ("\nleaf_value=", "\nleaf_value=1e400 1 2 3 4 5 6\nx=", "not finite (node: 6, tree: 0)"),
        ("\ndecision_type=", "\ndecision_type=12 8 8 8 8 8\nx=", "no known type (decision_type: 12, node: 0, tree: 0)"),
        ("\ndecision_type=", "\ndecision_type=1 8 8 8 8 8\nx=", "a set of categories is not there"),
        ("is_linear=0", "is_linear=1", "linear trees are not supported (tree: 0)"),
        ("objective=regression", "objective=survival", "not supported (objective: survival)"),
        ("objective=regression", "objective=multiclass num_class:3", "does not fit"),
        ("max_feature_idx=3", "max_feature_idx=18446744073709551615", "not one name a feature"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=0", "cannot be"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=4000000000", "cannot be"),
        ("Tree=1", "Tree=2", "not in order (line: "),
        ("tree_sizes=", "tree_sizes=1 ", "another number of trees than it says"),
        ("end of trees", "", "ends before its trees do"),
        ("num_class=1", "num_class=1\nnum_class=1", "a field comes twice (line: 4, field: num_class)"),
    ];
    for (from, to, message) in cases {
        let error = broken("lightgbm_regression.txt", from, to);
        assert!(error.to_string().contains(message), "{to}: {error}");
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{to}: {error:?}");
    }
    let cases = [
        ("cat_boundaries=0 ", "cat_boundaries=7 ", "not in order (field: cat_boundaries"),
        ("\ncat_threshold=", "\ncat_threshold=x ", "cannot be read (field: cat_threshold"),
        ("num_cat=", "num_cat=99999999999", "a list has another length (field: cat_boundaries"),
    ];
    for (from, to, message) in cases {
        let error = broken("lightgbm_sets.txt", from, to);
        assert!(error.to_string().contains(message), "{to}: {error}");
    }
}

#[test]
fn broken_xgboost_models_name_field_tree_and_node() {
    let cases = [
        ("\"left_children\":[1", "\"left_children\":[0", "two branches lead to one node (child: 0, node: 0, tree: 0)"),
        ("\"left_children\":[1", "\"left_children\":[2", "two branches lead to one node (child: 2, node: 0, tree: 0)"),
        ("\"left_children\":[1", "\"left_children\":[77", "a child is not there (child: 77, node: 0, tree: 0)"),
        ("\"left_children\":[1", "\"left_children\":[1,1", "have different lengths"),
        ("\"left_children\"", "\"other\"", "no XGBoost model in JSON"),
        (
            "\"split_indices\":[0",
            "\"split_indices\":[9",
            "a column that is not there (node: 0, feature: 9, features: 4, tree: 0)",
        ),
        ("\"split_indices\":[0", "\"split_indices\":[-1", "a feature is not there (feature: -1, node: 0, tree: 0)"),
        ("\"split_type\":[0", "\"split_type\":[1", "has none (field: categories_nodes, node: 0, tree: 0)"),
        ("\"split_type\":[0", "\"split_type\":[7", "no known type (split_type: 7, node: 0, tree: 0)"),
        ("\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\"", "several values a leaf"),
        ("\"tree_info\":[0", "\"tree_info\":[5", "a tree is of no score (score: 5, scores: 1, tree: 0)"),
        ("\"tree_info\":[0", "\"tree_info\":[0,0", "different lengths (trees: 4"),
        ("\"iteration_indptr\":[0", "\"iteration_indptr\":[3", "(field: iteration_indptr"),
        ("\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "booster are not supported (booster: gblinear)"),
        ("reg:squarederror", "survival:cox", "(objective: survival:cox"),
        ("\"base_score\":\"", "\"base_score\":\"x", "cannot be read (field: base_score"),
        ("\"num_feature\":\"4\",\"num_target\"", "\"num_feature\":\"40\",\"num_target\"", "not one name a feature"),
        ("\"num_class\":\"0\"", "\"num_class\":\"99999999999\"", "too many classes"),
    ];
    for (from, to, message) in cases {
        let error = broken("xgboost_regression.json", from, to);
        assert!(error.to_string().contains(message), "{to}: {error}");
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{to}: {error:?}");
    }
    let error = broken("xgboost_logistic.json", "\"base_score\":\"[3E-1]\"", "\"base_score\":\"[1.5E0]\"");
    assert!(error.to_string().contains("outside of what its objective allows"), "{error}");
    let deep = format!("{{\"learner\":{}", "[".repeat(1_000_000));
    assert_eq!(import::xgboost(deep, import::Rounds::All).expect_err("deep").kind(), ErrorKind::Corrupt);
}

#[test]
fn what_is_no_model_is_told_apart() {
    let cases: [(&[u8], ErrorKind); 10] = [
        (b"", ErrorKind::Corrupt),
        (b" \n", ErrorKind::Corrupt),
        (b"tree\n", ErrorKind::Corrupt),
        (b"{}", ErrorKind::Corrupt),
        (b"{NaNaNaN", ErrorKind::Corrupt),
        (b"{L\0\0\0", ErrorKind::Corrupt),
        (b"garbage", ErrorKind::Corrupt),
        (b"\x80\x04\x95", ErrorKind::Unsupported),
        (b"PK\x03\x04", ErrorKind::Unsupported),
        (b"binf", ErrorKind::Unsupported),
    ];
    for (bytes, kind) in cases {
        let error = import::bytes(bytes.to_vec(), &ImportOptions::default()).expect_err("no model");
        assert_eq!(error.kind(), kind, "{}: {error:?}", bytes.escape_ascii());
    }
    let error = import::file("/no/such/model", &ImportOptions::default()).expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/no/such/model"), "{error}");
}

#[test]
fn truncated_models_are_refused() {
    for name in ["lightgbm_sets.txt", "xgboost_sets.json", "xgboost_sets.ubj"] {
        let bytes = fs::read(folder().join(format!("import_{name}"))).expect("checked in");
        // What follows the trees of LightGBM is not read.
        let end = bytes.windows(12).position(|text| text == b"end of trees").map_or(bytes.len(), |at| at + 12);
        for length in 0..end {
            assert!(import::bytes(bytes[..length].to_vec(), &ImportOptions::default()).is_err(), "{name} {length}");
        }
    }
}

proptest! {
    #[test]
    fn damaged_models_are_refused_or_imported(
        model in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let models = golden();
        let mut bytes = fs::read(&models[model.index(models.len())].path).expect("checked in");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = import::bytes(bytes, &ImportOptions::default()) {
            prop_assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported), "{error:?}");
        }
    }
}
