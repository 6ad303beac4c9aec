//! Many trees, and how rows get through them.

mod bits;
mod ensemble;
mod layout;
mod real;
mod simd;
mod walk;

use crate::{Error, Result};
use bits::Bits;
use layout::Layout;
use simd::Level;
use std::{collections::HashMap, mem};
use walk::Walk;

pub(super) use ensemble::{Ensemble, Lists, Names, Node, Question, Test};
pub(super) use real::Real;

/// Rows that go down one tree before the next tree is looked at, so that its branches stay in cache.
const BLOCK: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    /// The sum over the number of trees.
    Average,
    Min,
    Max,
}

/// A forest laid out in the way that is the quickest here. A row gets the same scores in whatever company it comes.
#[derive(Debug)]
pub(super) struct Forest<T> {
    width: usize,
    targets: usize,
    trees: usize,
    aggregate: Aggregate,
    way: Way<T>,
    scores: Scores<T>,
    /// Which targets have a score, where that is the same for all rows.
    scored: Vec<bool>,
    /// For each target, whether some tree scores it at all of its leaves.
    always: Vec<bool>,
    /// Whether some tree scores anything at all of its leaves.
    always_some: bool,
}

#[derive(Debug)]
enum Way<T> {
    Walk(Walk<T>),
    /// And a walk for single rows, unless they need none.
    Bits(Box<Bits>, Option<Walk<T>>),
}

/// What becomes of the leaves that a row reaches.
#[derive(Debug)]
enum Scores<T> {
    /// A sum of one weight a tree, each tree for one target. The weights are empty where [`Bits`] has them.
    Sums { targets: Vec<u32>, weights: Vec<T> },
    /// Any number of weights for any target: those of leaf `i` are `entries[starts[i]..starts[i + 1]]`.
    Any { starts: Vec<u32>, entries: Vec<(u32, T)> },
}

impl<T: Real> Forest<T> {
    /// Checks the ensemble and lays it out. Two branches may lead to the same node, as in exports of categorical splits.
    pub(super) fn compile(
        ensemble: &Ensemble<'_, T>,
        width: usize,
        targets: usize,
        aggregate: Aggregate,
    ) -> Result<Self> {
        let level = Level::available().first().copied().filter(|level| level.is_worth_it());
        Self::compile_for(ensemble, width, targets, aggregate, level)
    }

    /// The same with the vectors of a level, or without any.
    fn compile_for(
        ensemble: &Ensemble<'_, T>,
        width: usize,
        targets: usize,
        aggregate: Aggregate,
        level: Option<Level>,
    ) -> Result<Self> {
        if width == 0 {
            return Err(Error::unsupported("the native runtime takes no ensemble over no columns"));
        }
        let mut layout = Layout::new(ensemble, width)?;
        let (mut always, mut always_some) = (vec![false; targets], false);
        for leaves in &layout.leaves {
            let mut counts = HashMap::<u32, usize>::new();
            let mut some = true;
            for leaf in leaves.clone() {
                let weights = layout.of_leaf(leaf);
                some &= !weights.is_empty();
                weights.iter().for_each(|(target, _)| *counts.entry(*target).or_default() += 1);
            }
            always_some |= some;
            for (target, count) in counts {
                always[target as usize] |= count == leaves.len();
            }
        }
        let one_each = one_target_each(&layout).filter(|_| matches!(aggregate, Aggregate::Sum | Aggregate::Average));
        let bits = level
            .zip(T::single_layout(&layout))
            .and_then(|(level, layout)| Bits::new(layout, level, one_each.as_deref()));
        let way = match bits {
            Some(bits) if bits.takes_single_rows() => Way::Bits(Box::new(bits), None),
            Some(bits) => Way::Bits(Box::new(bits), Some(Walk::new(&layout))),
            None => Way::Walk(Walk::new(&layout)),
        };
        let mut scored = vec![false; targets];
        let scores = match one_each {
            Some(of_trees) => {
                of_trees.iter().for_each(|target| scored[*target as usize] = true);
                let held = matches!(way, Way::Bits(_, None));
                let weights = mem::take(&mut layout.entries).into_iter().map(|(_, weight)| weight);
                Scores::Sums { targets: of_trees, weights: if held { Vec::new() } else { weights.collect() } }
            }
            None => Scores::Any { starts: layout.starts, entries: layout.entries },
        };
        let trees = layout.roots.len();
        Ok(Self { width, targets, trees, aggregate, way, scores, scored, always, always_some })
    }

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

