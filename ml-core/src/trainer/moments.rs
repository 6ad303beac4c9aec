//! Weighted sums of products over all rows: the sufficient statistics of linear models.

use super::{FitContext, rows::Rows};
use crate::{Error, Result, transform::FittedPreprocess};
use ndarray::{Array2, linalg::general_mat_mul};

/// A block of rows as linear models see it: the matrix that preprocessing makes, and a one for the intercept.
pub(super) struct Design {
    /// Row-major; the last `extra` columns are for the caller.
    values: Vec<f64>,
    width: usize,
}

impl Design {
    /// Preprocesses rows and appends `1` and `extra - 1` columns of zeros to each.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column, when a number is missing or infinite still.
    pub(super) fn new(preprocess: &FittedPreprocess, rows: &Rows, extra: usize) -> Result<Self> {
        let matrix = preprocess.apply(&rows.inputs)?;
        let features = preprocess.columns().len();
        let width = features + extra;
        let mut values = vec![0.0; rows.weights.len() * width];
        let source = matrix.values::<f32>()?.chunks_exact(features);
        for (row, source) in values.chunks_exact_mut(width).zip(source) {
            for ((value, number), name) in row.iter_mut().zip(source).zip(preprocess.columns()) {
                if !number.is_finite() {
                    return Err(Error::invalid_input("a feature is missing or infinite after preprocessing")
                        .with("column", name));
                }
                *value = f64::from(*number);
            }
            row[features] = 1.0;
        }
        Ok(Self { values, width })
    }

    /// The rows, each with its features, the one, and the rest.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.values.chunks_exact_mut(self.width)
    }

    /// Adds the products of all pairs of columns to `sums`.
    pub(super) fn add_products(self, sums: &mut Array2<f64>) {
        let rows = self.values.len() / self.width;
        let z = Array2::from_shape_vec((rows, self.width), self.values).expect("whole rows");
        general_mat_mul(1.0, &z.t(), &z, 1.0, sums);
    }
}

/// Adds part sums in order, and then those of all members.
pub(super) fn total(parts: Vec<Array2<f64>>, context: &FitContext) -> Result<Array2<f64>> {
    let mut parts = parts.into_iter();
    let mut sums = parts.next().ok_or_else(|| Error::internal("a fold without parts"))?;
    parts.for_each(|part| sums += &part);
    let buffer = sums.as_slice_mut().ok_or_else(|| Error::internal("sums are not contiguous"))?;
    context.collective.all_reduce_sum(buffer)?;
    Ok(sums)
}
