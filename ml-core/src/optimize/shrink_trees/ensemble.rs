//! The lists of attributes that ONNX writes trees in, up to version 3 of `ai.onnx.ml`.

use super::{
    Changes, Tree,
    pool::{Id, Part, Pool, Question, Test},
};
use crate::{
    Error, Result,
    onnx::proto::{AttributeProto, NodeProto, attribute_proto::AttributeType},
};
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, HashSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    /// The sum over the number of trees.
    Average,
    Min,
    Max,
}

/// The lists of a node, checked to be of one length.
#[derive(Debug)]
pub(super) struct Ensemble<'a> {
    pub(super) is_classifier: bool,
    pub(super) aggregate: Aggregate,
    tree_ids: &'a [i64],
    node_ids: &'a [i64],
    features: &'a [i64],
    modes: &'a [Bytes],
    values: &'a [f32],
    yes: &'a [i64],
    no: &'a [i64],
    missing_yes: &'a [i64],
    leaf_trees: &'a [i64],
    leaf_nodes: &'a [i64],
    targets: &'a [i64],
    weights: &'a [f32],
    hit_rates: bool,
}

pub(super) enum Parsed<'a> {
    Ensemble(Ensemble<'a>),
    /// Trees in another form, and which.
    Other(&'static str),
}

/// A node with fewer nodes in it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) node: NodeProto,
    pub(super) nodes: usize,
    pub(super) scores: Scores,
}

/// Which classes have weights, and whether all weights are zero or more: what runtimes tell two classes apart by.
pub(super) type Scores = (BTreeSet<i64>, bool);

