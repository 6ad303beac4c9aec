//! Small trees as sets of leaves, after QuickScorer (Lucchese et al. 2015, and 2016 for vectors).
//!
//! Leaves are numbered from where every test holds to where none does. A test that does not hold rules out the leaves below
//! it where it would, and the leaf of a row is the first that no test rules out. So the tests of a tree are asked one
//! after the other, whatever the answers: without a branch of the program, for many rows at once.

use super::{
    layout::{Branch, LEAF, Layout},
    simd::{self, COLUMNS_OF_A_ROW, Level, Row},
};
use std::{collections::HashMap, ops::Range};

/// Trees that lie side by side.
pub(super) const TREES: usize = 16;

/// Leaves a word of bits stands for.
const WORD: usize = u32::BITS as usize;

/// Two words hold the leaves of the trees taken here; larger ones are walked, which asks less.
const MAX_LEAVES: usize = 2 * WORD;

/// Values that a tree may be asked to equal, before walking it is the better way.
const MAX_EQUAL: usize = 256;

#[derive(Debug)]
pub(super) struct Bits {
    pub(super) level: Level,
    /// Words that hold the leaves of a tree.
    pub(super) words: usize,
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<Group>,
    pub(super) trees: Vec<Tree>,
    pub(super) thresholds: Vec<[f32; TREES]>,
    pub(super) column_of: Vec<[u16; TREES]>,
    /// The same where one row fits in registers, else nothing.
    pub(super) column_in_row: Vec<[u8; TREES]>,
    /// The leaves that are left when the test does not hold: `words` entries a test.
    pub(super) masks: Vec<[u32; TREES]>,
    /// For tests of equality, of which trees it is the last value to compare with: only then the mask counts.
    pub(super) ends: Vec<u16>,
    /// The target that all trees are for, if there is one.
    single: Option<usize>,
    payload: Payload,
}

/// What a leaf stands for, for `words` words of leaves a tree; trees fill up the last group.
#[derive(Debug)]
pub(super) enum Payload {
    /// Its weight.
    Weights(Vec<f32>),
    /// Its number in the forest.
    Leaves(Vec<u32>),
}

/// A feature, and what stands for NaN in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    feature: u32,
    missing: f32,
}

impl Column {
    fn of(self, row: &[f32]) -> f32 {
        let value = row[self.feature as usize];
        if value.is_nan() { self.missing } else { value }
    }
}

/// Trees side by side, with tests of order first and tests of equality after them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) orders: usize,
    pub(super) equals: usize,
    /// Where its equalities are in `ends`.
    pub(super) ends: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    pub(super) orders: usize,
    pub(super) equals: usize,
}

impl Bits {
    /// Nothing for trees that are too large, which are quicker to walk.
    pub(super) fn new(layout: &Layout<f32>, level: Level, of_trees: Option<&[u32]>) -> Option<Self> {
        let mut grown = Vec::with_capacity(layout.roots.len());
        let mut columns = Columns::default();
        for &root in &layout.roots {
            grown.push(Grown::new(&layout.branches, root, &mut columns)?);
        }
        let words = grown.iter().map(|tree| tree.leaves.len().div_ceil(WORD)).max()?;
        let mut bits = Self {
            level,
            words,
            columns: columns.list,
            groups: Vec::new(),
            trees: Vec::with_capacity(grown.len()),
            thresholds: Vec::new(),
            column_of: Vec::new(),
            column_in_row: Vec::new(),
            masks: Vec::new(),
            ends: Vec::new(),
            single: of_trees
                .and_then(|targets| targets.iter().all(|target| *target == targets[0]).then(|| targets[0] as usize)),
            payload: if of_trees.is_some() { Payload::Weights(Vec::new()) } else { Payload::Leaves(Vec::new()) },
        };
        for group in grown.chunks(TREES) {
            bits.push(group, layout);
        }
        if level.takes_single_rows() && bits.columns.len() <= COLUMNS_OF_A_ROW {
            let narrow = |columns: &[u16; TREES]| columns.map(|column| u8::try_from(column).unwrap_or(u8::MAX));
            bits.column_in_row = bits.column_of.iter().map(narrow).collect();
        }
        Some(bits)
    }

    /// Whether [`Bits::row`] is there, which is quicker than a walk.
    pub(super) fn takes_single_rows(&self) -> bool {
        !self.column_in_row.is_empty()
    }

