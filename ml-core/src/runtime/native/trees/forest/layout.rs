//! The lists of an ensemble, checked and laid out as branches and leaves.

use super::{Branch, LEAF, Test};
use crate::{Error, Result};
use bytes::Bytes;
use std::collections::HashMap;

/// The parallel lists of the operators: one entry a node, then one entry a weight.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Lists<'a> {
    pub(in super::super) tree_ids: &'a [i64],
    pub(in super::super) node_ids: &'a [i64],
    pub(in super::super) features: &'a [i64],
    pub(in super::super) modes: &'a [Bytes],
    pub(in super::super) values: &'a [f32],
    pub(in super::super) yes: &'a [i64],
    pub(in super::super) no: &'a [i64],
    pub(in super::super) missing_yes: &'a [i64],
    pub(in super::super) leaf_trees: &'a [i64],
    pub(in super::super) leaf_nodes: &'a [i64],
    pub(in super::super) targets: &'a [i64],
    pub(in super::super) weights: &'a [f32],
}

/// Nodes by tree and id.
pub(super) type Index = HashMap<(i64, i64), usize>;

impl Lists<'_> {
    /// Checks that the lists have one length each, and that no node comes twice.
    pub(super) fn index(&self) -> Result<Index> {
        let nodes = self.tree_ids.len();
        let others = [
            self.node_ids.len(),
            self.features.len(),
            self.modes.len(),
            self.values.len(),
            self.yes.len(),
            self.no.len(),
        ];
        let missing = self.missing_yes.len();
        if nodes == 0 || others.iter().any(|other| *other != nodes) || (missing != 0 && missing != nodes) {
            return Err(Error::corrupt("the lists of the nodes have different lengths, or none").with("nodes", nodes));
        }
        if nodes >= LEAF as usize {
            return Err(
                Error::unsupported("the native runtime takes no ensemble of so many nodes").with("nodes", nodes)
            );
        }
        let mut index = HashMap::with_capacity(nodes);
        for (node, id) in self.tree_ids.iter().copied().zip(self.node_ids.iter().copied()).enumerate() {
            if index.insert(id, node).is_some() {
                return Err(Error::corrupt("a node comes twice").with_node(self, node));
            }
        }
        Ok(index)
    }

    /// Node, target and weight, in order of node and target. Weights at branches are never reached.
    pub(super) fn weights_of_leaves(&self, index: &Index, targets: usize) -> Result<Vec<(usize, usize, f32)>> {
        let count = self.weights.len();
        if [self.leaf_trees.len(), self.leaf_nodes.len(), self.targets.len()].iter().any(|other| *other != count) {
            return Err(Error::corrupt("the lists of the weights have different lengths").with("weights", count));
        }
        let mut weights = Vec::with_capacity(count);
        for (at, &weight) in self.weights.iter().enumerate() {
            let node = *index.get(&(self.leaf_trees[at], self.leaf_nodes[at])).ok_or_else(|| {
                Error::corrupt("a weight is of no node")
                    .with("tree", self.leaf_trees[at])
                    .with("node_id", self.leaf_nodes[at])
            })?;
            let target =
                usize::try_from(self.targets[at]).ok().filter(|target| *target < targets).ok_or_else(|| {
                    Error::corrupt("a weight is of no target or class")
                        .with("id", self.targets[at])
                        .with("targets", targets)
                })?;
            if !weight.is_finite() {
                return Err(Error::corrupt("a weight is not finite").with_node(self, node));
            }
            weights.push((node, target, weight));
        }
        weights.sort_unstable_by_key(|(node, target, _)| (*node, *target));
        match weights.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
            Some(pair) => {
                Err(Error::corrupt("a node has two weights for one target or class").with_node(self, pair[0].0))
            }
            None => Ok(weights),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    New,
    /// On the way from the root to where the walk is.
    Open,
    /// Laid out, at this place.
    Done(u32),
}

enum Visit {
    Enter(usize),
    /// All below is laid out: the branch of this number, of this node, with where it leads.
    Leave {
        node: usize,
        branch: u32,
        yes: usize,
        no: usize,
    },
}

pub(super) struct Builder<'a> {
    pub(super) lists: &'a Lists<'a>,
    pub(super) index: &'a Index,
    pub(super) weights: &'a [(usize, usize, f32)],
    pub(super) width: usize,
    pub(super) targets: usize,
    pub(super) states: Vec<State>,
    pub(super) branches: Vec<Branch>,
    pub(super) starts: Vec<usize>,
    pub(super) entries: Vec<(usize, f32)>,
}