impl<'a> Ensemble<'a> {
    pub(super) fn parse(node: &'a NodeProto) -> Result<Parsed<'a>> {
        if node.op_type() == "TreeEnsemble" {
            return Ok(Parsed::Other("its trees are in the form of version 5"));
        }
        if node.attribute.iter().any(|attribute| attribute.name().ends_with("_as_tensor")) {
            return Ok(Parsed::Other("its numbers are in double precision"));
        }
        let is_classifier = node.op_type() == "TreeEnsembleClassifier";
        let leaf = if is_classifier { "class" } else { "target" };
        let ints = |name: &str| list(node, name, AttributeType::Ints, |attribute| attribute.ints.as_slice());
        let floats = |name: &str| list(node, name, AttributeType::Floats, |attribute| attribute.floats.as_slice());
        let aggregate = match super::network::attribute(node, "aggregate_function").map(AttributeProto::s) {
            _ if is_classifier => Aggregate::Sum,
            None | Some(b"SUM") => Aggregate::Sum,
            Some(b"AVERAGE") => Aggregate::Average,
            Some(b"MIN") => Aggregate::Min,
            Some(b"MAX") => Aggregate::Max,
            Some(_) => return Ok(Parsed::Other("its aggregate function is unknown")),
        };
        let ensemble = Self {
            is_classifier,
            aggregate,
            tree_ids: ints("nodes_treeids")?,
            node_ids: ints("nodes_nodeids")?,
            features: ints("nodes_featureids")?,
            modes: list(node, "nodes_modes", AttributeType::Strings, |attribute| attribute.strings.as_slice())?,
            values: floats("nodes_values")?,
            yes: ints("nodes_truenodeids")?,
            no: ints("nodes_falsenodeids")?,
            missing_yes: ints("nodes_missing_value_tracks_true")?,
            leaf_trees: ints(&format!("{leaf}_treeids"))?,
            leaf_nodes: ints(&format!("{leaf}_nodeids"))?,
            targets: ints(&format!("{leaf}_ids"))?,
            weights: floats(&format!("{leaf}_weights"))?,
            hit_rates: !floats("nodes_hitrates")?.is_empty(),
        };
        let count = ensemble.node_count();
        let (own, missing) = (&ensemble, ensemble.missing_yes.len());
        let nodes =
            [own.node_ids.len(), own.features.len(), own.modes.len(), own.values.len(), own.yes.len(), own.no.len()];
        let leaves = [own.leaf_nodes.len(), own.targets.len(), own.weights.len()];
        if count == 0
            || nodes.iter().any(|other| *other != count)
            || (missing != 0 && missing != count)
            || leaves.iter().any(|other| *other != own.leaf_trees.len())
        {
            return Err(Error::corrupt("the lists of the trees are of different lengths"));
        }
        if let Some(weight) = ensemble.weights.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::corrupt("the weight of a leaf is not finite").with("weight", weight));
        }
        Ok(Parsed::Ensemble(ensemble))
    }

    pub(super) fn node_count(&self) -> usize {
        self.tree_ids.len()
    }

    pub(super) fn tree_count(&self) -> usize {
        1 + self.tree_ids.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    pub(super) fn has_hit_rates(&self) -> bool {
        self.hit_rates
    }

    pub(super) fn scores(&self) -> Scores {
        (self.targets.iter().copied().collect(), self.weights.iter().all(|weight| *weight >= 0.0))
    }

    /// The trees as parts of a pool.
    pub(super) fn trees(&self, pool: &mut Pool, rounding: Option<u8>, changes: &mut Changes) -> Result<Vec<Tree>> {
        let mut index: HashMap<(i64, i64), usize> = HashMap::with_capacity(self.node_count());
        for (at, key) in self.tree_ids.iter().copied().zip(self.node_ids.iter().copied()).enumerate() {
            if index.insert(key, at).is_some() {
                return Err(self.corrupt("a node of a tree is there twice", at));
            }
        }
        let mut weights: HashMap<usize, Vec<(i64, u32)>> = HashMap::new();
        for (at, key) in self.leaf_trees.iter().copied().zip(self.leaf_nodes.iter().copied()).enumerate() {
            let node = *index
                .get(&key)
                .ok_or_else(|| Error::corrupt("a weight is of no node").with("tree", key.0).with("tree_node", key.1))?;
            let of = weights.entry(node).or_default();
            if self.modes[node] != "LEAF" || of.iter().any(|(target, _)| *target == self.targets[at]) {
                return Err(self.corrupt("a branch has a weight, or a leaf has two for one target", node));
            }
            // Zero has two signs that no sum tells apart.
            of.push((self.targets[at], (self.weights[at] + 0.0).to_bits()));
        }
        let mut made: HashMap<usize, Id> = HashMap::with_capacity(self.node_count());
        let mut ids = HashSet::new();
        let mut trees = Vec::new();
        for root in 0..self.node_count() {
            let tree = self.tree_ids[root];
            if root > 0 && self.tree_ids[root - 1] == tree {
                continue;
            }
            if !ids.insert(tree) {
                return Err(self.corrupt("the nodes of a tree are not together", root));
            }
            trees.push(self.tree(root, pool, &index, &weights, &mut made, rounding, changes)?);
        }
        Ok(trees)
    }

    #[expect(clippy::too_many_arguments, reason = "the tables are those of all trees")]
    fn tree(
        &self,
        root: usize,
        pool: &mut Pool,
        index: &HashMap<(i64, i64), usize>,
        weights: &HashMap<usize, Vec<(i64, u32)>>,
        made: &mut HashMap<usize, Id>,
        rounding: Option<u8>,
        changes: &mut Changes,
    ) -> Result<Tree> {
        let mut open: HashSet<usize> = HashSet::new();
        let mut shared = false;
        let mut stack = vec![root];
        while let Some(&at) = stack.last() {
            if made.contains_key(&at) {
                // Asked for once more by another branch.
                shared = true;
                stack.pop();
                continue;
            }
            if self.modes[at] == "LEAF" {
                let id = pool.leaf(weights.get(&at).cloned().unwrap_or_default());
                made.insert(at, id);
                stack.pop();
                continue;
            }
            let child = |node: i64| {
                index.get(&(self.tree_ids[at], node)).copied().ok_or_else(|| self.corrupt("a child is not there", at))
            };
            let (yes, no) = (child(self.yes[at])?, child(self.no[at])?);
            if open.insert(at) {
                if let Some(above) = [yes, no].into_iter().find(|next| open.contains(next) && !made.contains_key(next))
                {
                    return Err(self.corrupt("a tree leads back to a node above", above));
                }
                stack.extend([no, yes]);
                continue;
            }
            let question = self.question(at, rounding, changes)?;
            let id = pool.branch(question, made[&yes], made[&no]);
            made.insert(at, id);
            stack.pop();
        }
        Ok(Tree { root: made[&root], shared })
    }

    fn question(&self, at: usize, rounding: Option<u8>, changes: &mut Changes) -> Result<Question> {
        let test = match &self.modes[at][..] {
            b"BRANCH_LEQ" => Test::Leq,
            b"BRANCH_LT" => Test::Lt,
            b"BRANCH_GTE" => Test::Gte,
            b"BRANCH_GT" => Test::Gt,
            b"BRANCH_EQ" => Test::Eq,
            b"BRANCH_NEQ" => Test::Neq,
            _ => return Err(self.corrupt("a node of a tree is of an unknown mode", at)),
        };
        let threshold = self.values[at];
        if threshold.is_nan() {
            return Err(self.corrupt("a threshold is NaN", at));
        }
        let rounded = match (rounding, test) {
            // What is compared for equality names a category.
            (Some(bits), Test::Leq | Test::Lt | Test::Gte | Test::Gt) => round(threshold, bits),
            _ => threshold,
        };
        changes.add("thresholds rounded", u64::from(rounded != threshold));
        Ok(Question {
            feature: self.features[at],
            test,
            threshold: (rounded + 0.0).to_bits(),
            missing_yes: self.missing_yes.get(at).is_some_and(|tracks| *tracks == 1),
        })
    }

    /// The node with other trees; none when they would have more nodes than before.
    pub(super) fn write(&self, node: &NodeProto, pool: &Pool, trees: &[Tree], share: bool) -> Option<Written> {
        let mut lists = Lists::default();
        for (tree, number) in trees.iter().zip(0_i64..) {
            if !lists.add(pool, tree.root, number, share || tree.shared, self.node_count()) {
                return None;
            }
        }
        let scores = (lists.targets.iter().copied().collect(), lists.weights.iter().all(|weight| *weight >= 0.0));
        let nodes = lists.tree_ids.len();
        let leaf = if self.is_classifier { "class" } else { "target" };
        let missing = lists.missing_yes.contains(&1);
        let ints = |values: Vec<i64>| AttributeProto {
            r#type: Some(AttributeType::Ints.into()),
            ints: values,
            ..AttributeProto::default()
        };
        let floats = |values: Vec<f32>| AttributeProto {
            r#type: Some(AttributeType::Floats.into()),
            floats: values,
            ..AttributeProto::default()
        };
        let modes = AttributeProto {
            r#type: Some(AttributeType::Strings.into()),
            strings: lists.modes,
            ..AttributeProto::default()
        };
        let mut replaced: Vec<(String, Option<AttributeProto>)> = vec![
            ("nodes_treeids".into(), Some(ints(lists.tree_ids))),
            ("nodes_nodeids".into(), Some(ints(lists.node_ids))),
            ("nodes_featureids".into(), Some(ints(lists.features))),
            ("nodes_modes".into(), Some(modes)),
            ("nodes_values".into(), Some(floats(lists.values))),
            ("nodes_truenodeids".into(), Some(ints(lists.yes))),
            ("nodes_falsenodeids".into(), Some(ints(lists.no))),
            ("nodes_missing_value_tracks_true".into(), missing.then(|| ints(lists.missing_yes))),
            ("nodes_hitrates".into(), None),
            (format!("{leaf}_treeids"), Some(ints(lists.leaf_trees))),
            (format!("{leaf}_nodeids"), Some(ints(lists.leaf_nodes))),
            (format!("{leaf}_ids"), Some(ints(lists.targets))),
            (format!("{leaf}_weights"), Some(floats(lists.weights))),
        ];
        let stays = |attribute: &&AttributeProto| replaced.iter().all(|(name, _)| name != attribute.name());
        let mut node = NodeProto {
            attribute: node.attribute.iter().filter(stays).cloned().collect(),
            input: node.input.clone(),
            output: node.output.clone(),
            name: node.name.clone(),
            op_type: node.op_type.clone(),
            doc_string: node.doc_string.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
            metadata_props: node.metadata_props.clone(),
        };
        for (name, attribute) in &mut replaced {
            if let Some(attribute) = attribute.take() {
                node.attribute.push(AttributeProto { name: Some(name.clone()), ..attribute });
            }
        }
        Some(Written { node, nodes, scores })
    }

    fn corrupt(&self, message: &str, at: usize) -> Error {
        Error::corrupt(message).with("tree", self.tree_ids[at]).with("tree_node", self.node_ids[at])
    }
}