    /// Aggregates the weights of the leaves that each row reaches. `finish` is given the scores of one row after the
    /// other, with which of them have any weight.
    pub(super) fn score(
        &self,
        rows: usize,
        values: &[T],
        scores: &mut Vec<T>,
        mut finish: impl FnMut(&mut [T], &[bool]),
    ) {
        scores.clear();
        scores.resize(rows * self.targets, T::default());
        match &self.scores {
            Scores::Sums { targets, weights } => {
                self.sum(values, targets, weights, scores);
                for scores in scores.chunks_exact_mut(self.targets) {
                    self.average(scores);
                    finish(scores, &self.scored);
                }
            }
            Scores::Any { starts, entries } => {
                let mut scored = vec![false; rows * self.targets];
                let each = |row: usize, leaf: usize, scores: &mut [T], scored: &mut [bool]| {
                    for &(target, weight) in &entries[starts[leaf] as usize..starts[leaf + 1] as usize] {
                        let at = row * self.targets + target as usize;
                        self.fold(&mut scores[at], scored[at], weight);
                        scored[at] = true;
                    }
                };
                self.visit(values, |row, leaf| each(row, leaf, scores, &mut scored));
                for (scores, scored) in scores.chunks_exact_mut(self.targets).zip(scored.chunks_exact(self.targets)) {
                    self.average(scores);
                    finish(scores, scored);
                }
            }
        }
    }

    fn fold(&self, score: &mut T, scored: bool, weight: T) {
        match self.aggregate {
            Aggregate::Sum | Aggregate::Average => *score += weight,
            Aggregate::Min if scored && *score <= weight => {}
            Aggregate::Max if scored && *score >= weight => {}
            Aggregate::Min | Aggregate::Max => *score = weight,
        }
    }

    fn average(&self, scores: &mut [T]) {
        if self.aggregate == Aggregate::Average {
            scores.iter_mut().for_each(|score| *score /= T::of_count(self.trees));
        }
    }

    /// Adds the weight of each tree's leaf to the score of its target, in the order of the trees.
    fn sum(&self, values: &[T], targets: &[u32], weights: &[T], scores: &mut [T]) {
        let done = match (&self.way, T::singles(values), T::singles_mut(scores)) {
            (Way::Bits(bits, walk), Some(values), Some(scores)) => {
                bits.sum(self.width, values, targets, self.targets, scores, walk.is_none())
            }
            _ => 0,
        };
        self.walk(values, done, |row, tree, leaf| {
            scores[row * self.targets + targets[tree] as usize] += weights[leaf];
        });
    }

    /// The leaves of each row, in the order of the trees.
    fn visit(&self, values: &[T], mut visit: impl FnMut(usize, usize)) {
        let done = match (&self.way, T::singles(values)) {
            (Way::Bits(bits, walk), Some(values)) => bits.visit(self.width, values, walk.is_none(), &mut visit),
            _ => 0,
        };
        self.walk(values, done, |row, _, leaf| visit(row, leaf));
    }

    /// Walks with the rows from one on: gives row, tree and leaf.
    fn walk(&self, values: &[T], from: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let (Way::Walk(walk) | Way::Bits(_, Some(walk))) = &self.way else { return };
        let values = &values[from * self.width..];
        for (block, values) in values.chunks(BLOCK * self.width).enumerate() {
            let first = from + block * BLOCK;
            if let Some((row, [])) = values.split_at_checked(self.width) {
                walk.row(row, |tree, leaf| visit(first, tree, leaf));
                continue;
            }
            for tree in 0..self.trees {
                walk.rows(tree, self.width, values, |row, leaf| visit(first + row, tree, leaf));
            }
        }
    }
}

