//! Trees as flat arrays: the branches of one after the other in the order of a walk, leaves apart.

mod layout;

use crate::{Error, Result};
pub(super) use layout::Lists;
use layout::{Builder, State, WithNode as _};
use std::collections::{HashMap, HashSet};

/// Rows that go down one tree before the next tree is looked at, so that its branches stay in cache.
const BLOCK: usize = 64;

/// Marks a reference to a leaf; the other bits are its number. Without it they are the number of a branch.
const LEAF: u32 = 1 << 31;

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
