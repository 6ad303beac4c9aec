//! Smaller trees that compute what the larger ones did.

use crate::runtime::{golden_of, load};
use ml_core::{
    ErrorKind, Seed, Tensor, Tensors,
    conformance::model::{assert_close, random_inputs},
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    optimize::{Pass, ShrinkTrees, ShrinkTreesParams},
    signature::TensorSpec,
    tensor::DType,
};
use proptest::prelude::*;

const FEATURES: usize = 3;
/// Few, so that paths ask the same again, and rows hit them exactly.
const VALUES: [f32; 6] = [-1.5, -0.0, 0.0, 0.5, 2.0, f32::INFINITY];
const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

fn exact() -> ShrinkTrees {
    ShrinkTrees::new(ShrinkTreesParams::default()).expect("right parameters")
}

#[derive(Debug, Clone, Default)]
struct Lists {
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<&'static str>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

/// A tree as tests draw it.
#[derive(Debug, Clone)]
enum Drawn {
    Leaf(Vec<f32>),
    Branch { feature: usize, mode: usize, value: usize, missing: bool, sides: Box<(Drawn, Drawn)> },
}

impl Lists {
    fn add(&mut self, tree: i64, drawn: &Drawn) {
        let root = self.tree_ids.len();
        self.node(tree, root, drawn);
    }

    fn node(&mut self, tree: i64, root: usize, drawn: &Drawn) -> i64 {
        let at = self.tree_ids.len();
        let number = i64::try_from(at - root).expect("few");
        self.tree_ids.push(tree);
        self.node_ids.push(number);
        self.features.push(0);
        self.modes.push("LEAF");
        self.values.push(0.0);
        self.yes.push(0);
        self.no.push(0);
        self.missing.push(0);
        match drawn {
            Drawn::Leaf(weights) => {
                for (target, weight) in (0..).zip(weights) {
                    self.leaf_trees.push(tree);
                    self.leaf_nodes.push(number);
                    self.targets.push(target);
                    self.weights.push(*weight);
                }
            }
            Drawn::Branch { feature, mode, value, missing, sides } => {
                self.features[at] = i64::try_from(*feature).expect("few");
                self.modes[at] = MODES[*mode];
                self.values[at] = VALUES[*value];
                self.missing[at] = i64::from(*missing);
                self.yes[at] = self.node(tree, root, &sides.0);
                self.no[at] = self.node(tree, root, &sides.1);
            }
        }
        number
    }

    fn attributes(self, leaf: &str) -> Vec<Attribute> {
        let of = |name: &str| format!("{leaf}_{name}");
        vec![
            Attribute::ints("nodes_treeids", self.tree_ids),
            Attribute::ints("nodes_nodeids", self.node_ids),
            Attribute::ints("nodes_featureids", self.features),
            Attribute::strings("nodes_modes", self.modes),
            Attribute::floats("nodes_values", self.values),
            Attribute::ints("nodes_truenodeids", self.yes),
            Attribute::ints("nodes_falsenodeids", self.no),
            Attribute::ints("nodes_missing_value_tracks_true", self.missing),
            Attribute::ints(&of("treeids"), self.leaf_trees),
            Attribute::ints(&of("nodeids"), self.leaf_nodes),
            Attribute::ints(&of("ids"), self.targets),
            Attribute::floats(&of("weights"), self.weights),
        ]
    }

    fn regressor(self, aggregate: &str) -> OnnxModel {
        let mut graph = GraphBuilder::new("trees");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [FEATURES])).expect("free name");
        let mut attributes = self.attributes("target");
        attributes.extend([Attribute::int("n_targets", 2), Attribute::string("aggregate_function", aggregate)]);
        let y = graph.node(Domain::Ml, "TreeEnsembleRegressor", &[x], attributes);
        graph.output(y, TensorSpec::batched("y", DType::Fp32, [2])).expect("free name");
        graph.finish().expect("a valid graph")
    }

    fn classifier(self) -> OnnxModel {
        let mut graph = GraphBuilder::new("trees");
        let x = graph.input(TensorSpec::batched("x", DType::Fp32, [FEATURES])).expect("free name");
        let mut attributes = self.attributes("class");
        attributes.push(Attribute::ints("classlabels_int64s", [0, 1]));
        let [label, scores] = graph.node_of(Domain::Ml, "TreeEnsembleClassifier", &[x], attributes);
        graph.output(label, TensorSpec::batched("label", DType::Int64, [])).expect("free name");
        graph.output(scores, TensorSpec::batched("scores", DType::Fp32, [2])).expect("free name");
        graph.finish().expect("a valid graph")
    }
}

fn tree() -> impl Strategy<Value = Drawn> {
    // Few weights, so that leaves and whole trees are equal now and then.
    let weight = prop::sample::select(vec![0.0_f32, 0.25, 1.0, -2.0]);
    let leaf = prop::collection::vec(weight, 2).prop_map(Drawn::Leaf);
    leaf.prop_recursive(5, 32, 2, |inner| {
        let sides = (inner.clone(), inner).prop_map(Box::new);
        (0..FEATURES, 0..MODES.len(), 0..VALUES.len(), any::<bool>(), sides)
            .prop_map(|(feature, mode, value, missing, sides)| Drawn::Branch { feature, mode, value, missing, sides })
    })
}

