//! Transforms that bring numbers to one scale.

use super::{FittedTransform, Fitting, Pass, Transform, gather_json, numbers, state, weighted_rows};
use crate::{
    Error, Result, Tensor,
    collective::Collective,
    onnx::graph::{Attribute, Domain, GraphBuilder, Value},
    trainer::Checkpoint,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Subtracts the mean of each column and divides by its standard deviation.
///
/// As scikit-learn's `StandardScaler`: the deviation is that of the population, a column that does not vary is only
/// centered, and missing numbers are left out and stay missing.
///
/// ```
/// use ml_core::{Tensor, collective::Solo, transform::{Pass, Standardize, Transform}};
///
/// let mut fitting = Standardize.start(&["x".into()])?;
/// fitting.update(&Tensor::column(vec![1.0_f32, 3.0]), &[1.0, 1.0])?;
/// let Pass::Done(fitted) = fitting.finish(&Solo)? else { unreachable!("one pass is enough") };
/// assert_eq!(fitted.apply(Tensor::column(vec![5.0_f32]))?.values::<f32>()?, [3.0]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Standardize;

impl Transform for Standardize {
    fn start(&self, columns: &[String]) -> Result<Box<dyn Fitting>> {
        Ok(Box::new(Moments::of(columns)))
    }
}

impl Fitting for Moments {
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        self.add(block, weights)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the graph computes in FP32")]
    fn finish(self: Box<Self>, collective: &dyn Collective) -> Result<Pass> {
        let moments = self.merged(collective)?;
        let scale = |variance: f64| {
            let scale = (1.0 / variance.sqrt()) as f32;
            if scale.is_finite() { scale } else { 1.0 }
        };
        Ok(Pass::Done(Arc::new(Standardized {
            mean: moments.columns.iter().map(|column| column.mean as f32).collect(),
            scale: moments.columns.iter().map(|column| scale(column.variance())).collect(),
            columns: moments.names,
        })))
    }
}

/// A fitted [`Standardize`]: `(x - mean) * scale` in single precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardized {
    /// The columns.
    pub columns: Vec<String>,
    /// The mean of each column.
    pub mean: Vec<f32>,
    /// One by the standard deviation of each column; 1 where it does not vary.
    pub scale: Vec<f32>,
}

impl FittedTransform for Standardized {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn apply(&self, block: Tensor) -> Result<Tensor> {
        let shape = block.shape().to_vec();
        let mut values = numbers(block, self.columns.len())?;
        for row in values.chunks_exact_mut(self.columns.len().max(1)) {
            for (value, (mean, scale)) in row.iter_mut().zip(self.mean.iter().zip(&self.scale)) {
                *value = (*value - mean) * scale;
            }
        }
        Tensor::new(shape, values)
    }

    fn emit(&self, graph: &mut GraphBuilder, block: Value) -> Result<Value> {
        Ok(graph.node(
            Domain::Ml,
            "Scaler",
            &[block],
            vec![
                Attribute::floats("offset", self.mean.iter().copied()),
                Attribute::floats("scale", self.scale.iter().copied()),
            ],
        ))
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        state("standardize", self)
    }
}

/// Weight, mean and squared deviations of the columns of a block; missing numbers do not count.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Moment>,
}

impl Moments {
    pub(super) fn of(columns: &[String]) -> Self {
        Self { names: columns.to_vec(), columns: vec![Moment::default(); columns.len()] }
    }

    pub(super) fn add(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        for (row, weight) in weighted_rows(block, weights)? {
            for (column, value) in self.columns.iter_mut().zip(row) {
                if !value.is_nan() {
                    column.add(f64::from(*value), weight);
                }
            }
        }
        Ok(())
    }

    /// The moments of the rows of all members.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column, when all its values are missing.
    pub(super) fn merged(self, collective: &dyn Collective) -> Result<Self> {
        let parts = gather_json(collective, self.columns)?;
        let mut columns = vec![Moment::default(); self.names.len()];
        for part in parts {
            for (column, other) in columns.iter_mut().zip(part) {
                column.merge(&other);
            }
        }
        match columns.iter().position(|column| column.weight <= 0.0) {
            Some(at) => Err(no_values(&self.names[at])),
            None => Ok(Self { names: self.names, columns }),
        }
    }
}

/// The error for a column of which every value is missing.
pub(super) fn no_values(column: &str) -> Error {
    Error::invalid_input("every value of a column is missing, so nothing can be learned about it")
        .with("column", column)
}

/// Weighted mean and squared deviations, one value at a time (Welford 1962; West 1979) and merged (Chan et al. 1979).
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Moment {
    weight: f64,
    pub(super) mean: f64,
    squares: f64,
}

impl Moment {
    fn add(&mut self, value: f64, weight: f64) {
        self.weight += weight;
        let delta = value - self.mean;
        self.mean += delta * (weight / self.weight);
        self.squares += weight * delta * (value - self.mean);
    }

    fn merge(&mut self, other: &Self) {
        let weight = self.weight + other.weight;
        if other.weight > 0.0 {
            let delta = other.mean - self.mean;
            self.mean += delta * (other.weight / weight);
            self.squares += other.squares + delta * delta * (self.weight * other.weight / weight);
            self.weight = weight;
        }
    }

    fn variance(&self) -> f64 {
        self.squares / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_moments_are_those_of_all_values() {
        let values = [1e6, 1e6 + 1.0, 1e6 + 5.0, 1e6 - 2.0, 1e6 + 0.5];
        let all = values.iter().fold(Moment::default(), |mut m, v| {
            m.add(*v, 1.0);
            m
        });
        let (mut left, mut right) = (Moment::default(), Moment::default());
        values[..2].iter().for_each(|v| left.add(*v, 1.0));
        values[2..].iter().for_each(|v| right.add(*v, 1.0));
        left.merge(&right);
        assert!((left.mean - all.mean).abs() < 1e-9 && (left.variance() - all.variance()).abs() < 1e-9);
        left.merge(&Moment::default());
        assert!((left.mean - all.mean).abs() < 1e-9, "a member without rows changes nothing");
    }

    #[test]
    fn a_column_that_does_not_vary_is_only_centered() {
        let mut moments = Box::new(Moments::of(&["x".into()]));
        moments.update(&Tensor::column(vec![0.1_f32; 1000]), &[0.3; 1000]).expect("numbers");
        let Pass::Done(fitted) = moments.finish(&crate::collective::Solo).expect("values") else { panic!("one pass") };
        let out = fitted.apply(Tensor::column(vec![0.1_f32, 1.1])).expect("numbers");
        assert_eq!(out.values::<f32>().expect("numbers"), [0.0, 1.0]);
    }
}