impl Builder<'_> {
    /// Lays out a tree and gives the place of its root. The way down is kept on the heap: trees may be deep.
    pub(super) fn tree(&mut self, root: usize) -> Result<u32> {
        let mut visits = vec![Visit::Enter(root)];
        while let Some(visit) = visits.pop() {
            match visit {
                Visit::Enter(node) => match self.states[node] {
                    State::Done(_) => {}
                    State::Open => {
                        return Err(Error::corrupt("a tree leads back to itself").with_node(self.lists, node));
                    }
                    State::New if self.lists.modes[node] == "LEAF" => {
                        self.states[node] = State::Done(self.leaf(node)? | LEAF);
                    }
                    State::New => {
                        self.states[node] = State::Open;
                        let (yes, no) =
                            (self.child(node, self.lists.yes[node])?, self.child(node, self.lists.no[node])?);
                        let branch = self.branch(node)?;
                        visits.extend([Visit::Leave { node, branch, yes, no }, Visit::Enter(yes), Visit::Enter(no)]);
                    }
                },
                Visit::Leave { node, branch, yes, no } => {
                    let places = [self.place(yes)?, self.place(no)?];
                    let laid_out = &mut self.branches[branch as usize];
                    [laid_out.yes, laid_out.no] = places;
                    self.states[node] = State::Done(branch);
                }
            }
        }
        self.place(root)
    }

    fn place(&self, node: usize) -> Result<u32> {
        match self.states[node] {
            State::Done(place) => Ok(place),
            State::New | State::Open => Err(Error::internal("a node is not laid out").with_node(self.lists, node)),
        }
    }

    fn child(&self, node: usize, id: i64) -> Result<usize> {
        let child = self.index.get(&(self.lists.tree_ids[node], id)).copied();
        child.ok_or_else(|| {
            Error::corrupt("a branch leads to a node that is not there").with_node(self.lists, node).with("child", id)
        })
    }

    fn branch(&mut self, node: usize) -> Result<u32> {
        let lists = self.lists;
        let test = match &lists.modes[node][..] {
            b"BRANCH_LEQ" => Test::Leq,
            b"BRANCH_LT" => Test::Lt,
            b"BRANCH_GTE" => Test::Gte,
            b"BRANCH_GT" => Test::Gt,
            b"BRANCH_EQ" => Test::Eq,
            b"BRANCH_NEQ" => Test::Neq,
            other => {
                return Err(Error::unsupported("the native runtime does not know this mode of a node")
                    .with("mode", other.escape_ascii())
                    .with_node(lists, node));
            }
        };
        let feature = lists.features[node];
        let in_width = usize::try_from(feature).is_ok_and(|feature| feature < self.width);
        let Some(feature) = u32::try_from(feature).ok().filter(|_| in_width) else {
            return Err(Error::corrupt("a branch asks for a column that is not there")
                .with_node(lists, node)
                .with("column", feature)
                .with("columns", self.width));
        };
        let threshold = lists.values[node];
        if threshold.is_nan() {
            return Err(Error::corrupt("a threshold is not a number").with_node(lists, node));
        }
        let missing_yes = lists.missing_yes.get(node).is_some_and(|tracks| *tracks == 1);
        let number = number(self.branches.len())?;
        self.branches.push(Branch { threshold, feature, yes: 0, no: 0, test, missing_yes });
        Ok(number)
    }

    fn leaf(&mut self, node: usize) -> Result<u32> {
        let number = number(self.starts.len() - 1)?;
        let first = self.weights.partition_point(|(other, ..)| *other < node);
        let weights = self.weights[first..].iter().take_while(|(other, ..)| *other == node);
        self.entries.extend(weights.map(|(_, target, weight)| (*target, *weight)));
        // A single target has a score at every leaf: where no weight is given ONNX Runtime takes the value of the node.
        if self.targets == 1 && self.starts.last() == Some(&self.entries.len()) {
            if self.lists.values[node] != 0.0 {
                return Err(Error::unsupported("the native runtime takes no leaf with a value in place of a weight")
                    .with_node(self.lists, node));
            }
            self.entries.push((0, 0.0));
        }
        self.starts.push(self.entries.len());
        Ok(number)
    }
}

fn number(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|error| Error::unsupported("the ensemble has too many nodes").with_source(error))
}

/// Names a node of an ensemble in an error.
pub(super) trait WithNode {
    fn with_node(self, lists: &Lists<'_>, node: usize) -> Self;
}

impl WithNode for Error {
    fn with_node(self, lists: &Lists<'_>, node: usize) -> Self {
        self.with("tree", lists.tree_ids[node]).with("node_id", lists.node_ids[node])
    }
}