/// The lists of trees to be written.
#[derive(Debug, Default)]
struct Lists {
    tree_ids: Vec<i64>,
    node_ids: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<Bytes>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_yes: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

impl Lists {
    /// Adds a tree, from its root on; false when the lists would have more than `most` nodes.
    ///
    /// ONNX Runtime lays trees out with the side of `no` behind each branch, and takes a node that it has seen only on the
    /// side of `yes`. So sides of `no` are walked first, and are nodes of their own.
    fn add(&mut self, pool: &Pool, root: Id, tree: i64, share: bool, most: usize) -> bool {
        let mut known: HashMap<Id, i64> = HashMap::new();
        let mut next = 0_i64;
        // A part to write, and the place in a list that asks for its number.
        let mut stack: Vec<(Id, Option<(usize, bool)>)> = vec![(root, None)];
        while let Some((id, asked)) = stack.pop() {
            let seen = if share && matches!(asked, Some((_, true))) { known.get(&id).copied() } else { None };
            let number = seen.unwrap_or(next);
            if seen.is_none() {
                if self.tree_ids.len() == most {
                    return false;
                }
                next += 1;
                known.insert(id, number);
                let at = self.push(tree, number);
                match pool.part(id) {
                    Part::Leaf(weights) => {
                        self.modes.push(Bytes::from_static(b"LEAF"));
                        for (target, bits) in weights {
                            self.leaf_trees.push(tree);
                            self.leaf_nodes.push(number);
                            self.targets.push(*target);
                            self.weights.push(f32::from_bits(*bits));
                        }
                    }
                    Part::Branch { question, yes, no } => {
                        self.modes.push(mode(question.test));
                        self.features[at] = question.feature;
                        self.values[at] = f32::from_bits(question.threshold);
                        self.missing_yes[at] = i64::from(question.missing_yes);
                        stack.extend([(*yes, Some((at, true))), (*no, Some((at, false)))]);
                    }
                }
            }
            match asked {
                Some((at, true)) => self.yes[at] = number,
                Some((at, false)) => self.no[at] = number,
                None => {}
            }
        }
        true
    }

