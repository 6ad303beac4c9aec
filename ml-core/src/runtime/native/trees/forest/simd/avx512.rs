//! Sixteen lanes of AVX-512, for rows or for trees.
//!
//! The functions are safe where the processor has the instructions, which [`is_available`] tells: whoever calls them from
//! ordinary code has to have asked. Apart from that, vectors are read from and written to arrays of their own size.
#![expect(unsafe_code, reason = "vectors are loaded from arrays by pointer")]

use super::{
    super::bits::{Bits, Group, TREES, Tree},
    Row,
};
use std::arch::x86_64::*;

/// Whether the functions here may be called.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("lzcnt")
}

/// As [`sum_rows`](super::sum_rows), with 16, 32 or 64 lanes.
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
pub(super) fn sum_rows(bits: &Bits, weights: &[f32], lanes: usize, columns: &[f32], targets: &[u32], sums: &mut [f32]) {
    match (lanes, bits.words) {
        (16, 1) => sum_vectors::<1, 1>(bits, weights, columns, targets, sums),
        (32, 1) => sum_vectors::<2, 1>(bits, weights, columns, targets, sums),
        (_, 1) => sum_vectors::<4, 1>(bits, weights, columns, targets, sums),
        (16, _) => sum_vectors::<1, 2>(bits, weights, columns, targets, sums),
        (32, _) => sum_vectors::<2, 2>(bits, weights, columns, targets, sums),
        (..) => sum_vectors::<4, 2>(bits, weights, columns, targets, sums),
    }
}

/// As [`visit_rows`](super::visit_rows), with 16, 32 or 64 lanes.
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
pub(super) fn visit_rows(bits: &Bits, lanes: usize, columns: &[f32], visit: impl FnMut(usize, &[u32])) {
    match (lanes, bits.words) {
        (16, 1) => visit_vectors::<1, 1>(bits, columns, visit),
        (32, 1) => visit_vectors::<2, 1>(bits, columns, visit),
        (_, 1) => visit_vectors::<4, 1>(bits, columns, visit),
        (16, _) => visit_vectors::<1, 2>(bits, columns, visit),
        (32, _) => visit_vectors::<2, 2>(bits, columns, visit),
        (..) => visit_vectors::<4, 2>(bits, columns, visit),
    }
}

/// As [`sum_row`](super::sum_row).
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
pub(super) fn sum_row(bits: &Bits, weights: &[f32], row: &Row, targets: &[u32], sums: &mut [f32]) {
    match bits.words {
        1 => sum_trees::<1>(bits, weights, row, targets, sums),
        _ => sum_trees::<2>(bits, weights, row, targets, sums),
    }
}

/// As [`visit_row`](super::visit_row).
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
pub(super) fn visit_row(bits: &Bits, row: &Row, mut visit: impl FnMut(usize, &[u32; TREES])) {
    for (at, group) in bits.groups.iter().enumerate() {
        let found = match bits.words {
            1 => leaves_of_trees::<1>(bits, group, row),
            _ => leaves_of_trees::<2>(bits, group, row),
        };
        let mut leaves = [0; TREES];
        store_bits(&mut leaves, found);
        visit(at, &leaves);
    }
}

#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn sum_vectors<const R: usize, const W: usize>(
    bits: &Bits,
    weights: &[f32],
    columns: &[f32],
    targets: &[u32],
    sums: &mut [f32],
) {
    let columns = columns.as_chunks::<16>().0.as_chunks::<R>().0;
    let sums = sums.as_chunks_mut::<16>().0.as_chunks_mut::<R>().0;
    let weights = weights.as_chunks::<16>().0.as_chunks::<2>().0.as_chunks::<W>().0;
    for ((tree, weights), target) in weights.iter().enumerate().zip(targets) {
        let leaves = leaves_of_rows::<R, W>(bits, tree, columns);
        for (sum, leaf) in sums[*target as usize].iter_mut().zip(leaves) {
            store(sum, _mm512_add_ps(load(sum), pick(weights, leaf)));
        }
    }
}

