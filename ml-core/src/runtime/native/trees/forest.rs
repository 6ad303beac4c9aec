//! Trees as flat arrays: the branches of one after the other in the order of a walk, leaves apart.

use crate::{Error, Result};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};

/// Rows that go down one tree before the next tree is looked at, so that its branches stay in cache.
const BLOCK: usize = 64;

/// Marks a reference to a leaf; the other bits are its number. Without it they are the number of a branch.
const LEAF: u32 = 1 << 31;

/// The parallel lists of the operators: one entry a node, then one entry a weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists<'a> {
    pub(super) tree_ids: &'a [i64],
    pub(super) node_ids: &'a [i64],
    pub(super) features: &'a [i64],
    pub(super) modes: &'a [Bytes],
    pub(super) values: &'a [f32],
    pub(super) yes: &'a [i64],
    pub(super) no: &'a [i64],
    pub(super) missing_yes: &'a [i64],
    pub(super) leaf_trees: &'a [i64],
    pub(super) leaf_nodes: &'a [i64],
    pub(super) targets: &'a [i64],
    pub(super) weights: &'a [f32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    /// The sum over the number of trees.
    Average,
    Min,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A question about one column: where to go on when it holds, and when not.
#[derive(Debug, Clone, Copy)]
struct Branch {
    threshold: f32,
    feature: u32,
    yes: u32,
    no: u32,
    test: Test,
    /// Whether it holds for NaN, whatever the test.
    missing_yes: bool,
}

impl Branch {
    fn next(&self, holds: bool) -> u32 {
        if holds { self.yes } else { self.no }
    }

    fn holds(&self, value: f32) -> bool {
        let holds = match self.test {
            Test::Leq => value <= self.threshold,
            Test::Lt => value < self.threshold,
            Test::Gte => value >= self.threshold,
            Test::Gt => value > self.threshold,
            Test::Eq => value == self.threshold,
            Test::Neq => value != self.threshold,
        };
        holds || (self.missing_yes && value.is_nan())
    }
}

/// Which of the questions occur, so that the common ones are asked without a choice between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tests {
    Leq,
    LeqMissing,
    Mixed,
}

#[derive(Debug)]
enum Leaves {
    /// One weight a leaf, all for the same target.
    One { target: usize, weights: Vec<f32> },
    /// Any number: those of leaf `i` are `entries[starts[i]..starts[i + 1]]`.
    Many { starts: Vec<usize>, entries: Vec<(usize, f32)> },
}

#[derive(Debug)]
pub(super) struct Forest {
    width: usize,
    targets: usize,
    branches: Vec<Branch>,
    roots: Vec<u32>,
    tests: Tests,
    leaves: Leaves,
    /// For each target, whether some tree scores it at all of its leaves.
    always: Vec<bool>,
    /// Whether some tree scores anything at all of its leaves.
    always_some: bool,
}

impl Forest {
    /// Whether every row gets a score for the target.
    pub(super) fn always_scores(&self, target: usize) -> bool {
        self.always[target]
    }

    /// Whether every row gets a score for every target.
    pub(super) fn always_scores_all(&self) -> bool {
        self.always.iter().all(|always| *always)
    }

    /// Whether every row gets a score for some target.
    pub(super) fn always_scores_some(&self) -> bool {
        self.always_some
    }

    /// Checks the lists and lays them out. Two branches may lead to the same node, as in exports of categorical splits.
    pub(super) fn compile(lists: &Lists<'_>, width: usize, targets: usize) -> Result<Self> {
        let index = lists.index()?;
        let weights = lists.weights_of_leaves(&index, targets)?;
        let mut builder = Builder {
            lists,
            index: &index,
            weights: &weights,
            width,
            targets,
            states: vec![State::New; lists.tree_ids.len()],
            branches: Vec::new(),
            starts: vec![0],
            entries: Vec::new(),
        };
        let mut roots = Vec::new();
        let (mut always, mut always_some) = (vec![false; targets], false);
        let mut trees = HashSet::new();
        for (node, tree) in lists.tree_ids.iter().enumerate() {
            if node > 0 && lists.tree_ids[node - 1] == *tree {
                continue;
            }
            if !trees.insert(tree) {
                return Err(Error::corrupt("the nodes of a tree are not together").with("tree", tree));
            }
            let (first_leaf, first_entry) = (builder.starts.len() - 1, builder.entries.len());
            roots.push(builder.tree(node)?);
            let leaves = &builder.starts[first_leaf..];
            always_some |= leaves.windows(2).all(|pair| pair[0] < pair[1]);
            let mut scored: HashMap<usize, usize> = HashMap::new();
            for (target, _) in &builder.entries[first_entry..] {
                *scored.entry(*target).or_default() += 1;
            }
            for (target, count) in scored {
                always[target] |= count + 1 == leaves.len();
            }
        }
        if let Some(node) = builder.states.iter().position(|state| *state == State::New) {
            return Err(Error::corrupt("no branch leads to a node").with_node(lists, node));
        }
        let Builder { branches, starts, entries, .. } = builder;
        let tests = if branches.iter().any(|branch| branch.test != Test::Leq) {
            Tests::Mixed
        } else if branches.iter().any(|branch| branch.missing_yes) {
            Tests::LeqMissing
        } else {
            Tests::Leq
        };
        let leaves = match entries.first() {
            Some(&(target, _))
                if starts.windows(2).all(|pair| pair[1] - pair[0] == 1)
                    && entries.iter().all(|(other, _)| *other == target) =>
            {
                Leaves::One { target, weights: entries.into_iter().map(|(_, weight)| weight).collect() }
            }
            _ => Leaves::Many { starts, entries },
        };
        Ok(Self { width, targets, branches, roots, tests, leaves, always, always_some })
    }