/// Trees, some of them more than once.
fn trees() -> impl Strategy<Value = Lists> {
    prop::collection::vec((tree(), 1..3_usize), 1..6).prop_map(|drawn| {
        let mut lists = Lists::default();
        let all = drawn.iter().flat_map(|(tree, times)| std::iter::repeat_n(tree, *times));
        for (number, tree) in (0..).zip(all) {
            lists.add(number, tree);
        }
        lists
    })
}

/// Every threshold, numbers between and beyond them, and NaN, in all columns.
fn rows() -> Tensors {
    let values = [f32::NEG_INFINITY, -9.0, -1.5, -0.7, -0.0, 0.2, 0.5, 1.0, 2.0, 3e9, f32::INFINITY, f32::NAN];
    let count = values.len();
    let all: Vec<f32> = (0..count.pow(3))
        .flat_map(|i| [i % count, i / count % count, i / count / count].map(|at| values[at]))
        .collect();
    Tensors::new().with("x", Tensor::new([all.len() / FEATURES, FEATURES], all).expect("rows")).expect("one input")
}

fn assert_same(before: &OnnxModel, after: &OnnxModel, rows: &Tensors) {
    let outputs = |model| load(model).and_then(|model| model.predict(rows)).expect("trees");
    assert_close(&outputs(before), &outputs(after));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn regressors_give_the_same_for_every_row(lists in trees(), aggregate in 0..4_usize, share in any::<bool>()) {
        let model = lists.regressor(["SUM", "AVERAGE", "MIN", "MAX"][aggregate]);
        let pass = ShrinkTrees::new(ShrinkTreesParams { share_nodes: share, ..Default::default() }).expect("right");
        let once = pass.apply(&model).expect("right trees");
        prop_assert!(once.model.bytes.len() <= model.bytes.len(), "{}", once.changes);
        assert_same(&model, &once.model, &rows());
        let again = pass.apply(&once.model).expect("right trees");
        prop_assert_eq!(once.model, again.model, "{}", again.changes);
    }

    #[test]
    fn classifiers_give_the_same_label_and_scores_for_every_row(lists in trees()) {
        let model = lists.classifier();
        prop_assume!(load(&model).is_ok());
        let smaller = exact().apply(&model).expect("right trees").model;
        assert_same(&model, &smaller, &rows());
    }
}

#[test]
fn models_of_scikit_learn_and_lightgbm_give_the_same() {
    for (name, model, inputs, _) in golden_of("trees") {
        let applied = exact().apply(&model).expect(&name);
        assert!(applied.model.bytes.len() <= model.bytes.len(), "{name}");
        assert_same(&model, &applied.model, &inputs);
        assert_same(&model, &applied.model, &random_inputs(&model.signature, 200, Seed::new(3)));
        println!("{name}: {} -> {} bytes, {}", model.bytes.len(), applied.model.bytes.len(), applied.changes);
    }
}

#[cfg(feature = "ort")]
#[test]
fn onnx_runtime_takes_the_smaller_trees_and_gives_the_same() {
    use ml_core::{InferenceRuntime as _, runtime::LoadOptions};
    for (name, model, inputs, expected) in golden_of("trees") {
        let smaller = exact().apply(&model).expect(&name).model;
        let loaded = super::onnx_runtime().load(&smaller, &LoadOptions::default()).expect(&name);
        assert_close(&expected, &loaded.model.predict(&inputs).expect(&name));
    }
}

#[test]
fn each_way_to_save_a_node_is_found() {
    let leaf = |a: f32, b: f32| Drawn::Leaf(vec![a, b]);
    let branch = |value: usize, missing, yes, no| Drawn::Branch {
        feature: 1,
        mode: 0,
        value,
        missing,
        sides: Box::new((yes, no)),
    };
    let shrunk = |trees: &[Drawn]| {
        let mut lists = Lists::default();
        for (number, tree) in (0..).zip(trees) {
            lists.add(number, tree);
        }
        exact().apply(&lists.regressor("SUM")).expect("right trees").changes
    };
    // Below 0.5 is below 2, and so is NaN, which goes the same way.
    let asked_again = branch(3, true, branch(4, true, leaf(1.0, 1.0), leaf(2.0, 1.0)), leaf(3.0, 1.0));
    assert_eq!(shrunk(&[asked_again]).to_string(), "branches of one possible side: 1, nodes saved: 2");
    // NaN goes the other way at the second question, so that side stays.
    let asked_of_nan = branch(3, true, branch(4, false, leaf(1.0, 1.0), leaf(2.0, 1.0)), leaf(3.0, 1.0));
    assert_eq!(shrunk(&[asked_of_nan]).to_string(), "nothing changed");
    let equal_sides = branch(3, false, branch(4, false, leaf(1.0, 1.0), leaf(1.0, 1.0)), leaf(3.0, 1.0));
    assert_eq!(shrunk(&[equal_sides]).to_string(), "branches of equal sides: 1, nodes saved: 2");
    let one = branch(3, false, leaf(1.0, 1.0), leaf(2.0, 1.0));
    let other = branch(3, false, leaf(5.0, 1.0), leaf(2.0, 0.0));
    assert_eq!(shrunk(&[one.clone(), other]).to_string(), "trees merged: 1, nodes saved: 3");
    let zero = branch(4, false, leaf(0.0, 0.0), leaf(-0.0, 0.0));
    assert_eq!(
        shrunk(&[one.clone(), zero]).to_string(),
        "branches of equal sides: 1, trees without effect: 1, nodes saved: 3"
    );
    let shared = branch(2, false, branch(0, false, leaf(1.0, 2.0), leaf(2.0, 2.0)), leaf(1.0, 2.0));
    // Only on the side where a question holds may it lead to a node that another leads to.
    assert_eq!(shrunk(&[shared]).to_string(), "nodes saved: 1");
}

