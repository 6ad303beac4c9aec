//! The code for any processor, made of the instructions of AVX2.

use super::{super::bits::Bits, lanes};

/// Whether the functions here may be called.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("lzcnt")
}

/// As [`sum_rows`](super::sum_rows), with 8 or 32 lanes.
#[target_feature(enable = "avx2,lzcnt")]
pub(super) fn sum_rows(bits: &Bits, weights: &[f32], lanes: usize, columns: &[f32], targets: &[u32], sums: &mut [f32]) {
    match (lanes, bits.words) {
        (8, 1) => lanes::sum_rows::<8, 1>(bits, weights, columns, targets, sums),
        (_, 1) => lanes::sum_rows::<32, 1>(bits, weights, columns, targets, sums),
        (8, _) => lanes::sum_rows::<8, 2>(bits, weights, columns, targets, sums),
        (..) => lanes::sum_rows::<32, 2>(bits, weights, columns, targets, sums),
    }
}

/// As [`visit_rows`](super::visit_rows), with 8 or 32 lanes.
#[target_feature(enable = "avx2,lzcnt")]
pub(super) fn visit_rows(bits: &Bits, lanes: usize, columns: &[f32], visit: impl FnMut(usize, &[u32])) {
    match (lanes, bits.words) {
        (8, 1) => lanes::visit_rows::<8, 1>(bits, columns, visit),
        (_, 1) => lanes::visit_rows::<32, 1>(bits, columns, visit),
        (8, _) => lanes::visit_rows::<8, 2>(bits, columns, visit),
        (..) => lanes::visit_rows::<32, 2>(bits, columns, visit),
    }
}