#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn visit_vectors<const R: usize, const W: usize>(bits: &Bits, columns: &[f32], mut visit: impl FnMut(usize, &[u32])) {
    let columns = columns.as_chunks::<16>().0.as_chunks::<R>().0;
    for tree in 0..bits.trees.len() {
        let mut leaves = [[0; 16]; R];
        for (leaves, vector) in leaves.iter_mut().zip(leaves_of_rows::<R, W>(bits, tree, columns)) {
            store_bits(leaves, vector);
        }
        visit(tree, leaves.as_flattened());
    }
}

#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn sum_trees<const W: usize>(bits: &Bits, weights: &[f32], row: &Row, targets: &[u32], sums: &mut [f32]) {
    let groups = weights.as_chunks::<32>().0.as_chunks::<W>().0.as_chunks::<TREES>().0;
    let weight = |weights: &[[[f32; 32]; W]; TREES], leaves: &[u32; TREES], lane: usize| {
        weights[lane].as_flattened()[leaves[lane] as usize % (W * 32)]
    };
    let mut leaves = [0; TREES];
    if let [single] = sums {
        // A group's sum waits for its leaves; meanwhile the next group is under way.
        let (mut sum, mut before) = (*single, None);
        let add = |sum: &mut f32, weights: &[[[f32; 32]; W]; TREES], leaves: &[u32; TREES]| {
            // Trees that fill up the group weigh nothing.
            for lane in 0..TREES {
                *sum += weight(weights, leaves, lane);
            }
        };
        for (group, weights) in bits.groups.iter().zip(groups) {
            let next = leaves_of_trees::<W>(bits, group, row);
            if let Some(weights) = before.replace(weights) {
                add(&mut sum, weights, &leaves);
            }
            store_bits(&mut leaves, next);
        }
        if let Some(weights) = before {
            add(&mut sum, weights, &leaves);
        }
        *single = sum;
        return;
    }
    for ((group, weights), targets) in bits.groups.iter().zip(groups).zip(targets.chunks(TREES)) {
        store_bits(&mut leaves, leaves_of_trees::<W>(bits, group, row));
        for (lane, target) in targets.iter().enumerate() {
            sums[*target as usize] += weight(weights, &leaves, lane);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn leaves_of_rows<const R: usize, const W: usize>(
    bits: &Bits,
    tree: usize,
    columns: &[[[f32; 16]; R]],
) -> [__m512i; R] {
    let Tree { orders, equals } = bits.trees[tree];
    let (group, lane) = (bits.groups[tree / TREES], tree % TREES);
    let mut left = [[_mm512_set1_epi32(-1); W]; R];

    let thresholds = &bits.thresholds[group.start..][..orders];
    let column_of = &bits.column_of[group.start..][..orders];
    let masks = &bits.masks[group.start * W..][..orders * W];
    for ((threshold, column), masks) in thresholds.iter().zip(column_of).zip(masks.as_chunks::<W>().0) {
        let (threshold, values) = (_mm512_set1_ps(threshold[lane]), &columns[usize::from(column[lane])]);
        for (left, values) in left.iter_mut().zip(values) {
            let fails = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(load(values), threshold);
            for (left, mask) in left.iter_mut().zip(masks) {
                let mask = _mm512_set1_epi32(mask[lane].cast_signed());
                *left = _mm512_mask_and_epi32(*left, fails, *left, mask);
            }
        }
    }

    let mut equal = [0; R];
    let start = group.start + group.orders;
    for at in 0..equals {
        let threshold = _mm512_set1_ps(bits.thresholds[start + at][lane]);
        let values = &columns[usize::from(bits.column_of[start + at][lane])];
        for (equal, values) in equal.iter_mut().zip(values) {
            *equal |= _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(load(values), threshold);
        }
        if bits.ends[group.ends + at] & (1 << lane) != 0 {
            for (left, equal) in left.iter_mut().zip(&mut equal) {
                for (word, left) in left.iter_mut().enumerate() {
                    let mask = _mm512_set1_epi32(bits.masks[(start + at) * W + word][lane].cast_signed());
                    *left = _mm512_mask_and_epi32(*left, !*equal, *left, mask);
                }
                *equal = 0;
            }
        }
    }

    let mut leaves = [_mm512_setzero_si512(); R];
    for (leaf, left) in leaves.iter_mut().zip(&left) {
        *leaf = first(left);
    }
    leaves
}

#[inline]
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn leaves_of_trees<const W: usize>(bits: &Bits, group: &Group, row: &Row) -> __m512i {
    let Group { start, orders, equals, ends } = *group;
    let row = [load(&row[0]), load(&row[1]), load(&row[2]), load(&row[3])];
    let wide = bits.columns.len() > 32;
    let mut left = [_mm512_set1_epi32(-1); W];

    let thresholds = &bits.thresholds[start..][..orders];
    let column_of = &bits.column_in_row[start..][..orders];
    let masks = &bits.masks[start * W..][..orders * W];
    for ((threshold, columns), masks) in thresholds.iter().zip(column_of).zip(masks.as_chunks::<W>().0) {
        let fails = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(look_up(&row, columns, wide), load(threshold));
        for (left, mask) in left.iter_mut().zip(masks) {
            *left = _mm512_mask_and_epi32(*left, fails, *left, load_bits(mask));
        }
    }

    let mut equal = 0;
    for at in 0..equals {
        let test = start + orders + at;
        let values = look_up(&row, &bits.column_in_row[test], wide);
        equal |= _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(values, load(&bits.thresholds[test]));
        let end = bits.ends[ends + at];
        for (word, left) in left.iter_mut().enumerate() {
            let mask = load_bits(&bits.masks[test * W + word]);
            *left = _mm512_mask_and_epi32(*left, end & !equal, *left, mask);
        }
        equal &= !end;
    }
    first(&left)
}

/// The value of each column, out of a row in registers.
#[inline]
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn look_up(row: &[__m512; 4], columns: &[u8; TREES], wide: bool) -> __m512 {
    // SAFETY: sixteen bytes are read, which the array has; no alignment is asked for.
    let columns = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(columns.as_ptr().cast()) });
    let low = _mm512_permutex2var_ps(row[0], columns, row[1]);
    if wide {
        let high = _mm512_permutex2var_ps(row[2], columns, row[3]);
        _mm512_mask_blend_ps(_mm512_test_epi32_mask(columns, _mm512_set1_epi32(32)), low, high)
    } else {
        low
    }
}

