//! Ensembles of decision trees: `TreeEnsembleRegressor`, `TreeEnsembleClassifier`.
//!
//! The form is that of `ai.onnx.ml` 1 to 3, where attributes are parallel lists. What the specification leaves open is as in
//! ONNX Runtime; where ONNX Runtime itself gives what cannot be meant, the model is refused.

mod forest;

use super::{
    activation::logistic,
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::{Attributes, Node, matrix},
    transform::Transform,
};
use crate::{Error, Result, tensor::DType};
use forest::{Aggregate, Forest, Lists};

/// The attributes of both operators. Hit rates say how often a branch was taken and change nothing.
const NODES: [&str; 11] = [
    "base_values",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "post_transform",
];

/// Weights of the leaves that a row reaches, aggregated by target.
pub(super) fn regressor(node: &Node<'_>) -> Result<Lowered> {
    const OWN: [&str; 6] =
        ["aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids", "target_weights"];
    let attributes = node.attributes(&[&NODES[..], &OWN].concat())?;
    let (rows, width) = matrix(node.only()?)?;
    let lists = lists(attributes, ["target_treeids", "target_nodeids", "target_ids", "target_weights"])?;
    let targets = attributes.int("n_targets")?.and_then(|targets| usize::try_from(targets).ok()).unwrap_or(0);
    // A declared number costs nothing, so it is bounded by what the file spells out.
    if targets == 0 || targets > lists.weights.len() {
        return Err(Error::corrupt("at least one weight a target is needed")
            .with("targets", targets)
            .with("weights", lists.weights.len()));
    }
    let aggregate = match attributes.string("aggregate_function")? {
        None | Some(b"SUM") => Aggregate::Sum,
        Some(b"AVERAGE") => Aggregate::Average,
        Some(b"MIN") => Aggregate::Min,
        Some(b"MAX") => Aggregate::Max,
        Some(other) => {
            return Err(Error::unsupported("the native runtime does not know this aggregate function")
                .with("aggregate_function", other.escape_ascii()));
        }
    };
    let base = base_values(attributes)?;
    if !base.is_empty() && base.len() != targets {
        return Err(Error::corrupt("one base value a target is needed, or none")
            .with("targets", targets)
            .with("base_values", base.len()));
    }
    let transform = match Transform::of(attributes)? {
        // A single number has nothing to be normalized against, and is no score of a class.
        Transform::Logistic | Transform::Softmax | Transform::SoftmaxZero if targets == 1 => Transform::None,
        transform => transform,
    };
    let forest = Forest::compile(&lists.ensemble(targets)?, width, targets, aggregate)?;
    // ONNX Runtime forgets the base value of a target without a weight.
    if !base.is_empty() && !forest.always_scores_all() {
        return Err(Error::unsupported("the native runtime adds no base values to targets that may have no weight"));
    }
    let outputs = [Type::new(DType::Fp32, [rows, Length::fixed(targets)])];
    Ok(Lowered::step(Regressor { forest, rows, base, transform }, outputs))
}

/// Weights of the leaves that a row reaches, summed by class; the label is the class of the greatest, the first of equals.
pub(super) fn classifier(node: &Node<'_>) -> Result<Lowered> {
    const OWN: [&str; 6] =
        ["class_ids", "class_nodeids", "class_treeids", "class_weights", "classlabels_int64s", "classlabels_strings"];
    let attributes = node.attributes(&[&NODES[..], &OWN].concat())?;
    let (rows, width) = matrix(node.only()?)?;
    if !attributes.strings("classlabels_strings")?.is_empty() {
        return Err(Error::unsupported("the native runtime takes only whole-number labels")
            .with("attribute", "classlabels_strings"));
    }
    let labels = attributes.ints("classlabels_int64s")?.to_vec();
    if labels.len() < 2 {
        return Err(Error::unsupported("the native runtime takes classifiers of two classes or more"));
    }
    let lists = lists(attributes, ["class_treeids", "class_nodeids", "class_ids", "class_weights"])?;
    let base = base_values(attributes)?;
    let transform = Transform::of(attributes)?;
    let forest = Forest::compile(&lists.ensemble(labels.len())?, width, labels.len(), Aggregate::Sum)?;
    let decision = if let [negative, positive] = labels[..] {
        binary(&lists, &forest, [negative, positive], &base, transform)?
    } else {
        if !base.is_empty() && base.len() != labels.len() {
            return Err(Error::corrupt("one base value a class is needed, or none")
                .with("classes", labels.len())
                .with("base_values", base.len()));
        }
        if base.is_empty() && !forest.always_scores_some() {
            return Err(Error::unsupported("the native runtime takes no classifier that may score no class"));
        }
        Decision::Greatest
    };
    let outputs = [Type::new(DType::Int64, [rows]), Type::new(DType::Fp32, [rows, Length::fixed(labels.len())])];
    Ok(Lowered::step(Classifier { forest, rows, labels, base, transform, decision }, outputs))
}