/// The target of each tree, when every leaf has one weight and those of a tree are for the same.
fn one_target_each<T: Real>(layout: &Layout<T>) -> Option<Vec<u32>> {
    let of_tree = |leaves: &std::ops::Range<usize>| {
        let mut targets = leaves.clone().map(|leaf| match layout.of_leaf(leaf) {
            [(target, _)] => Some(*target),
            _ => None,
        });
        let first = targets.next()??;
        targets.all(|target| target == Some(first)).then_some(first)
    };
    layout.leaves.iter().map(of_tree).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 5;
    const TESTS: [Test; 6] = [Test::Leq, Test::Lt, Test::Gte, Test::Gt, Test::Eq, Test::Neq];
    /// Few enough that values often are thresholds.
    const VALUES: [f32; 8] = [f32::NEG_INFINITY, -1.5, -0.0, 0.0, 0.25, 1.0, f32::INFINITY, f32::NAN];

    /// What is drawn for a tree: for each branch the leaf that it takes the place of, test, column, threshold and NaN.
    type Drawn = Vec<(usize, usize, usize, usize, bool)>;

    fn tree() -> impl Strategy<Value = Drawn> {
        let branch = (0_usize..1000, 0..TESTS.len(), 0..WIDTH, 0..VALUES.len() - 1, any::<bool>());
        prop_oneof![
            6 => prop::collection::vec(branch.clone(), 0..12),
            2 => prop::collection::vec(branch.clone(), 31..32),
            1 => prop::collection::vec(branch.clone(), 40..64),
            1 => prop::collection::vec(branch, 64..90),
        ]
    }

    fn rows() -> impl Strategy<Value = Vec<f32>> {
        let value = (0..VALUES.len()).prop_map(|at| VALUES[at]);
        (0_usize..150).prop_flat_map(move |rows| prop::collection::vec(value.clone(), rows * WIDTH))
    }

    /// Leaves have one weight for the target of their tree or, if `many`, as many as it happens.
    fn ensemble(trees: &[Drawn], targets: usize, many: bool, only: &[Test]) -> Ensemble<'static, f32> {
        let mut ensemble =
            Ensemble { nodes: vec![], roots: vec![], weights: vec![], names: Names::Ids { trees: &[], nodes: &[] } };
        for (number, drawn) in trees.iter().enumerate() {
            let first = ensemble.nodes.len();
            ensemble.roots.push(first);
            ensemble.nodes.push(Node::Leaf(0..0));
            let mut leaves = vec![first];
            for &(leaf, test, column, threshold, missing_yes) in drawn {
                let at = leaves.swap_remove(leaf % leaves.len());
                let (yes, no) = (ensemble.nodes.len(), ensemble.nodes.len() + 1);
                ensemble.nodes.extend([Node::Leaf(0..0), Node::Leaf(0..0)]);
                leaves.extend([yes, no]);
                ensemble.nodes[at] = Node::Branch(Question {
                    test: only[test % only.len()],
                    feature: i64::try_from(column).expect("small"),
                    threshold: VALUES[threshold],
                    missing_yes,
                    yes,
                    no,
                });
            }
            for (at, leaf) in leaves.into_iter().enumerate() {
                let start = ensemble.weights.len();
                let of_tree = number % targets;
                let given =
                    if many { (0..targets).filter(|target| (at + target) % 3 != 0).collect() } else { vec![of_tree] };
                let weight = |target: usize| u16::try_from(leaf * 7 + target).map_or(0.0, f32::from).sin();
                ensemble.weights.extend(given.into_iter().map(|target| (target, weight(target))));
                ensemble.nodes[leaf] = Node::Leaf(start..ensemble.weights.len());
            }
        }
        ensemble
    }

    /// As the specification says it, one node after the other.
    fn expected(ensemble: &Ensemble<'_, f32>, row: &[f32], targets: usize, aggregate: Aggregate) -> Vec<f32> {
        let mut scores: Vec<Option<f32>> = vec![None; targets];
        for root in &ensemble.roots {
            let mut at = *root;
            while let Node::Branch(question) = &ensemble.nodes[at] {
                let value = row[usize::try_from(question.feature).expect("small")];
                let holds = match question.test {
                    Test::Leq => value <= question.threshold,
                    Test::Lt => value < question.threshold,
                    Test::Gte => value >= question.threshold,
                    Test::Gt => value > question.threshold,
                    Test::Eq => value == question.threshold,
                    Test::Neq => value != question.threshold,
                };
                at = if holds || (question.missing_yes && value.is_nan()) { question.yes } else { question.no };
            }
            let Node::Leaf(weights) = &ensemble.nodes[at] else { continue };
            for (target, weight) in &ensemble.weights[weights.clone()] {
                let score = &mut scores[*target];
                *score = Some(match (aggregate, *score) {
                    (Aggregate::Sum | Aggregate::Average, score) => score.unwrap_or(0.0) + weight,
                    (Aggregate::Min, Some(score)) => score.min(*weight),
                    (Aggregate::Max, Some(score)) => score.max(*weight),
                    (_, None) => *weight,
                });
            }
        }
        let average = if aggregate == Aggregate::Average { f32::of_count(ensemble.roots.len()) } else { 1.0 };
        scores.into_iter().map(|score| score.unwrap_or(0.0) / average).collect()
    }

    fn check(trees: &[Drawn], rows: &[f32], targets: usize, many: bool, aggregate: Aggregate, only: &[Test]) {
        let ensemble = ensemble(trees, targets, many, only);
        let expected: Vec<u32> = rows
            .chunks_exact(WIDTH)
            .flat_map(|row| expected(&ensemble, row, targets, aggregate))
            .map(f32::to_bits)
            .collect();
        for level in Level::available().into_iter().map(Some).chain([None]) {
            let forest = Forest::compile_for(&ensemble, WIDTH, targets, aggregate, level).expect("a sound ensemble");
            let mut scores = Vec::new();
            forest.score(rows.len() / WIDTH, rows, &mut scores, |_, _| {});
            let scores: Vec<u32> = scores.into_iter().map(f32::to_bits).collect();
            assert_eq!(scores, expected, "{level:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn every_way_through_the_trees_ends_at_the_same_leaves(
            trees in prop::collection::vec(tree(), 1..40),
            rows in rows(),
            targets in 1_usize..4,
            many in any::<bool>(),
            aggregate in prop::sample::select(vec![Aggregate::Sum, Aggregate::Average, Aggregate::Min, Aggregate::Max]),
            only in prop::sample::subsequence(TESTS.to_vec(), 1..=6),
        ) {
            check(&trees, &rows, targets, many, aggregate, &only);
        }
    }

    /// Small trees, so that every level asks with its vectors.
    #[test]
    fn forests_of_every_size_are_asked_in_whole_groups_and_in_part() {
        let rows: Vec<f32> = (0..70 * WIDTH).map(|at| VALUES[at * at % VALUES.len()]).collect();
        for trees in [1, 15, 16, 17, 33] {
            for branches in [0, 1, 30, 31, 32, 62, 63] {
                let drawn: Vec<Drawn> = (0..trees).map(|tree| regular(tree, branches)).collect();
                for rows in [&rows[..WIDTH], &rows[..9 * WIDTH], &rows[..33 * WIDTH], &rows] {
                    check(&drawn, rows, 1, false, Aggregate::Sum, &[Test::Leq]);
                    check(&drawn, rows, 2, false, Aggregate::Sum, &[Test::Leq, Test::Eq]);
                }
            }
        }
    }

    fn regular(tree: usize, branches: usize) -> Drawn {
        let values = VALUES.len() - 1;
        let branch = |at| (at * tree, at % TESTS.len(), (at + tree) % WIDTH, (at * 3 + tree) % values, at % 2 == 0);
        (0..branches).map(branch).collect()
    }
}