/// The number of the first leaf that is left, which has the highest bit.
#[inline]
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn first<const W: usize>(left: &[__m512i; W]) -> __m512i {
    let mut leaf = _mm512_setzero_si512();
    let mut before: __mmask16 = u16::MAX;
    for word in left {
        leaf = _mm512_mask_add_epi32(leaf, before, leaf, _mm512_lzcnt_epi32(*word));
        before &= _mm512_testn_epi32_mask(*word, *word);
    }
    leaf
}

/// The weight of each leaf.
#[inline]
#[target_feature(enable = "avx512f,avx512cd,avx512bw,avx512dq,avx512vl,lzcnt")]
fn pick<const W: usize>(weights: &[[[f32; 16]; 2]; W], leaf: __m512i) -> __m512 {
    let mut picked = _mm512_setzero_ps();
    for (word, [low, high]) in weights.iter().enumerate() {
        let found = _mm512_permutex2var_ps(load(low), leaf, load(high));
        picked = if word == 0 {
            found
        } else {
            _mm512_mask_blend_ps(_mm512_test_epi32_mask(leaf, _mm512_set1_epi32(32)), picked, found)
        };
    }
    picked
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f32; 16]) -> __m512 {
    // SAFETY: the array has the sixteen numbers; no alignment is asked for.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bits(words: &[u32; 16]) -> __m512i {
    // SAFETY: the array has the sixteen words; no alignment is asked for.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: &mut [f32; 16], vector: __m512) {
    // SAFETY: the array has room for sixteen numbers; no alignment is asked for.
    unsafe { _mm512_storeu_ps(values.as_mut_ptr(), vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_bits(words: &mut [u32; 16], vector: __m512i) {
    // SAFETY: the array has room for sixteen words; no alignment is asked for.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}
