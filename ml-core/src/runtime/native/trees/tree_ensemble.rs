//! `TreeEnsemble` of `ai.onnx.ml` 5: one operator for both kinds, whose nodes name each other by their place.

use super::{
    super::{
        kernel::Lowered,
        node::{Attributes, Node},
        transform::Transform,
    },
    Number, Regressor,
    forest::{Aggregate, Ensemble, Forest, Names, Node as Place, Question, Test},
    input,
};
use crate::{
    Error, Result,
    tensor::{DType, Element},
};

/// Hit rates say how often a branch was taken and change nothing.
const KNOWN: [&str; 16] = [
    "aggregate_function",
    "leaf_targetids",
    "leaf_weights",
    "membership_values",
    "n_targets",
    "nodes_falseleafs",
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_hitrates",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_splits",
    "nodes_trueleafs",
    "nodes_truenodeids",
    "post_transform",
    "tree_roots",
];

/// A mode that asks whether a value is one of several, which become a chain of equalities. As the specification says, a value
/// is in the set or not; ONNX Runtime takes 1.5 for 1 in some sets.
const MEMBER: u8 = 6;

/// Weights of the leaves that a row reaches, aggregated by target.
pub(in super::super) fn ensemble(node: &Node<'_>) -> Result<Lowered> {
    match node.only()?.dtype {
        DType::Fp32 => of::<f32>(node),
        DType::Fp64 => of::<f64>(node),
        other => Err(Error::unsupported("the native runtime takes only FP32 and FP64 here").with("got", other)),
    }
}

fn of<T: Number>(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&KNOWN)?;
    let (rows, width) = input(node.only()?)?;
    let aggregate = match attributes.int("aggregate_function")?.unwrap_or(1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return Err(Error::corrupt("there is no such aggregate function").with("aggregate_function", other)),
    };
    let lists = Lists::<T>::of(attributes)?;
    let targets = attributes.int("n_targets")?.and_then(|targets| usize::try_from(targets).ok()).unwrap_or(0);
    // A declared number costs nothing, so it is bounded by what the file spells out.
    if targets == 0 || targets > lists.weights.len() {
        return Err(Error::corrupt("at least one leaf a target is needed")
            .with("targets", targets)
            .with("leaves", lists.weights.len()));
    }
    let transform = transform(attributes, targets, T::DTYPE)?;
    let forest = Forest::compile(&lists.ensemble(targets)?, width, targets, aggregate)?;
    Ok(Regressor { forest, rows, of: T::DTYPE, targets, base: Vec::new(), transform }.lowered(T::DTYPE))
}

fn transform(attributes: Attributes<'_>, targets: usize, of: DType) -> Result<Transform> {
    let transform = match attributes.int("post_transform")?.unwrap_or(0) {
        0 => Transform::None,
        // As with the other operators, a single number has nothing to be normalized against.
        1..=3 if targets == 1 => Transform::None,
        code @ 1..=2 => {
            return Err(Error::unsupported(
                "the specification and ONNX Runtime mean different transforms by this number of several targets",
            )
            .with("post_transform", code));
        }
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => return Err(Error::corrupt("there is no such transform").with("post_transform", other)),
    };
    if of == DType::Fp64 && transform != Transform::None {
        return Err(Error::unsupported("the native runtime transforms only FP32 scores"));
    }
    Ok(transform)
}

struct Lists<'a, T> {
    roots: &'a [i64],
    features: &'a [i64],
    modes: Vec<u8>,
    splits: Vec<T>,
    members: Vec<T>,
    yes: &'a [i64],
    yes_leaf: &'a [i64],
    no: &'a [i64],
    no_leaf: &'a [i64],
    missing_yes: &'a [i64],
    targets: &'a [i64],
    weights: Vec<T>,
}

impl<'a, T: Number> Lists<'a, T> {
    fn of(attributes: Attributes<'a>) -> Result<Self> {
        let lists = Self {
            roots: attributes.ints("tree_roots")?,
            features: attributes.ints("nodes_featureids")?,
            modes: values(attributes, "nodes_modes")?,
            splits: values(attributes, "nodes_splits")?,
            members: values(attributes, "membership_values")?,
            yes: attributes.ints("nodes_truenodeids")?,
            yes_leaf: attributes.ints("nodes_trueleafs")?,
            no: attributes.ints("nodes_falsenodeids")?,
            no_leaf: attributes.ints("nodes_falseleafs")?,
            missing_yes: attributes.ints("nodes_missing_value_tracks_true")?,
            targets: attributes.ints("leaf_targetids")?,
            weights: values(attributes, "leaf_weights")?,
        };
        let nodes = lists.features.len();
        let others = [
            lists.modes.len(),
            lists.splits.len(),
            lists.yes.len(),
            lists.yes_leaf.len(),
            lists.no.len(),
            lists.no_leaf.len(),
        ];
        let missing = lists.missing_yes.len();
        if nodes == 0 || others.iter().any(|other| *other != nodes) || (missing != 0 && missing != nodes) {
            return Err(Error::corrupt("the lists of the nodes have different lengths, or none").with("nodes", nodes));
        }
        if lists.targets.len() != lists.weights.len() {
            return Err(
                Error::corrupt("the lists of the leaves have different lengths").with("leaves", lists.weights.len())
            );
        }
        if lists.roots.is_empty() {
            return Err(Error::corrupt("an ensemble without a tree"));
        }
        Ok(lists)
    }

