//! Ensembles of decision trees: `TreeEnsembleRegressor`, `TreeEnsembleClassifier`, `TreeEnsemble`.
//!
//! The form of the first two is that of `ai.onnx.ml` 1 to 3, where attributes are parallel lists. What the specification leaves
//! open is as in ONNX Runtime; where ONNX Runtime itself gives what cannot be meant, the model is refused.

mod forest;
mod tree_ensemble;

use super::{
    activation::logistic,
    kernel::{Frame, Kernel, Lowered, Slot},
    labels::Labels,
    length::{Length, Type},
    node::{Attributes, Node},
    transform::Transform,
};
use crate::{
    Error, Result,
    tensor::{DType, Element},
};
use forest::{Aggregate, Forest, Lists, Real};
use std::borrow::Cow;

pub(super) use tree_ensemble::ensemble;

/// The attributes of both older operators. Hit rates say how often a branch was taken and change nothing.
const NODES: [&str; 14] = [
    "base_values",
    "base_values_as_tensor",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_hitrates_as_tensor",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
    "nodes_values_as_tensor",
    "post_transform",
];

/// Weights of the leaves that a row reaches, aggregated by target.
pub(super) fn regressor(node: &Node<'_>) -> Result<Lowered> {
    match node.only()?.dtype {
        DType::Fp64 => regressor_of::<f64>(node),
        _ => regressor_of::<f32>(node),
    }
}

fn regressor_of<T: Number>(node: &Node<'_>) -> Result<Lowered> {
    const OWN: [&str; 7] = [
        "aggregate_function",
        "n_targets",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ];
    let attributes = node.attributes(&[&NODES[..], &OWN].concat())?;
    let (rows, width) = input(node.only()?)?;
    let (values, weights) = (T::list(attributes, "nodes_values")?, T::list(attributes, "target_weights")?);
    let lists = lists(attributes, ["target_treeids", "target_nodeids", "target_ids"], &values, &weights)?;
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
    let base = base_values::<T>(attributes)?;
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
    let of = node.only()?.dtype;
    Ok(Regressor { forest, rows, of, targets, base, transform }.lowered(DType::Fp32))
}

/// Weights of the leaves that a row reaches, summed by class; the label is the class of the greatest, the first of equals.
pub(super) fn classifier(node: &Node<'_>) -> Result<Lowered> {
    match node.only()?.dtype {
        DType::Fp64 => classifier_of::<f64>(node),
        _ => classifier_of::<f32>(node),
    }
}

fn classifier_of<T: Number>(node: &Node<'_>) -> Result<Lowered> {
    const OWN: [&str; 7] = [
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
    ];
    let attributes = node.attributes(&[&NODES[..], &OWN].concat())?;
    let (rows, width) = input(node.only()?)?;
    let labels = Labels::of(attributes, "classlabels_int64s", "classlabels_strings")?;
    let classes = labels.len();
    if classes < 2 {
        return Err(Error::unsupported("the native runtime takes classifiers of two classes or more"));
    }
    let (values, weights) = (T::list(attributes, "nodes_values")?, T::list(attributes, "class_weights")?);
    let lists = lists(attributes, ["class_treeids", "class_nodeids", "class_ids"], &values, &weights)?;
    let base = base_values::<T>(attributes)?;
    let transform = Transform::of(attributes)?;
    let forest = Forest::compile(&lists.ensemble(classes)?, width, classes, Aggregate::Sum)?;
    let decision = if classes == 2 {
        binary(&lists, &forest, &labels, &base, transform)?
    } else {
        if !base.is_empty() && base.len() != classes {
            return Err(Error::corrupt("one base value a class is needed, or none")
                .with("classes", classes)
                .with("base_values", base.len()));
        }
        if base.is_empty() && !forest.always_scores_some() {
            return Err(Error::unsupported("the native runtime takes no classifier that may score no class"));
        }
        Decision::Greatest
    };
    let outputs = [Type::new(labels.dtype(), [rows]), Type::new(DType::Fp32, [rows, Length::fixed(classes)])];
    let of = node.only()?.dtype;
    Ok(Lowered::step(Classifier { forest, rows, of, labels, classes, base, transform, decision }, outputs))
}

/// How two classes are told apart, which the specification does not say.
fn binary<T: Number>(
    lists: &Lists<'_, T>,
    forest: &Forest<T>,
    labels: &Labels,
    base: &[T],
    transform: Transform,
) -> Result<Decision> {
    let unsupported = |message: &str| Error::unsupported(message).with("classes", 2);
    let positive = lists.weights.iter().all(|weight| *weight >= T::default());
    let scored = |class| lists.targets.contains(&class);
    match (scored(0), scored(1)) {
        // One sum, under either name of it that exporters use: that of the first class alone stands for the second.
        (true, false) if base.len() > 1 => Err(unsupported("the native runtime takes one base value for one sum")),
        (true, false) if transform == Transform::Probit => Err(unsupported("one sum has no probit of two classes")),
        (true, false) => Ok(Decision::Single { positive }),
        (_, true) if !base.is_empty() => {
            Err(unsupported("the native runtime takes base values of two classes only for one sum under the first"))
        }
        (_, true) if !forest.always_scores(1) => {
            Err(unsupported("the native runtime takes no classifier that may leave out the second class"))
        }
        (false, true) => Ok(Decision::Second { positive }),
        // ONNX Runtime answers 0 or 1 here, whatever the labels are as long as they are numbers.
        (true, true) if matches!(labels, Labels::Ints(labels) if labels[..] != [0, 1]) => {
            Err(unsupported("the native runtime takes two scored classes only with text or the labels 0 and 1"))
        }
        (true, true) => Ok(Decision::Second { positive: false }),
        (false, false) => Err(Error::corrupt("no class has a weight")),
    }
}