    /// Adds the weights of the leaves to the scores, for the rows that are quicker this way: gives how many those were.
    pub(super) fn sum(
        &self,
        width: usize,
        values: &[f32],
        of_trees: &[u32],
        targets: usize,
        scores: &mut [f32],
        every: bool,
    ) -> usize {
        let Payload::Weights(weights) = &self.payload else { return 0 };
        let (mut columns, mut sums) = (Vec::new(), Vec::new());
        let done = self.blocks(width, values, &mut columns, |lanes, rows, columns| {
            let scores = &mut scores[rows.start * targets..rows.end * targets];
            if targets == 1 && rows.len() == lanes {
                simd::sum_rows(self, weights, lanes, columns, of_trees, scores);
                return;
            }
            sums.clear();
            sums.resize(lanes * targets, 0.0);
            simd::sum_rows(self, weights, lanes, columns, of_trees, &mut sums);
            for (row, scores) in scores.chunks_exact_mut(targets).enumerate() {
                for (target, score) in scores.iter_mut().enumerate() {
                    *score = sums[target * lanes + row];
                }
            }
        });
        if !every {
            return done;
        }
        let rows = values.chunks_exact(width).zip(scores.chunks_exact_mut(targets)).skip(done);
        rows.for_each(|(row, scores)| {
            let scores = if let Some(target) = self.single { &mut scores[target..=target] } else { scores };
            simd::sum_row(self, weights, &self.row(row), of_trees, scores);
        });
        values.len() / width
    }

    /// Gives row and leaf for the rows that are quicker this way, and how many those were.
    pub(super) fn visit(
        &self,
        width: usize,
        values: &[f32],
        every: bool,
        mut visit: impl FnMut(usize, usize),
    ) -> usize {
        let Payload::Leaves(numbers) = &self.payload else { return 0 };
        let leaves = self.words * WORD;
        let mut columns = Vec::new();
        let done = self.blocks(width, values, &mut columns, |lanes, rows, columns| {
            simd::visit_rows(self, lanes, columns, |tree, found| {
                let numbers = &numbers[tree * leaves..][..leaves];
                rows.clone().zip(found).for_each(|(row, leaf)| visit(row, numbers[*leaf as usize] as usize));
            });
        });
        if !every {
            return done;
        }
        for (row, values) in values.chunks_exact(width).enumerate().skip(done) {
            simd::visit_row(self, &self.row(values), |group, found| {
                let trees = group * TREES..self.trees.len();
                trees.zip(found).for_each(|(tree, leaf)| visit(row, numbers[tree * leaves + *leaf as usize] as usize));
            });
        }
        values.len() / width
    }

    /// Lays out rows by column, as many lanes to each as are quickest, as long as that is quicker than rows one by one.
    fn blocks(
        &self,
        width: usize,
        values: &[f32],
        columns: &mut Vec<f32>,
        mut block: impl FnMut(usize, Range<usize>, &[f32]),
    ) -> usize {
        let (rows, mut done) = (values.len() / width, 0);
        while let Some(lanes) = self.level.lanes(rows - done, self.takes_single_rows()) {
            let count = lanes.min(rows - done);
            // Lanes without a row keep what they have: nobody looks at their leaves.
            columns.resize(self.columns.len() * lanes, 0.0);
            for (column, lanes) in self.columns.iter().zip(columns.chunks_exact_mut(lanes)) {
                for (value, row) in lanes.iter_mut().zip(values[done * width..].chunks_exact(width)) {
                    *value = column.of(row);
                }
            }
            block(lanes, done..done + count, columns);
            done += count;
        }
        done
    }

    /// One row by column.
    fn row(&self, values: &[f32]) -> Row {
        let mut row = Row::default();
        for (value, column) in row.as_flattened_mut().iter_mut().zip(&self.columns) {
            *value = column.of(values);
        }
        row
    }

    fn push(&mut self, group: &[Grown], layout: &Layout<f32>) {
        let start = self.thresholds.len();
        let orders = group.iter().map(|tree| tree.orders.len()).max().unwrap_or(0);
        let equals = group.iter().map(|tree| tree.equals.len()).max().unwrap_or(0);
        let end = start + orders + equals;
        // A test that fills up holds for nothing and rules out nothing.
        self.thresholds.resize(end, [f32::NAN; TREES]);
        self.column_of.resize(end, [0; TREES]);
        self.masks.resize(end * self.words, [u32::MAX; TREES]);
        let ends = self.ends.len();
        self.ends.resize(ends + equals, 0);
        for (lane, tree) in group.iter().enumerate() {
            for (at, test) in (start..).zip(&tree.orders) {
                self.put(at, lane, test);
            }
            for (at, test) in tree.equals.iter().enumerate() {
                self.put(start + orders + at, lane, test);
                self.ends[ends + at] |= u16::from(test.ends) << lane;
            }
            self.trees.push(Tree { orders: tree.orders.len(), equals: tree.equals.len() });
        }
        self.groups.push(Group { start, orders, equals, ends });
        let leaves = self.words * WORD;
        match &mut self.payload {
            Payload::Weights(weights) => {
                for tree in group {
                    weights.extend(tree.leaves.iter().map(|leaf| layout.of_leaf(*leaf)[0].1));
                    weights.resize(weights.len().next_multiple_of(leaves), 0.0);
                }
                weights.resize(weights.len() + (TREES - group.len()) * leaves, -0.0);
            }
            Payload::Leaves(numbers) => {
                for tree in group {
                    numbers.extend(tree.leaves.iter().map(|leaf| u32::try_from(*leaf).unwrap_or(u32::MAX)));
                    numbers.resize(numbers.len().next_multiple_of(leaves), 0);
                }
                numbers.resize(numbers.len() + (TREES - group.len()) * leaves, 0);
            }
        }
    }