    /// A node that leads nowhere yet; gives its place in the lists.
    fn push(&mut self, tree: i64, number: i64) -> usize {
        self.tree_ids.push(tree);
        self.node_ids.push(number);
        for list in [&mut self.features, &mut self.yes, &mut self.no, &mut self.missing_yes] {
            list.push(0);
        }
        self.values.push(0.0);
        self.values.len() - 1
    }
}

fn mode(test: Test) -> Bytes {
    Bytes::from_static(match test {
        Test::Leq => b"BRANCH_LEQ",
        Test::Lt => b"BRANCH_LT",
        Test::Gte => b"BRANCH_GTE",
        Test::Gt => b"BRANCH_GT",
        Test::Eq => b"BRANCH_EQ",
        Test::Neq => b"BRANCH_NEQ",
    })
}

/// A list attribute; empty when it is left out.
fn list<'a, T>(
    node: &'a NodeProto,
    name: &str,
    kind: AttributeType,
    values: fn(&'a AttributeProto) -> &'a [T],
) -> Result<&'a [T]> {
    match super::network::attribute(node, name) {
        None => Ok(&[]),
        Some(attribute) if attribute.r#type() == kind => Ok(values(attribute)),
        Some(_) => Err(Error::corrupt("an attribute is of another type").with("attribute", name.escape_debug())),
    }
}

/// The nearest number whose fraction has so many bits, of two the even one; the number itself where that is infinite.
fn round(value: f32, bits: u8) -> f32 {
    let drop = 23_u32.saturating_sub(u32::from(bits));
    if drop == 0 || !value.is_finite() {
        return value;
    }
    let raw = value.to_bits();
    let half = (1_u32 << (drop - 1)) - 1 + ((raw >> drop) & 1);
    let rounded = f32::from_bits((raw.wrapping_add(half) >> drop) << drop);
    if rounded.is_finite() { rounded } else { value }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn thresholds_round_as_half_precision_does() {
        for value in [0.1_f32, -3.333, 1000.7, 1.0, 0.0, 2049.0, 2051.0] {
            assert_eq!(round(value, 10), half::f16::from_f32(value).to_f32(), "{value}");
        }
        assert_eq!(round(f32::MAX, 3), f32::MAX);
        assert_eq!(round(f32::INFINITY, 3), f32::INFINITY);
    }
}
