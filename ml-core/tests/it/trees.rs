//! Ensembles of trees in the native runtime: the contract of a model, and lists that do not fit together.
//!
//! That they give what ONNX Runtime gave is tested with the other golden models.

use crate::runtime::{golden_of, golden_subject, load, survive};
use ml_core::{
    ErrorKind, Result, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    signature::TensorSpec,
    tensor::DType,
};
use proptest::prelude::*;

mod boosting_regressor {
    use super::*;
    ml_core::model_conformance!(async { (golden_subject("boosting_regressor"), ()) });
}

mod forest_classes {
    use super::*;
    ml_core::model_conformance!(async { (golden_subject("forest_classes"), ()) });
}

mod lightgbm_binary {
    use super::*;
    ml_core::model_conformance!(async { (golden_subject("lightgbm_binary"), ()) });
}

mod aggregates {
    use super::*;
    ml_core::model_conformance!(async { (golden_subject("aggregates"), ()) });
}

/// The lists of a regressor over two columns: at first one tree, a branch with two leaves.
#[derive(Debug, Clone)]
struct Lists {
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
    others: Vec<Attribute>,
}

impl Lists {
    fn new() -> Self {
        Self {
            tree_ids: vec![0; 3],
            node_ids: vec![0, 1, 2],
            features: vec![1, 0, 0],
            modes: vec!["BRANCH_LEQ", "LEAF", "LEAF"],
            values: vec![0.5, 0.0, 0.0],
            yes: vec![1, 0, 0],
            no: vec![2, 0, 0],
            leaf_trees: vec![0; 2],
            leaf_nodes: vec![1, 2],
            targets: vec![0; 2],
            weights: vec![1.0, 2.0],
            others: vec![Attribute::int("n_targets", 1)],
        }
    }

    fn attributes(self, leaves: &str) -> Vec<Attribute> {
        let leaf = |name: &str| format!("{leaves}_{name}");
        let mut attributes = vec![
            Attribute::ints("nodes_treeids", self.tree_ids),
            Attribute::ints("nodes_nodeids", self.node_ids),
            Attribute::ints("nodes_featureids", self.features),
            Attribute::strings("nodes_modes", self.modes),
            Attribute::floats("nodes_values", self.values),
            Attribute::ints("nodes_truenodeids", self.yes),
            Attribute::ints("nodes_falsenodeids", self.no),
            Attribute::ints(&leaf("treeids"), self.leaf_trees),
            Attribute::ints(&leaf("nodeids"), self.leaf_nodes),
            Attribute::ints(&leaf("ids"), self.targets),
            Attribute::floats(&leaf("weights"), self.weights),
        ];
        attributes.extend(self.others);
        attributes
    }

    fn regressor(self) -> OnnxModel {
        let mut graph = GraphBuilder::new("trees");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("free name");
        let y = graph.node(Domain::Ml, "TreeEnsembleRegressor", &[x], self.attributes("target"));
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [1])).expect("free name");
        graph.finish().expect("a valid graph")
    }

    fn classifier(self, classes: usize) -> OnnxModel {
        let mut graph = GraphBuilder::new("trees");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("free name");
        let [label, scores] = graph.node_of(Domain::Ml, "TreeEnsembleClassifier", &[x], self.attributes("class"));
        graph.output(label, TensorSpec::batched("label", DType::Int64, [])).expect("free name");
        graph.output(scores, TensorSpec::batched("scores", DType::Fp32, [classes])).expect("free name");
        graph.finish().expect("a valid graph")
    }
}

fn predict(model: &OnnxModel, rows: Vec<f32>) -> Result<Tensors> {
    let inputs = Tensors::new().with("x", Tensor::new([rows.len() / 2, 2], rows)?)?;
    load(model)?.predict(&inputs)
}