    fn put(&mut self, at: usize, lane: usize, test: &Test) {
        self.thresholds[at][lane] = test.threshold;
        self.column_of[at][lane] = test.column;
        for word in 0..self.words {
            let leaves = |from: usize| u32::MAX.checked_shr(bit(from, word)).unwrap_or(0);
            // The first leaf is the highest bit.
            self.masks[at * self.words + word][lane] = !(leaves(test.yes.start) & !leaves(test.yes.end));
        }
    }
}

/// A place among all leaves as a place in one word, which may be its end.
fn bit(leaf: usize, word: usize) -> u32 {
    u32::try_from(leaf.saturating_sub(word * WORD).min(WORD)).unwrap_or(u32::BITS)
}

#[derive(Debug, Default)]
struct Columns {
    list: Vec<Column>,
    by_key: HashMap<(u32, u32), u16>,
}

impl Columns {
    fn column(&mut self, feature: u32, missing: f32) -> Option<u16> {
        let next = u16::try_from(self.list.len()).ok()?;
        let column = *self.by_key.entry((feature, missing.to_bits())).or_insert(next);
        if column == next {
            self.list.push(Column { feature, missing });
        }
        Some(column)
    }
}

/// A test, and the leaves that it rules out when it does not hold.
#[derive(Debug)]
struct Test {
    column: u16,
    threshold: f32,
    yes: Range<usize>,
    ends: bool,
}

/// A tree whose leaves are in order, every node below one branch.
#[derive(Debug, Default)]
struct Grown {
    leaves: Vec<usize>,
    orders: Vec<Test>,
    equals: Vec<Test>,
}

impl Grown {
    fn new(branches: &[Branch<f32>], root: u32, columns: &mut Columns) -> Option<Self> {
        let mut tree = Self::default();
        tree.grow(branches, root, 0, columns)?;
        Some(tree)
    }

    fn grow(&mut self, branches: &[Branch<f32>], at: u32, depth: usize, columns: &mut Columns) -> Option<()> {
        // A way down has a leaf beside each of its steps.
        if self.leaves.len() >= MAX_LEAVES || depth >= MAX_LEAVES {
            return None;
        }
        if at & LEAF != 0 {
            self.leaves.push((at & !LEAF) as usize);
            return Some(());
        }
        let branch = branches[at as usize];
        let first = self.leaves.len();
        self.grow(branches, branch.yes, depth + 1, columns)?;
        let yes = first..self.leaves.len();
        if !branch.equal {
            let missing = if branch.missing_yes { f32::NEG_INFINITY } else { f32::NAN };
            if branch.missing_yes && branch.threshold.is_nan() {
                return None;
            }
            let column = columns.column(branch.feature, missing)?;
            self.orders.push(Test { column, threshold: branch.threshold, yes, ends: true });
            return self.grow(branches, branch.no, depth + 1, columns);
        }
        // A category after the other, as exporters ask for a set of them, is one test with several values.
        let (mut last, mut missing_yes, mut set) = (branch, branch.missing_yes, vec![branch.threshold]);
        while last.no & LEAF == 0
            && let next = branches[last.no as usize]
            && next.equal
            && (next.feature, next.yes) == (branch.feature, branch.yes)
        {
            missing_yes |= next.missing_yes;
            set.push(next.threshold);
            last = next;
        }
        if self.equals.len() + set.len() > MAX_EQUAL {
            return None;
        }
        let column = columns.column(branch.feature, if missing_yes { branch.threshold } else { f32::NAN })?;
        let count = set.len();
        for (at, threshold) in set.into_iter().enumerate() {
            self.equals.push(Test { column, threshold, yes: yes.clone(), ends: at + 1 == count });
        }
        self.grow(branches, last.no, depth + 1, columns)
    }
}