fn lists<'a, T: Real>(
    attributes: Attributes<'a>,
    leaves: [&str; 3],
    values: &'a [T],
    weights: &'a [T],
) -> Result<Lists<'a, T>> {
    Ok(Lists {
        tree_ids: attributes.ints("nodes_treeids")?,
        node_ids: attributes.ints("nodes_nodeids")?,
        features: attributes.ints("nodes_featureids")?,
        modes: attributes.strings("nodes_modes")?,
        values,
        yes: attributes.ints("nodes_truenodeids")?,
        no: attributes.ints("nodes_falsenodeids")?,
        missing_yes: attributes.ints("nodes_missing_value_tracks_true")?,
        leaf_trees: attributes.ints(leaves[0])?,
        leaf_nodes: attributes.ints(leaves[1])?,
        targets: attributes.ints(leaves[2])?,
        weights,
    })
}

fn base_values<T: Number>(attributes: Attributes<'_>) -> Result<Vec<T>> {
    let base = T::list(attributes, "base_values")?;
    if base.iter().all(|value| value.is_finite()) {
        Ok(base.into_owned())
    } else {
        Err(Error::corrupt("a base value is not finite"))
    }
}

/// Rows and columns of the input, which may be of any type that the operators take.
fn input(of: &Type) -> Result<(Length, usize)> {
    let known = matches!(of.dtype, DType::Fp32 | DType::Fp64 | DType::Int32 | DType::Int64);
    match of.shape[..] {
        [rows, columns] if known && !columns.is_by_rows() => Ok((rows, columns.count())),
        // A single row may come without its dimension.
        [columns] if known && !columns.is_by_rows() => Ok((Length::ONE, columns.count())),
        _ => Err(Error::unsupported("the native runtime takes only numbers of rows by columns here").with("got", of)),
    }
}

/// The precision in which an ensemble works: double for doubles, single for all else.
trait Number: Real + Element {
    /// A list of attributes, or the tensor that stands for it in double precision.
    fn list<'a>(attributes: Attributes<'a>, name: &str) -> Result<Cow<'a, [Self]>>;
    /// What a slot holds, which is of this type.
    fn read<'a>(frame: &'a Frame<'_>, slot: Slot, of: DType) -> Cow<'a, [Self]>;
    fn into_singles(values: Vec<Self>) -> Vec<f32>;
}

impl Number for f32 {
    fn list<'a>(attributes: Attributes<'a>, name: &str) -> Result<Cow<'a, [Self]>> {
        if attributes.has(&format!("{name}_as_tensor")) {
            return Err(
                Error::unsupported("doubles are for inputs of doubles").with("attribute", format!("{name}_as_tensor"))
            );
        }
        attributes.floats(name).map(Cow::Borrowed)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "as in ONNX Runtime, whole numbers are compared in single precision"
    )]
    fn read<'a>(frame: &'a Frame<'_>, slot: Slot, of: DType) -> Cow<'a, [Self]> {
        match of {
            DType::Int32 => frame.values::<i32>(slot).iter().map(|value| *value as f32).collect(),
            DType::Int64 => frame.values::<i64>(slot).iter().map(|value| *value as f32).collect(),
            _ => Cow::Borrowed(frame.values(slot)),
        }
    }

    fn into_singles(values: Vec<Self>) -> Vec<f32> {
        values
    }
}

impl Number for f64 {
    fn list<'a>(attributes: Attributes<'a>, name: &str) -> Result<Cow<'a, [Self]>> {
        let (tensor, floats) = (attributes.tensor(&format!("{name}_as_tensor"))?, attributes.floats(name)?);
        match tensor {
            None => Ok(floats.iter().copied().map(Self::from).collect()),
            Some(_) if !floats.is_empty() => {
                Err(Error::corrupt("a list is there in single and in double precision").with("attribute", name))
            }
            Some(tensor) => tensor.into_values().map(Cow::Owned).map_err(|error| {
                Error::corrupt("a tensor is not of doubles as the input").with("attribute", name).with_source(error)
            }),
        }
    }

    fn read<'a>(frame: &'a Frame<'_>, slot: Slot, _of: DType) -> Cow<'a, [Self]> {
        Cow::Borrowed(frame.values(slot))
    }

    #[expect(clippy::cast_possible_truncation, reason = "sums of doubles are given in single precision")]
    fn into_singles(values: Vec<Self>) -> Vec<f32> {
        values.into_iter().map(|value| value as f32).collect()
    }
}

