//! Shapes that are known but for the number of rows of a call.

use crate::{Error, Result, tensor::DType};
use std::fmt;

/// Dimensions that a value may have.
pub(super) const MAX_RANK: usize = 8;

/// Elements that a value may have: those of a row, and those of a value that does not depend on the rows. A small file
/// can declare any number, and double it with every node.
const MAX_WIDTH: usize = 1 << 20;
const MAX_FIXED: usize = 1 << 24;

/// How long a dimension is, or how many elements some dimensions have together: a fixed number, or so many times the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Length {
    count: usize,
    by_rows: bool,
}

impl Length {
    pub(super) const ONE: Self = Self::fixed(1);
    /// The rows of the call.
    pub(super) const ROWS: Self = Self { count: 1, by_rows: true };

    pub(super) const fn fixed(count: usize) -> Self {
        Self { count, by_rows: false }
    }

    /// The number in a call of so many rows. It does not overflow for what [`Type::check`] has passed.
    pub(super) const fn at(self, rows: usize) -> usize {
        if self.by_rows { self.count * rows } else { self.count }
    }

    /// The number, where it is the same in every call.
    pub(super) const fn known(self) -> Option<usize> {
        if self.by_rows { None } else { Some(self.count) }
    }

    pub(super) const fn is_by_rows(self) -> bool {
        self.by_rows
    }

    /// The number, or how many times the rows it is.
    pub(super) const fn count(self) -> usize {
        self.count
    }

    pub(super) fn times(self, other: Self) -> Result<Self> {
        if self.by_rows && other.by_rows {
            return Err(Error::unsupported("the native runtime takes no value of rows by rows"));
        }
        let count = self.count.checked_mul(other.count).ok_or_else(too_large)?;
        Ok(Self { count, by_rows: count > 0 && (self.by_rows || other.by_rows) })
    }

    pub(super) fn plus(self, other: Self) -> Result<Self> {
        match (self, other) {
            (Self { count: 0, .. }, sum) | (sum, Self { count: 0, .. }) => Ok(sum),
            _ if self.by_rows == other.by_rows => {
                let count = self.count.checked_add(other.count).ok_or_else(too_large)?;
                Ok(Self { count, by_rows: self.by_rows })
            }
            _ => Err(Error::unsupported("the native runtime adds no fixed length to the rows")),
        }
    }

    /// What remains when a part is taken out of a product; nothing unless it is a whole number.
    pub(super) fn over(self, part: Self) -> Option<Self> {
        let fits = part.count > 0 && self.count.is_multiple_of(part.count) && (self.by_rows || !part.by_rows);
        let count = self.count / part.count.max(1);
        fits.then_some(Self { count, by_rows: count > 0 && self.by_rows && !part.by_rows })
    }

    /// The product of some dimensions.
    pub(super) fn product(lengths: &[Self]) -> Result<Self> {
        lengths.iter().try_fold(Self::ONE, |product, &length| product.times(length))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.by_rows, self.count) {
            (false, count) => count.fmt(f),
            (true, 1) => f.write_str("rows"),
            (true, count) => write!(f, "{count}*rows"),
        }
    }
}

/// Element type and shape of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) dtype: DType,
    pub(super) shape: Vec<Length>,
}

impl Type {
    pub(super) fn new(dtype: DType, shape: impl Into<Vec<Length>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// A type that is the same in every call.
    pub(super) fn fixed(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.iter().copied().map(Length::fixed).collect() }
    }

    /// The number of elements.
    pub(super) fn len(&self) -> Result<Length> {
        Length::product(&self.shape)
    }

    /// Whether the rows of the call are its first dimension, and no other.
    pub(super) fn leads_with_rows(&self) -> bool {
        self.shape
            .split_first()
            .is_some_and(|(first, inner)| *first == Length::ROWS && inner.iter().all(|length| !length.is_by_rows()))
    }

    /// Refuses what is too large, also in the product of some of its dimensions.
    pub(super) fn check(&self) -> Result<()> {
        if self.shape.len() > MAX_RANK {
            return Err(Error::unsupported("the native runtime takes no value of so many dimensions")
                .with("dimensions", self.shape.len())
                .with("limit", MAX_RANK));
        }
        let mut product = Length::ONE;
        for length in &self.shape {
            product = product.times(Length { count: length.count.max(1), by_rows: length.by_rows })?;
        }
        let limit = if product.by_rows { MAX_WIDTH } else { MAX_FIXED };
        if product.count > limit {
            return Err(Error::unsupported("the native runtime takes no value of so many elements")
                .with("shape", self)
                .with("limit", limit));
        }
        Ok(())
    }

    /// Bytes of memory that it takes by row, and besides.
    pub(super) fn bytes(&self) -> Result<(usize, usize)> {
        let len = self.len()?;
        let bytes = len.count.saturating_mul(self.dtype.size_bytes().unwrap_or(size_of::<bytes::Bytes>()));
        Ok(if len.by_rows { (bytes, 0) } else { (0, bytes) })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [", self.dtype)?;
        for (at, length) in self.shape.iter().enumerate() {
            write!(f, "{}{length}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

/// An axis counted from the front, of one that may be counted from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let from_end = || usize::try_from(axis.unsigned_abs()).ok().and_then(|back| rank.checked_sub(back));
    let at = if axis < 0 { from_end() } else { usize::try_from(axis).ok() };
    at.filter(|at| *at < rank)
        .ok_or_else(|| Error::corrupt("there is no such axis").with("axis", axis).with("dimensions", rank))
}

fn too_large() -> Error {
    Error::unsupported("the native runtime takes no value larger than memory can address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_multiply_and_add_where_that_is_a_number_of_times_the_rows() {
        let (two, three) = (Length::fixed(2), Length::fixed(3));
        let twice = Length::ROWS.times(two).expect("twice the rows");
        assert_eq!((twice.at(5), twice.known(), twice.to_string()), (10, None, "2*rows".into()));
        assert_eq!(twice.plus(Length::ROWS).expect("rows").at(5), 15);
        assert_eq!(two.plus(three).expect("fixed").known(), Some(5));
        assert!(twice.times(Length::ROWS).is_err() && twice.plus(two).is_err());
        assert_eq!(twice.times(Length::fixed(0)).expect("nothing").known(), Some(0));
        assert!(Length::fixed(usize::MAX).times(two).is_err());
    }

    #[test]
    fn a_giant_shape_is_refused_even_if_it_has_no_elements() {
        Type::fixed(DType::Fp32, &[1 << 12, 1 << 12]).check().expect("not giant");
        assert!(Type::fixed(DType::Fp32, &[1 << 40, 0]).check().is_err());
        assert!(Type::new(DType::Fp32, [Length::ROWS, Length::fixed(1 << 21)]).check().is_err());
        assert!(Type::fixed(DType::Fp32, &[1; 9]).check().is_err());
    }
}
