//! Rows in lanes, in code that the compiler makes vectors of for whatever processor it is told to expect.

use super::super::bits::{Bits, TREES, Tree};

/// The first leaf of each row that no test of the tree rules out.
#[inline(always)]
fn leaves<const L: usize, const W: usize>(bits: &Bits, tree: usize, columns: &[[f32; L]]) -> [u32; L] {
    let Tree { orders, equals } = bits.trees[tree];
    let (group, lane) = (bits.groups[tree / TREES], tree % TREES);
    let mut left = [[u32::MAX; L]; W];

    let thresholds = &bits.thresholds[group.start..][..orders];
    let column_of = &bits.column_of[group.start..][..orders];
    let masks = &bits.masks[group.start * W..][..orders * W];
    for ((threshold, column), masks) in thresholds.iter().zip(column_of).zip(masks.as_chunks::<W>().0) {
        let (threshold, values) = (threshold[lane], &columns[usize::from(column[lane])]);
        for (left, mask) in left.iter_mut().zip(masks) {
            let mask = mask[lane];
            for (left, value) in left.iter_mut().zip(values) {
                *left &= if *value <= threshold { u32::MAX } else { mask };
            }
        }
    }

    let mut equal = [0; L];
    let start = group.start + group.orders;
    for at in 0..equals {
        let threshold = bits.thresholds[start + at][lane];
        let values = &columns[usize::from(bits.column_of[start + at][lane])];
        for (equal, value) in equal.iter_mut().zip(values) {
            *equal |= if *value == threshold { u32::MAX } else { 0 };
        }
        if bits.ends[group.ends + at] & (1 << lane) != 0 {
            for (word, left) in left.iter_mut().enumerate() {
                let mask = bits.masks[(start + at) * W + word][lane];
                for (left, equal) in left.iter_mut().zip(&equal) {
                    *left &= mask | equal;
                }
            }
            equal = [0; L];
        }
    }
    first(&left)
}

/// The number of the first leaf that is left.
#[inline(always)]
fn first<const L: usize, const W: usize>(left: &[[u32; L]; W]) -> [u32; L] {
    let mut leaf = [0; L];
    let mut before = [u32::MAX; L];
    for word in left {
        for ((leaf, before), word) in leaf.iter_mut().zip(&mut before).zip(word) {
            *leaf += word.leading_zeros() & *before;
            *before &= if *word == 0 { u32::MAX } else { 0 };
        }
    }
    leaf
}

/// The same for every tree, in order.
#[inline(always)]
pub(super) fn visit_rows<const L: usize, const W: usize>(
    bits: &Bits,
    columns: &[f32],
    mut visit: impl FnMut(usize, &[u32]),
) {
    let columns = columns.as_chunks::<L>().0;
    for tree in 0..bits.trees.len() {
        visit(tree, &leaves::<L, W>(bits, tree, columns));
    }
}

/// Adds the weights of the leaves to the sums, which are by target and then by row.
#[inline(always)]
pub(super) fn sum_rows<const L: usize, const W: usize>(
    bits: &Bits,
    weights: &[f32],
    columns: &[f32],
    targets: &[u32],
    sums: &mut [f32],
) {
    let columns = columns.as_chunks::<L>().0;
    let sums = sums.as_chunks_mut::<L>().0;
    let words = weights.as_chunks::<32>().0.as_chunks::<W>().0;
    for ((tree, weights), target) in words.iter().enumerate().zip(targets) {
        let weights = weights.as_flattened();
        let leaves = leaves::<L, W>(bits, tree, columns);
        for (sum, leaf) in sums[*target as usize].iter_mut().zip(leaves) {
            *sum += weights[leaf as usize % (W * 32)];
        }
    }
}