#[test]
fn rounded_thresholds_are_those_of_half_precision() {
    let (name, model, ..) =
        golden_of("trees").into_iter().find(|(name, ..)| name == "lightgbm_regressor").expect("one");
    let pass = ShrinkTrees::new(ShrinkTreesParams { threshold_bits: Some(10), ..Default::default() }).expect("right");
    let once = pass.apply(&model).expect(&name);
    assert!(once.changes.count("thresholds rounded") > 0, "{}", once.changes);
    assert_eq!(pass.apply(&once.model).expect(&name).model, once.model);
}

#[test]
fn hit_rates_are_dropped_and_other_attributes_stay() {
    let mut lists = Lists::default();
    lists.add(0, &Drawn::Leaf(vec![1.0, 2.0]));
    let mut graph = GraphBuilder::new("trees");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [FEATURES])).expect("free name");
    let mut attributes = lists.attributes("target");
    attributes.extend([
        Attribute::floats("nodes_hitrates", [7.0]),
        Attribute::int("n_targets", 2),
        Attribute::floats("base_values", [10.0, 20.0]),
    ]);
    let y = graph.node(Domain::Ml, "TreeEnsembleRegressor", &[x], attributes);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [2])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    let applied = exact().apply(&model).expect("one leaf");
    assert_eq!(applied.changes.to_string(), "hit rates dropped: 1");
    assert_same(&model, &applied.model, &rows());
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let right = || {
        let mut lists = Lists::default();
        let sides = Box::new((Drawn::Leaf(vec![1.0, 1.0]), Drawn::Leaf(vec![2.0, 1.0])));
        lists.add(0, &Drawn::Branch { feature: 0, mode: 0, value: 3, missing: false, sides });
        lists
    };
    type Break = fn(&mut Lists);
    let corrupt: [(&str, Break); 9] = [
        ("no nodes", |lists| *lists = Lists::default()),
        ("a list is short", |lists| lists.features.truncate(2)),
        ("a child that is not there", |lists| lists.yes[0] = 7),
        ("a cycle", |lists| lists.yes[0] = 0),
        ("a node twice", |lists| lists.node_ids[2] = 1),
        ("a threshold that is no number", |lists| lists.values[0] = f32::NAN),
        ("a weight of no node", |lists| lists.leaf_nodes[1] = 9),
        ("a weight that is not finite", |lists| lists.weights[1] = f32::NAN),
        ("an unknown mode", |lists| lists.modes[0] = "BRANCH_MAYBE"),
    ];
    for (what, break_it) in corrupt {
        let mut lists = right();
        break_it(&mut lists);
        let error = exact().apply(&lists.regressor("SUM")).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    }
    exact().apply(&right().regressor("SUM")).expect("right lists");
}

#[test]
fn a_tree_as_deep_as_it_is_large_overflows_no_stack() {
    let depth = 10_000_i64;
    let mut lists = Lists { tree_ids: vec![0; 20_001], node_ids: (0..20_001).collect(), ..Lists::default() };
    for at in 0..20_001_i64 {
        let branch = at < depth;
        lists.features.push(at % 3);
        lists.modes.push(if branch { "BRANCH_LEQ" } else { "LEAF" });
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        lists.values.push(at as f32);
        lists.yes.push(if branch { depth + at } else { 0 });
        lists.no.push(if branch && at + 1 == depth { 20_000 } else { at + 1 });
        lists.missing.push(0);
        if !branch {
            lists.leaf_trees.push(0);
            lists.leaf_nodes.push(at);
            lists.targets.push(0);
            lists.weights.push(f32::from(i16::try_from(at % 101).expect("small")));
        }
    }
    let model = lists.regressor("SUM");
    let applied = exact().apply(&model).expect("a deep tree");
    assert!(applied.model.bytes.len() < model.bytes.len());
}
