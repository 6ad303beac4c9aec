//! The tests of [`Bits`] asked with the vectors of the processor at hand.
//!
//! Every level gives the same leaves, and sums are taken in the order of the trees, so results do not depend on it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;

use super::bits::{Bits, TREES};

/// Columns of a row that fit in registers.
pub(super) const COLUMNS_OF_A_ROW: usize = 64;

/// One row by column.
pub(super) type Row = [[f32; 16]; COLUMNS_OF_A_ROW / 16];

/// Which vectors the processor has.
///
/// Only [`Level::available`] makes one, so whoever has it may call the functions of that level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(Vectors);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vectors {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Those that every processor of the architecture has.
    Common,
}

impl Level {
    /// The levels of this processor, the best one first.
    pub(super) fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(avx512::is_available().then_some(Self(Vectors::Avx512)));
            levels.extend(avx2::is_available().then_some(Self(Vectors::Avx2)));
        }
        levels.push(Self(Vectors::Common));
        levels
    }

    /// Whether one row can be asked as well, with trees side by side.
    pub(super) fn takes_single_rows(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => true,
            _ => false,
        }
    }

    /// Whether this is quicker than walking down the trees. Without vectors made for it, it is not on x86.
    pub(super) fn is_worth_it(self) -> bool {
        self.0 != Vectors::Common || cfg!(target_arch = "aarch64")
    }

    /// Lanes for so many rows, of which some may stay empty; nothing where rows one by one are quicker.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "here no level takes single rows"))]
    pub(super) fn lanes(self, rows: usize, single_rows: bool) -> Option<usize> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => match rows {
                0..=3 => None,
                4..=6 if single_rows => None,
                4..=16 => Some(16),
                17..=32 => Some(32),
                33.. => Some(64),
            },
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => match rows {
                0..=3 => None,
                4..=8 => Some(8),
                9.. => Some(32),
            },
            Vectors::Common => (rows > 5).then_some(16),
        }
    }
}

/// Adds the weights of the leaves of as many rows as there are lanes. `columns` are by column and then by row, `sums` by
/// target and then by row; `targets` has that of each tree.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that not every processor has"))]
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_variables, reason = "here no level has more than one number of lanes")
)]
pub(super) fn sum_rows(bits: &Bits, weights: &[f32], lanes: usize, columns: &[f32], targets: &[u32], sums: &mut [f32]) {
    match bits.level.0 {
        // SAFETY: a level is one that the processor has.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { avx512::sum_rows(bits, weights, lanes, columns, targets, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { avx2::sum_rows(bits, weights, lanes, columns, targets, sums) },
        Vectors::Common if bits.words == 1 => lanes::sum_rows::<16, 1>(bits, weights, columns, targets, sums),
        Vectors::Common => lanes::sum_rows::<16, 2>(bits, weights, columns, targets, sums),
    }
}

/// The leaf of each row, within the tree, in one tree after the other.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that not every processor has"))]
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(unused_variables, reason = "here no level has more than one number of lanes")
)]
pub(super) fn visit_rows(bits: &Bits, lanes: usize, columns: &[f32], visit: impl FnMut(usize, &[u32])) {
    match bits.level.0 {
        // SAFETY: a level is one that the processor has.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { avx512::visit_rows(bits, lanes, columns, visit) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => unsafe { avx2::visit_rows(bits, lanes, columns, visit) },
        Vectors::Common if bits.words == 1 => lanes::visit_rows::<16, 1>(bits, columns, visit),
        Vectors::Common => lanes::visit_rows::<16, 2>(bits, columns, visit),
    }
}

/// Adds the weights of the leaves of one row to its sums: one a target, or one where all trees are for the same.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that not every processor has"))]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "here no level takes single rows"))]
pub(super) fn sum_row(bits: &Bits, weights: &[f32], row: &Row, targets: &[u32], sums: &mut [f32]) {
    match bits.level.0 {
        // SAFETY: a level is one that the processor has.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { avx512::sum_row(bits, weights, row, targets, sums) },
        _ => unreachable!("only the levels that take single rows are asked for one"),
    }
}

/// The leaves of one row, each within its tree, by groups of trees.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "instructions that not every processor has"))]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "here no level takes single rows"))]
pub(super) fn visit_row(bits: &Bits, row: &Row, visit: impl FnMut(usize, &[u32; TREES])) {
    match bits.level.0 {
        // SAFETY: a level is one that the processor has.
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => unsafe { avx512::visit_row(bits, row, visit) },
        _ => unreachable!("only the levels that take single rows are asked for one"),
    }
}
