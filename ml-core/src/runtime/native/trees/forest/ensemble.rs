//! An ensemble as a list of nodes, whichever operator spells it out, and the lists of `ai.onnx.ml` 1 to 3.

use super::real::Real;
use crate::{Error, Result};
use bytes::Bytes;
use std::{collections::HashMap, ops::Range};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Test {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A question about one column, and the nodes to go on with when it holds and when not.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Question<T> {
    pub(in super::super) test: Test,
    pub(in super::super) feature: i64,
    pub(in super::super) threshold: T,
    /// Whether it holds for NaN, whatever the test.
    pub(in super::super) missing_yes: bool,
    pub(in super::super) yes: usize,
    pub(in super::super) no: usize,
}

#[derive(Debug, Clone)]
pub(in super::super) enum Node<T> {
    Branch(Question<T>),
    /// Which of the weights are its own.
    Leaf(Range<usize>),
}

/// Nodes that name each other by their place in the list; two branches may lead to the same one.
#[derive(Debug)]
pub(in super::super) struct Ensemble<'a, T> {
    pub(in super::super) nodes: Vec<Node<T>>,
    pub(in super::super) roots: Vec<usize>,
    /// Target and weight.
    pub(in super::super) weights: Vec<(usize, T)>,
    pub(in super::super) names: Names<'a>,
}

/// How the file names a node.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Names<'a> {
    /// By tree and by number within it.
    Ids { trees: &'a [i64], nodes: &'a [i64] },
    /// By place: branches first, then leaves, then nodes that the file does not have.
    Places { branches: usize, leaves: usize },
}

impl Names<'_> {
    /// Names the node in an error.
    pub(in super::super) fn tell(self, error: Error, node: usize) -> Error {
        match self {
            Self::Ids { trees, nodes } => error.with("tree", trees[node]).with("node_id", nodes[node]),
            Self::Places { branches, .. } if node < branches => error.with("node", node),
            Self::Places { branches, leaves } if node - branches < leaves => error.with("leaf", node - branches),
            Self::Places { .. } => error,
        }
    }
}

/// The parallel lists of the operators: one entry a node, then one entry a weight.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Lists<'a, T> {
    pub(in super::super) tree_ids: &'a [i64],
    pub(in super::super) node_ids: &'a [i64],
    pub(in super::super) features: &'a [i64],
    pub(in super::super) modes: &'a [Bytes],
    pub(in super::super) values: &'a [T],
    pub(in super::super) yes: &'a [i64],
    pub(in super::super) no: &'a [i64],
    pub(in super::super) missing_yes: &'a [i64],
    pub(in super::super) leaf_trees: &'a [i64],
    pub(in super::super) leaf_nodes: &'a [i64],
    pub(in super::super) targets: &'a [i64],
    pub(in super::super) weights: &'a [T],
}