    /// Nodes first, then leaves, then what sets of values become.
    fn ensemble(&self, targets: usize) -> Result<Ensemble<'static, T>> {
        let (count, leaves) = (self.features.len(), self.weights.len());
        let names = Names::Places { branches: count, leaves };
        let mut nodes = Vec::with_capacity(count + leaves);
        let mut chains = Vec::new();
        let mut sets = self.members.split(|value| value.is_nan());
        for node in 0..count {
            let place = |id: i64, is_leaf: i64| {
                let (first, len) = if is_leaf == 1 { (count, leaves) } else { (0, count) };
                usize::try_from(id).ok().filter(|id| *id < len).map(|id| first + id).ok_or_else(|| {
                    let error = Error::corrupt("a branch leads to a node that is not there").with("child", id);
                    names.tell(error, node)
                })
            };
            let mut question = Question {
                test: Test::Eq,
                feature: self.features[node],
                threshold: self.splits[node],
                missing_yes: self.missing_yes.get(node).is_some_and(|tracks| *tracks == 1),
                yes: place(self.yes[node], self.yes_leaf[node])?,
                no: place(self.no[node], self.no_leaf[node])?,
            };
            question.test = match self.modes[node] {
                0 => Test::Leq,
                1 => Test::Lt,
                2 => Test::Gte,
                3 => Test::Gt,
                4 => Test::Eq,
                5 => Test::Neq,
                MEMBER => {
                    let Some((first, others)) = sets.next().and_then(<[T]>::split_first) else {
                        return Err(names.tell(Error::corrupt("a test of membership has no values"), node));
                    };
                    question.threshold = *first;
                    // Each value that is not the one leads on to the next.
                    for value in others.iter().rev() {
                        let next = Question { threshold: *value, ..question };
                        question.no = count + leaves + chains.len();
                        chains.push(Place::Branch(next));
                    }
                    Test::Eq
                }
                other => {
                    return Err(names.tell(Error::corrupt("there is no such mode").with("mode", other), node));
                }
            };
            nodes.push(Place::Branch(question));
        }
        let mut weights = Vec::with_capacity(leaves);
        for (leaf, (target, weight)) in self.targets.iter().zip(&self.weights).enumerate() {
            let known = usize::try_from(*target).ok().filter(|target| *target < targets);
            let Some(target) = known.filter(|_| weight.is_finite()) else {
                let error = Error::corrupt("a leaf is of no target, or its weight is not finite").with("id", target);
                return Err(names.tell(error, count + leaf));
            };
            weights.push((target, *weight));
            nodes.push(Place::Leaf(leaf..leaf + 1));
        }
        nodes.extend(chains);
        let root = |root: &i64| {
            usize::try_from(*root)
                .ok()
                .filter(|root| *root < count)
                .ok_or_else(|| Error::corrupt("the root of a tree is no node").with("root", root))
        };
        let roots = self.roots.iter().map(root).collect::<Result<_>>()?;
        Ok(Ensemble { nodes, roots, weights, names })
    }
}

/// The elements of an attribute that is a tensor; none when it is missing.
fn values<T: Element>(attributes: Attributes<'_>, name: &str) -> Result<Vec<T>> {
    let Some(tensor) = attributes.tensor(name)? else { return Ok(Vec::new()) };
    tensor.into_values().map_err(|error| {
        Error::corrupt("an attribute has another type than the input").with("attribute", name).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// One test of membership over two leaves.
    fn lists() -> Lists<'static, f32> {
        Lists {
            roots: &[0],
            features: &[0],
            modes: vec![MEMBER],
            splits: vec![0.0],
            members: vec![1.0, 2.0, f32::NAN],
            yes: &[0],
            yes_leaf: &[1],
            no: &[1],
            no_leaf: &[1],
            missing_yes: &[],
            targets: &[0, 0],
            weights: vec![10.0, 20.0],
        }
    }

    fn forest(lists: &Lists<'_, f32>) -> Result<Forest<f32>> {
        Forest::compile(&lists.ensemble(1)?, 1, 1, Aggregate::Sum)
    }

    #[test]
    fn a_set_has_its_members_and_nothing_else() {
        let mut scores = Vec::new();
        let values = [1.0, 1.5, 2.0, f32::NAN, -1.0];
        forest(&lists()).expect("sound").score(values.len(), &values, &mut scores, |_, _| {});
        assert_eq!(scores, [10.0, 20.0, 10.0, 20.0, 20.0]);
    }

    #[test]
    fn lists_that_lead_astray_are_refused() {
        let cases = [
            ("no values", Lists { members: vec![], ..lists() }),
            ("an empty set", Lists { members: vec![f32::NAN, 1.0], ..lists() }),
            ("an unknown mode", Lists { modes: vec![7], ..lists() }),
            ("a leaf that is not there", Lists { no: &[2], ..lists() }),
            ("a negative leaf", Lists { no: &[-1], ..lists() }),
            ("a cycle", Lists { no: &[0], no_leaf: &[0], ..lists() }),
            ("a root that is a leaf", Lists { roots: &[1], ..lists() }),
            ("a root twice", Lists { roots: &[0, 0], ..lists() }),
            ("a leaf that nothing leads to", Lists { no: &[0], ..lists() }),
            ("no such target", Lists { targets: &[0, 1], ..lists() }),
            ("a weight that is not finite", Lists { weights: vec![1.0, f32::INFINITY], ..lists() }),
            ("no such column", Lists { features: &[1], ..lists() }),
        ];
        for (what, lists) in cases {
            assert_eq!(forest(&lists).expect_err(what).kind(), ErrorKind::Corrupt, "{what}");
        }
        let mode = |modes| Lists { modes, splits: vec![f32::NAN], ..lists() };
        assert_eq!(forest(&mode(vec![0])).expect_err("NaN").kind(), ErrorKind::Corrupt);
        forest(&mode(vec![MEMBER])).expect("a set has no threshold");
    }
}
