//! Walks down trees of any shape, several at a time: while one waits for its number from memory, the others go on.

use super::{
    layout::{Branch, LEAF, Layout},
    real::Real,
};

/// Walks side by side.
const LANES: usize = 8;

/// Steps until it is asked whether all have arrived.
const STRIDE: usize = 3;

/// Marks in the number of a feature. Values have far fewer columns.
const EQUAL: u32 = 1 << 31;
const MISSING_YES: u32 = 1 << 30;
const FEATURE: u32 = MISSING_YES - 1;

#[derive(Debug)]
pub(super) struct Walk<T> {
    /// Branches, and after them leaves, which lead to themselves: a walk that has arrived needs no branch of the program.
    steps: Vec<Step<T>>,
    branches: u32,
    roots: Vec<u32>,
    tests: Tests,
}

#[derive(Debug, Clone, Copy)]
struct Step<T> {
    threshold: T,
    feature: u32,
    /// Where to go when the test holds, and when not.
    next: [u32; 2],
}

/// Which of the questions occur, so that the common ones are asked without a choice between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tests {
    Leq,
    LeqMissing,
    Mixed,
}

impl<T: Real> Walk<T> {
    pub(super) fn new(layout: &Layout<T>) -> Self {
        let branches = u32::try_from(layout.branches.len()).unwrap_or(u32::MAX);
        let leaves = u32::try_from(layout.starts.len() - 1).unwrap_or(u32::MAX);
        let place = |node: u32| if node & LEAF == 0 { node } else { branches + (node & !LEAF) };
        let step = |branch: &Branch<T>| {
            let marks = if branch.equal { EQUAL } else { 0 } | if branch.missing_yes { MISSING_YES } else { 0 };
            let next = [place(branch.yes), place(branch.no)];
            Step { threshold: branch.threshold, feature: branch.feature | marks, next }
        };
        let arrived = |leaf: u32| Step { threshold: T::NAN, feature: 0, next: [branches + leaf; 2] };
        let tests = if layout.branches.iter().any(|branch| branch.equal) {
            Tests::Mixed
        } else if layout.branches.iter().any(|branch| branch.missing_yes) {
            Tests::LeqMissing
        } else {
            Tests::Leq
        };
        Self {
            steps: layout.branches.iter().map(step).chain((0..leaves).map(arrived)).collect(),
            branches,
            roots: layout.roots.iter().copied().map(place).collect(),
            tests,
        }
    }

    /// The leaf of one row in each tree, in the order of the trees.
    pub(super) fn row(&self, row: &[T], visit: impl FnMut(usize, usize)) {
        match self.tests {
            Tests::Leq => self.row_by(row, leq, visit),
            Tests::LeqMissing => self.row_by(row, leq_missing, visit),
            Tests::Mixed => self.row_by(row, mixed, visit),
        }
    }

    /// The leaf of each row in one tree, in the order of the rows.
    pub(super) fn rows(&self, tree: usize, width: usize, values: &[T], visit: impl FnMut(usize, usize)) {
        match self.tests {
            Tests::Leq => self.rows_by(tree, width, values, leq, visit),
            Tests::LeqMissing => self.rows_by(tree, width, values, leq_missing, visit),
            Tests::Mixed => self.rows_by(tree, width, values, mixed, visit),
        }
    }

    fn row_by(&self, row: &[T], holds: impl Fn(&Step<T>, T) -> bool + Copy, mut visit: impl FnMut(usize, usize)) {
        let (chunks, rest) = self.roots.as_chunks::<LANES>();
        let mut tree = 0;
        for roots in chunks {
            for leaf in self.descend(*roots, |_| row, holds) {
                visit(tree, leaf);
                tree += 1;
            }
        }
        for root in rest {
            let [leaf] = self.descend([*root], |_| row, holds);
            visit(tree, leaf);
            tree += 1;
        }
    }

    fn rows_by(
        &self,
        tree: usize,
        width: usize,
        values: &[T],
        holds: impl Fn(&Step<T>, T) -> bool + Copy,
        mut visit: impl FnMut(usize, usize),
    ) {
        let root = self.roots[tree];
        let mut row = 0;
        for values in values.chunks(LANES * width) {
            if values.len() == LANES * width {
                for leaf in self.descend([root; LANES], |lane| &values[lane * width..][..width], holds) {
                    visit(row, leaf);
                    row += 1;
                }
            } else {
                for values in values.chunks_exact(width) {
                    let [leaf] = self.descend([root], |_| values, holds);
                    visit(row, leaf);
                    row += 1;
                }
            }
        }
    }

    /// Goes down from every place until all are leaves.
    #[inline]
    fn descend<'a, const N: usize>(
        &self,
        mut at: [u32; N],
        row: impl Fn(usize) -> &'a [T],
        holds: impl Fn(&Step<T>, T) -> bool,
    ) -> [usize; N]
    where
        T: 'a,
    {
        while at.iter().any(|at| *at < self.branches) {
            for _ in 0..STRIDE {
                for (lane, at) in at.iter_mut().enumerate() {
                    let step = &self.steps[*at as usize];
                    let value = row(lane)[(step.feature & FEATURE) as usize];
                    *at = step.next[usize::from(!holds(step, value))];
                }
            }
        }
        at.map(|at| (at - self.branches) as usize)
    }
}

fn leq<T: Real>(step: &Step<T>, value: T) -> bool {
    value <= step.threshold
}

// All parts are asked whatever the others say: a branch of the program would be guessed wrong as often as not.

fn leq_missing<T: Real>(step: &Step<T>, value: T) -> bool {
    (value <= step.threshold) | ((step.feature & MISSING_YES != 0) & value.is_nan())
}

fn mixed<T: Real>(step: &Step<T>, value: T) -> bool {
    let order = (step.feature & EQUAL == 0) & (value <= step.threshold);
    order
        | (value == step.threshold) & (step.feature & EQUAL != 0)
        | ((step.feature & MISSING_YES != 0) & value.is_nan())
}