#[test]
fn the_lists_that_the_others_are_made_from_are_right() {
    let outputs = predict(&Lists::new().regressor(), vec![9.0, 0.5, 9.0, 0.75]).expect("right lists");
    assert_eq!(outputs.require("y").unwrap().values::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn lists_that_do_not_fit_are_refused_at_load() {
    type Break = fn(&mut Lists);
    let corrupt: [(&str, Break); 18] = [
        ("no nodes", |lists| *lists = Lists { tree_ids: vec![], node_ids: vec![], ..lists.clone() }),
        ("a list is short", |lists| lists.features.truncate(2)),
        ("a list of weights is short", |lists| lists.targets.truncate(1)),
        ("missing values for some nodes", |lists| {
            lists.others.push(Attribute::ints("nodes_missing_value_tracks_true", [1]));
        }),
        ("a node twice", |lists| lists.node_ids = vec![0, 1, 1]),
        ("a child that is not there", |lists| lists.yes[0] = 7),
        ("a child in another tree", |lists| lists.tree_ids = vec![0, 0, 1]),
        ("a cycle of one", |lists| lists.yes[0] = 0),
        ("a cycle of two", |lists| {
            lists.modes[1] = "BRANCH_LT";
            lists.yes[1] = 2;
            lists.no[1] = 0;
        }),
        ("a node that no branch leads to", |lists| lists.no[0] = 1),
        ("a root that is not first", |lists| lists.node_ids = vec![2, 1, 0]),
        ("a column that is not there", |lists| lists.features[0] = 2),
        ("a negative column", |lists| lists.features[0] = -1),
        ("a threshold that is no number", |lists| lists.values[0] = f32::NAN),
        ("a weight of no node", |lists| lists.leaf_nodes[1] = 3),
        ("a weight of no target", |lists| lists.targets[1] = 1),
        ("a weight that is not finite", |lists| lists.weights[1] = f32::INFINITY),
        ("two weights for one target", |lists| lists.leaf_nodes[1] = 1),
    ];
    let unsupported: [(&str, Break); 5] = [
        ("an unknown mode", |lists| lists.modes[0] = "BRANCH_MEMBER"),
        ("an unknown aggregate", |lists| lists.others.push(Attribute::string("aggregate_function", "MEDIAN"))),
        ("an unknown transform", |lists| lists.others.push(Attribute::string("post_transform", "CUBE"))),
        ("doubles", |lists| lists.others.push(Attribute::floats("base_values_as_tensor", [1.0]))),
        ("a leaf with a value and no weight", |lists| {
            lists.values[2] = 3.0;
            lists.leaf_trees.pop();
            lists.leaf_nodes.pop();
            lists.targets.pop();
            lists.weights.pop();
        }),
    ];
    let cases = corrupt.map(|case| (case, ErrorKind::Corrupt)).into_iter();
    for ((what, change), kind) in cases.chain(unsupported.map(|case| (case, ErrorKind::Unsupported))) {
        let mut lists = Lists::new();
        change(&mut lists);
        let error = load(&lists.regressor()).expect_err(what);
        assert_eq!(error.kind(), kind, "{what}: {error}");
    }
}

#[test]
fn declared_targets_without_weights_are_refused() {
    for targets in [i64::MIN, 0, 3, i64::MAX] {
        let lists = Lists { others: vec![Attribute::int("n_targets", targets)], ..Lists::new() };
        assert_eq!(load(&lists.regressor()).expect_err("no weights").kind(), ErrorKind::Corrupt, "{targets}");
    }
    let lists = Lists {
        others: vec![Attribute::int("n_targets", 1), Attribute::floats("base_values", [1.0, 2.0])],
        ..Lists::new()
    };
    assert_eq!(load(&lists.regressor()).expect_err("two base values").kind(), ErrorKind::Corrupt);
}

#[test]
fn base_values_of_targets_that_may_have_no_weight_are_refused() {
    let others = vec![Attribute::int("n_targets", 2), Attribute::floats("base_values", [1.0, 2.0])];
    let error = load(&Lists { targets: vec![0, 1], others, ..Lists::new() }.regressor()).expect_err("one each");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn classifiers_without_one_meaning_are_refused() {
    let labels = |labels: Vec<i64>| Attribute::ints("classlabels_int64s", labels);
    let base = |values: Vec<f32>| Attribute::floats("base_values", values);
    let cases = [
        ("one label", vec![0, 0], vec![labels(vec![4])]),
        ("some rows score only the first of two", vec![0, 1], vec![labels(vec![0, 1])]),
        ("a base value for the second of two", vec![1, 1], vec![labels(vec![0, 1]), base(vec![0.5])]),
        ("two base values for one sum", vec![0, 0], vec![labels(vec![0, 1]), base(vec![0.5, 0.5])]),
        ("a probit of one sum", vec![0, 0], vec![labels(vec![0, 1]), Attribute::string("post_transform", "PROBIT")]),
    ];
    for (what, targets, others) in cases {
        let error = load(&Lists { targets, others, ..Lists::new() }.classifier(2)).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error}");
    }
    assert_eq!(load(&Lists::new().classifier(2)).expect_err("no labels").kind(), ErrorKind::Unsupported);
    // A leaf without a weight: a row that reaches it has no class.
    let mut lists =
        Lists { others: vec![labels(vec![1, 2, 3])], leaf_trees: vec![0], leaf_nodes: vec![1], ..Lists::new() };
    (lists.targets, lists.weights) = (vec![0], vec![1.0]);
    assert_eq!(load(&lists.classifier(3)).expect_err("no class").kind(), ErrorKind::Unsupported);
    let both = Lists {
        leaf_trees: vec![0; 4],
        leaf_nodes: vec![1, 1, 2, 2],
        targets: vec![0, 1, 0, 1],
        weights: vec![1.0; 4],
        others: vec![labels(vec![3, 4])],
        ..Lists::new()
    };
    assert_eq!(load(&both.classifier(2)).expect_err("other labels").kind(), ErrorKind::Unsupported);
}

#[test]
fn a_tree_may_be_as_deep_as_its_file_is_long() {
    const DEPTH: usize = 100_000;
    let id = |node: usize| i64::try_from(node).expect("small");
    // Node 2i asks for i, node 2i + 1 is the leaf where the answer is yes; the last node is a leaf.
    let nodes = 2 * DEPTH + 1;
    let branch = |node: usize| node.is_multiple_of(2) && node + 1 < nodes;
    let leaves: Vec<usize> = (0..nodes).filter(|node| !branch(*node)).collect();
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let lists = Lists {
        tree_ids: vec![0; nodes],
        node_ids: (0..nodes).map(id).collect(),
        features: vec![0; nodes],
        modes: (0..nodes).map(|node| if branch(node) { "BRANCH_LEQ" } else { "LEAF" }).collect(),
        values: (0..nodes).map(|node| if branch(node) { (node / 2) as f32 } else { 0.0 }).collect(),
        yes: (0..nodes).map(|node| id(node + 1)).collect(),
        no: (0..nodes).map(|node| id(node + 2)).collect(),
        leaf_trees: vec![0; leaves.len()],
        leaf_nodes: leaves.iter().map(|node| id(*node)).collect(),
        targets: vec![0; leaves.len()],
        weights: (0..leaves.len()).map(|leaf| leaf as f32).collect(),
        others: vec![Attribute::int("n_targets", 1)],
    };
    let outputs = predict(&lists.regressor(), vec![-1.0, 0.0, 70_000.0, 0.0, f32::NAN, 0.0]).expect("right lists");
    assert_eq!(outputs.require("y").unwrap().values::<f32>().unwrap(), [0.0, 70_000.0, 100_000.0]);
}

#[test]
fn every_single_byte_of_an_ensemble_may_be_damaged() {
    let bytes = Lists::new().regressor().bytes.to_vec();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x02, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            survive(damaged);
        }
    }
}

proptest! {
    #[test]
    fn damaged_ensembles_are_refused_or_run(
        model in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let models = golden_of("trees");
        let mut bytes = models[model.index(models.len())].1.bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        survive(bytes);
    }
}