/// How two classes are told apart, which the specification does not say.
fn binary(
    lists: &Lists<'_, f32>,
    forest: &Forest<f32>,
    labels: [i64; 2],
    base: &[f32],
    transform: Transform,
) -> Result<Decision> {
    let unsupported = |message: &str| Error::unsupported(message).with("classes", 2);
    let positive = lists.weights.iter().all(|weight| *weight >= 0.0);
    let threshold = if positive { 0.5 } else { 0.0 };
    let scored = |class| lists.targets.contains(&class);
    match (scored(0), scored(1)) {
        // One sum, under either name of it that exporters use: that of the first class alone stands for the second.
        (true, false) if base.len() > 1 => Err(unsupported("the native runtime takes one base value for one sum")),
        (true, false) if transform == Transform::Probit => Err(unsupported("one sum has no probit of two classes")),
        (true, false) => Ok(Decision::Single { threshold, positive }),
        (_, true) if !base.is_empty() => {
            Err(unsupported("the native runtime takes base values of two classes only for one sum under the first"))
        }
        (_, true) if !forest.always_scores(1) => {
            Err(unsupported("the native runtime takes no classifier that may leave out the second class"))
        }
        (false, true) => Ok(Decision::Second { threshold }),
        // ONNX Runtime answers 0 or 1 here, whatever the labels.
        (true, true) if labels != [0, 1] => {
            Err(unsupported("the native runtime takes two scored classes only with the labels 0 and 1"))
        }
        (true, true) => Ok(Decision::Second { threshold: 0.0 }),
        (false, false) => Err(Error::corrupt("no class has a weight")),
    }
}

fn lists<'a>(attributes: Attributes<'a>, leaves: [&str; 4]) -> Result<Lists<'a, f32>> {
    Ok(Lists {
        tree_ids: attributes.ints("nodes_treeids")?,
        node_ids: attributes.ints("nodes_nodeids")?,
        features: attributes.ints("nodes_featureids")?,
        modes: attributes.strings("nodes_modes")?,
        values: attributes.floats("nodes_values")?,
        yes: attributes.ints("nodes_truenodeids")?,
        no: attributes.ints("nodes_falsenodeids")?,
        missing_yes: attributes.ints("nodes_missing_value_tracks_true")?,
        leaf_trees: attributes.ints(leaves[0])?,
        leaf_nodes: attributes.ints(leaves[1])?,
        targets: attributes.ints(leaves[2])?,
        weights: attributes.floats(leaves[3])?,
    })
}

fn base_values(attributes: Attributes<'_>) -> Result<Vec<f32>> {
    let base = attributes.floats("base_values")?;
    if base.iter().all(|value| value.is_finite()) {
        Ok(base.to_vec())
    } else {
        Err(Error::corrupt("a base value is not finite"))
    }
}

#[derive(Debug)]
struct Regressor {
    forest: Forest<f32>,
    rows: Length,
    base: Vec<f32>,
    transform: Transform,
}

impl Kernel for Regressor {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = frame.take(outputs[0]);
        self.forest.score(self.rows.at(frame.rows), frame.values(inputs[0]), &mut scores, |scores, _| {
            for (score, base) in scores.iter_mut().zip(&self.base) {
                *score += base;
            }
            self.transform.apply(scores);
        });
        frame.put(outputs[0], scores);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    /// The class of the greatest score among those that have one.
    Greatest,
    /// The second class when its score is above the threshold.
    Second { threshold: f32 },
    /// The same, when one sum under the first class speaks for both. `positive` when it is a share of one.
    Single { threshold: f32, positive: bool },
}

#[derive(Debug)]
struct Classifier {
    forest: Forest<f32>,
    rows: Length,
    labels: Vec<i64>,
    base: Vec<f32>,
    transform: Transform,
    decision: Decision,
}

impl Classifier {
    /// The label of a row, whose sums become its scores.
    fn finish(&self, scores: &mut [f32], scored: &[bool]) -> i64 {
        for (score, base) in scores.iter_mut().zip(&self.base) {
            *score += base;
        }
        match self.decision {
            Decision::Greatest => {
                // With base values every class has a score.
                let has_score = |class: usize| !self.base.is_empty() || scored[class];
                let mut best = None;
                for (class, score) in scores.iter().enumerate() {
                    if has_score(class) && best.is_none_or(|best: usize| *score > scores[best]) {
                        best = Some(class);
                    }
                }
                self.transform.apply(scores);
                self.labels[best.unwrap_or(0)]
            }
            Decision::Second { threshold } => {
                let second = scores[1] > threshold;
                self.transform.apply(scores);
                self.labels[usize::from(second)]
            }
            Decision::Single { threshold, positive } => {
                let sum = scores[0];
                let pair = match self.transform {
                    Transform::Logistic => [logistic(-sum), logistic(sum)],
                    _ if positive => [1.0 - sum, sum],
                    _ => [-sum, sum],
                };
                scores.copy_from_slice(&pair);
                self.labels[usize::from(sum > threshold)]
            }
        }
    }
}

impl Kernel for Classifier {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut labels = frame.take(outputs[0]);
        let mut scores = frame.take(outputs[1]);
        labels.clear();
        labels.reserve(self.rows.at(frame.rows));
        self.forest.score(self.rows.at(frame.rows), frame.values(inputs[0]), &mut scores, |scores, scored| {
            labels.push(self.finish(scores, scored));
        });
        frame.put(outputs[0], labels);
        frame.put(outputs[1], scores);
        Ok(())
    }
}