#[derive(Debug)]
struct Regressor<T> {
    forest: Forest<T>,
    rows: Length,
    of: DType,
    targets: usize,
    base: Vec<T>,
    /// Of single precision only.
    transform: Transform,
}

impl<T: Number> Regressor<T> {
    /// The scores are given as `T` or in single precision.
    fn lowered(self, as_type: DType) -> Lowered {
        let outputs = [Type::new(as_type, [self.rows, Length::fixed(self.targets)])];
        if as_type == DType::Fp32 { Lowered::step(Singles(self), outputs) } else { Lowered::step(self, outputs) }
    }

    fn score(&self, frame: &Frame<'_>, input: Slot, scores: &mut Vec<T>) {
        let values = T::read(frame, input, self.of);
        self.forest.score(self.rows.at(frame.rows), &values, scores, |scores, _| {
            for (score, base) in scores.iter_mut().zip(&self.base) {
                *score += *base;
            }
        });
    }
}

impl<T: Number> Kernel for Regressor<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = frame.take(outputs[0]);
        self.score(frame, inputs[0], &mut scores);
        frame.put(outputs[0], scores);
        Ok(())
    }
}

/// Gives its scores in single precision.
#[derive(Debug)]
struct Singles<T>(Regressor<T>);

impl<T: Number> Kernel for Singles<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut scores = if T::DTYPE == DType::Fp32 { frame.take(outputs[0]) } else { Vec::new() };
        self.0.score(frame, inputs[0], &mut scores);
        let mut scores = T::into_singles(scores);
        if self.0.transform != Transform::None {
            scores.chunks_exact_mut(self.0.targets).for_each(|scores| self.0.transform.apply(scores));
        }
        frame.put(outputs[0], scores);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    /// The class of the greatest score among those that have one.
    Greatest,
    /// The second class when its score is above a half, if all weights are `positive`, or else above zero.
    Second { positive: bool },
    /// The same, when one sum under the first class speaks for both. It is a share of one if all weights are `positive`.
    Single { positive: bool },
}

#[derive(Debug)]
struct Classifier<T> {
    forest: Forest<T>,
    rows: Length,
    of: DType,
    labels: Labels,
    classes: usize,
    base: Vec<T>,
    transform: Transform,
    decision: Decision,
}

impl<T: Number> Classifier<T> {
    /// The class of a row, to whose sums the base values are added.
    fn class(&self, sums: &mut [T], scored: &[bool]) -> usize {
        for (sum, base) in sums.iter_mut().zip(&self.base) {
            *sum += *base;
        }
        let above = |sum: T, positive: bool| usize::from(sum > if positive { T::HALF } else { T::default() });
        match self.decision {
            Decision::Greatest => {
                // With base values every class has a score.
                let has_score = |class: usize| !self.base.is_empty() || scored[class];
                let mut best = None;
                for (class, sum) in sums.iter().enumerate() {
                    if has_score(class) && best.is_none_or(|best: usize| *sum > sums[best]) {
                        best = Some(class);
                    }
                }
                best.unwrap_or(0)
            }
            Decision::Second { positive } => above(sums[1], positive),
            Decision::Single { positive } => above(sums[0], positive),
        }
    }

    /// Makes the sums of a row its scores.
    fn finish(&self, scores: &mut [f32]) {
        let Decision::Single { positive } = self.decision else { return self.transform.apply(scores) };
        let sum = scores[0];
        let pair = match self.transform {
            Transform::Logistic => [logistic(-sum), logistic(sum)],
            _ if positive => [1.0 - sum, sum],
            _ => [-sum, sum],
        };
        scores.copy_from_slice(&pair);
    }

    fn run_with<L: Element>(&self, labels: &[L], frame: &mut Frame<'_>, input: Slot, outputs: &[Slot]) {
        let mut given = frame.take_cleared::<L>(outputs[0]);
        let mut scores = if T::DTYPE == DType::Fp32 { frame.take(outputs[1]) } else { Vec::new() };
        let rows = self.rows.at(frame.rows);
        given.reserve(rows);
        self.forest.score(rows, &T::read(frame, input, self.of), &mut scores, |sums, scored| {
            given.push(labels[self.class(sums, scored)].clone());
        });
        let mut scores = T::into_singles(scores);
        scores.chunks_exact_mut(self.classes).for_each(|scores| self.finish(scores));
        frame.put(outputs[0], given);
        frame.put(outputs[1], scores);
    }
}

impl<T: Number> Kernel for Classifier<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        match &self.labels {
            Labels::Ints(labels) => self.run_with(labels, frame, inputs[0], outputs),
            Labels::Texts(labels) => self.run_with(labels, frame, inputs[0], outputs),
        }
        Ok(())
    }
}