    /// Aggregates the weights of the leaves that each row reaches. `finish` is given the scores of one row after the
    /// other, with which of them have any weight.
    pub(super) fn score(
        &self,
        rows: usize,
        values: &[f32],
        aggregate: Aggregate,
        scores: &mut Vec<f32>,
        mut finish: impl FnMut(&mut [f32], &[bool]),
    ) {
        scores.clear();
        scores.resize(rows * self.targets, 0.0);
        let mut scored = vec![false; rows.min(BLOCK) * self.targets];
        #[expect(clippy::cast_precision_loss, reason = "more trees than 2^24 are no ensemble")]
        let trees = self.roots.len() as f32;
        for (block, scores) in scores.chunks_mut(BLOCK * self.targets).enumerate() {
            let count = scores.len() / self.targets;
            let values = &values[block * BLOCK * self.width..][..count * self.width];
            let scored = &mut scored[..scores.len()];
            scored.fill(false);
            let sum = |score: &mut f32, _: bool, weight: f32| *score += weight;
            match aggregate {
                Aggregate::Sum | Aggregate::Average => self.descend(values, scores, scored, sum),
                Aggregate::Min => self.descend(values, scores, scored, |score, scored, weight| {
                    *score = if scored && *score <= weight { *score } else { weight };
                }),
                Aggregate::Max => self.descend(values, scores, scored, |score, scored, weight| {
                    *score = if scored && *score >= weight { *score } else { weight };
                }),
            }
            if aggregate == Aggregate::Average {
                scores.iter_mut().for_each(|score| *score /= trees);
            }
            for (scores, scored) in scores.chunks_exact_mut(self.targets).zip(scored.chunks_exact(self.targets)) {
                finish(scores, scored);
            }
        }
    }

    fn descend(&self, values: &[f32], scores: &mut [f32], scored: &mut [bool], fold: impl Fn(&mut f32, bool, f32)) {
        match self.tests {
            Tests::Leq => self.descend_by(values, scores, scored, fold, |branch, value| value <= branch.threshold),
            Tests::LeqMissing => self.descend_by(values, scores, scored, fold, |branch, value| {
                value <= branch.threshold || (branch.missing_yes && value.is_nan())
            }),
            Tests::Mixed => self.descend_by(values, scores, scored, fold, Branch::holds),
        }
    }

    fn descend_by(
        &self,
        values: &[f32],
        scores: &mut [f32],
        scored: &mut [bool],
        fold: impl Fn(&mut f32, bool, f32),
        holds: impl Fn(&Branch, f32) -> bool,
    ) {
        let count = scores.len() / self.targets;
        for &root in &self.roots {
            for row in 0..count {
                let row_values = &values[row * self.width..(row + 1) * self.width];
                let mut at = root;
                while at & LEAF == 0 {
                    let branch = &self.branches[at as usize];
                    at = branch.next(holds(branch, row_values[branch.feature as usize]));
                }
                let leaf = (at & !LEAF) as usize;
                let mut add = |target: usize, weight: f32| {
                    let at = row * self.targets + target;
                    fold(&mut scores[at], scored[at], weight);
                    scored[at] = true;
                };
                match &self.leaves {
                    Leaves::One { target, weights } => add(*target, weights[leaf]),
                    Leaves::Many { starts, entries } => {
                        entries[starts[leaf]..starts[leaf + 1]]
                            .iter()
                            .for_each(|(target, weight)| add(*target, *weight));
                    }
                }
            }
        }
    }
}

/// Nodes by tree and id.
type Index = HashMap<(i64, i64), usize>;

impl Lists<'_> {
    /// Checks that the lists have one length each, and that no node comes twice.
    fn index(&self) -> Result<Index> {
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
    fn weights_of_leaves(&self, index: &Index, targets: usize) -> Result<Vec<(usize, usize, f32)>> {
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
enum State {
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

struct Builder<'a> {
    lists: &'a Lists<'a>,
    index: &'a Index,
    weights: &'a [(usize, usize, f32)],
    width: usize,
    targets: usize,
    states: Vec<State>,
    branches: Vec<Branch>,
    starts: Vec<usize>,
    entries: Vec<(usize, f32)>,
}

impl Builder<'_> {
    /// Lays out a tree and gives the place of its root. The way down is kept on the heap: trees may be deep.
    fn tree(&mut self, root: usize) -> Result<u32> {
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
trait WithNode {
    fn with_node(self, lists: &Lists<'_>, node: usize) -> Self;
}

impl WithNode for Error {
    fn with_node(self, lists: &Lists<'_>, node: usize) -> Self {
        self.with("tree", lists.tree_ids[node]).with("node_id", lists.node_ids[node])
    }
}