impl<'a, T: Real> Lists<'a, T> {
    /// Checks the lists and resolves whom they name.
    pub(in super::super) fn ensemble(&self, targets: usize) -> Result<Ensemble<'a, T>> {
        self.check_lengths()?;
        let names = Names::Ids { trees: self.tree_ids, nodes: self.node_ids };
        let (roots, trees) = self.trees()?;
        let index = Index::new(self.node_ids, &trees, names)?;
        let (leaves, weights) = self.weights_of_leaves(&index, &trees, targets, names)?;
        let mut nodes = Vec::with_capacity(self.node_ids.len());
        for tree in trees.spans() {
            for node in tree.clone() {
                nodes.push(if self.modes[node] == "LEAF" {
                    Node::Leaf(leaves[node].clone())
                } else {
                    let child = |id: i64| {
                        index.find(&tree, id).ok_or_else(|| {
                            let error = Error::corrupt("a branch leads to a node that is not there");
                            names.tell(error, node).with("child", id)
                        })
                    };
                    Node::Branch(Question {
                        test: test(&self.modes[node]).map_err(|error| names.tell(error, node))?,
                        feature: self.features[node],
                        threshold: self.values[node],
                        missing_yes: self.missing_yes.get(node).is_some_and(|tracks| *tracks == 1),
                        yes: child(self.yes[node])?,
                        no: child(self.no[node])?,
                    })
                });
            }
        }
        let mut ensemble = Ensemble { nodes, roots, weights, names };
        if targets == 1 {
            self.fill_leaves(&mut ensemble)?;
        }
        Ok(ensemble)
    }

    fn check_lengths(&self) -> Result<()> {
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
        let count = self.weights.len();
        if [self.leaf_trees.len(), self.leaf_nodes.len(), self.targets.len()].iter().any(|other| *other != count) {
            return Err(Error::corrupt("the lists of the weights have different lengths").with("weights", count));
        }
        Ok(())
    }

    /// The nodes of each tree, which have to be together. Its first one is its root.
    fn trees(&self) -> Result<(Vec<usize>, Trees)> {
        let mut trees = Trees { by_id: HashMap::new(), ends: Vec::new() };
        let mut roots = Vec::new();
        for (node, tree) in self.tree_ids.iter().enumerate() {
            if node > 0 && self.tree_ids[node - 1] == *tree {
                continue;
            }
            if trees.by_id.insert(*tree, roots.len()).is_some() {
                return Err(Error::corrupt("the nodes of a tree are not together").with("tree", tree));
            }
            if node > 0 {
                trees.ends.push(node);
            }
            roots.push(node);
        }
        trees.ends.push(self.tree_ids.len());
        Ok((roots, trees))
    }

    /// The weights in order of node and target, and where those of each node are. Weights at branches are never reached.
    fn weights_of_leaves(
        &self,
        index: &Index,
        trees: &Trees,
        targets: usize,
        names: Names<'_>,
    ) -> Result<WeightsOfNodes<T>> {
        let mut weights = Vec::with_capacity(self.weights.len());
        for (at, &weight) in self.weights.iter().enumerate() {
            let tree = trees.by_id.get(&self.leaf_trees[at]).map(|tree| trees.span(*tree));
            let node = tree.and_then(|tree| index.find(&tree, self.leaf_nodes[at])).ok_or_else(|| {
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
                return Err(names.tell(Error::corrupt("a weight is not finite"), node));
            }
            weights.push((node, target, weight));
        }
        if !weights.is_sorted_by_key(|(node, target, _)| (*node, *target)) {
            weights.sort_unstable_by_key(|(node, target, _)| (*node, *target));
        }
        if let Some(pair) = weights.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
            let error = Error::corrupt("a node has two weights for one target or class");
            return Err(names.tell(error, pair[0].0));
        }
        let mut spans = vec![0..0; self.tree_ids.len()];
        for (at, (node, ..)) in weights.iter().enumerate() {
            let span = &mut spans[*node];
            *span = if span.start == span.end { at..at + 1 } else { span.start..at + 1 };
        }
        Ok((spans, weights.into_iter().map(|(_, target, weight)| (target, weight)).collect()))
    }

    /// A single target has a score at every leaf: where no weight is given ONNX Runtime takes the value of the node.
    fn fill_leaves(&self, ensemble: &mut Ensemble<'_, T>) -> Result<()> {
        for (node, value) in ensemble.nodes.iter_mut().zip(self.values) {
            if let Node::Leaf(span) = node
                && span.start == span.end
            {
                if *value != T::default() {
                    return Err(Error::unsupported(
                        "the native runtime takes no leaf with a value in place of a weight",
                    )
                    .with("value", format!("{value:?}")));
                }
                *span = ensemble.weights.len()..ensemble.weights.len() + 1;
                ensemble.weights.push((0, T::default()));
            }
        }
        Ok(())
    }
}

fn test(mode: &[u8]) -> Result<Test> {
    match mode {
        b"BRANCH_LEQ" => Ok(Test::Leq),
        b"BRANCH_LT" => Ok(Test::Lt),
        b"BRANCH_GTE" => Ok(Test::Gte),
        b"BRANCH_GT" => Ok(Test::Gt),
        b"BRANCH_EQ" => Ok(Test::Eq),
        b"BRANCH_NEQ" => Ok(Test::Neq),
        other => Err(Error::unsupported("the native runtime does not know this mode of a node")
            .with("mode", other.escape_ascii())),
    }
}

/// Where the weights of each node are, and all of them with their targets.
type WeightsOfNodes<T> = (Vec<Range<usize>>, Vec<(usize, T)>);

/// Which nodes belong to which tree.
struct Trees {
    by_id: HashMap<i64, usize>,
    ends: Vec<usize>,
}

impl Trees {
    fn span(&self, tree: usize) -> Range<usize> {
        tree.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[tree]
    }

    fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.ends.len()).map(|tree| self.span(tree))
    }
}

/// Finds nodes by their number within a tree. Exporters number them from zero without a gap: then no map is needed.
enum Index {
    InOrder,
    Map(HashMap<(usize, i64), usize>),
}

impl Index {
    fn new(node_ids: &[i64], trees: &Trees, names: Names<'_>) -> Result<Self> {
        let in_order = |tree: Range<usize>| node_ids[tree].iter().zip(0_i64..).all(|(id, place)| *id == place);
        if trees.spans().all(in_order) {
            return Ok(Self::InOrder);
        }
        let mut map = HashMap::with_capacity(node_ids.len());
        for tree in trees.spans() {
            for node in tree.clone() {
                if map.insert((tree.start, node_ids[node]), node).is_some() {
                    return Err(names.tell(Error::corrupt("a node comes twice"), node));
                }
            }
        }
        Ok(Self::Map(map))
    }

    fn find(&self, tree: &Range<usize>, id: i64) -> Option<usize> {
        match self {
            Self::InOrder => {
                usize::try_from(id).ok().and_then(|id| tree.start.checked_add(id)).filter(|node| *node < tree.end)
            }
            Self::Map(map) => map.get(&(tree.start, id)).copied(),
        }
    }
}
