//! Transforms that fill in missing numbers.

use super::{
    FittedTransform, Fitting, Pass, Transform, gather_json, numbers,
    scale::{Moments, no_values},
    state, weighted_rows,
};
use crate::{
    Error, Result, Tensor,
    collective::Collective,
    onnx::graph::{Attribute, Domain, GraphBuilder, Value},
    trainer::Checkpoint,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// What takes the place of a missing number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fill {
    /// The weighted mean of the column.
    Mean,
    /// The weighted median of the column; halfway between the two middle values where the weight splits evenly.
    /// Exact, in three passes and 16 kB a column (radix selection on the bits of the number).
    Median,
    /// The value with the most weight, the smallest where they tie.
    MostFrequent,
    /// The same number in every column.
    Constant(f32),
}

/// Fills in missing numbers: NaN, and null, which is NaN in tensors.
///
/// As scikit-learn's `SimpleImputer`, but weighted, and a column of which every value is missing is refused unless the
/// fill is a constant.
///
/// ```
/// use ml_core::{Tensor, collective::Solo, transform::{Impute, Pass, Transform}};
///
/// let mut fitting = Impute::mean().start(&["x".into()])?;
/// fitting.update(&Tensor::column(vec![1.0_f32, f32::NAN, 4.0]), &[2.0, 1.0, 1.0])?;
/// let Pass::Done(fitted) = fitting.finish(&Solo)? else { unreachable!("one pass is enough for a mean") };
/// assert_eq!(fitted.apply(Tensor::column(vec![f32::NAN, 7.0]))?.values::<f32>()?, [2.0, 7.0]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Impute(Fill);

impl Impute {
    /// Chooses the fill.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a constant that is NaN or infinite.
    pub fn new(fill: Fill) -> Result<Self> {
        match fill {
            Fill::Constant(value) if !value.is_finite() => {
                Err(Error::invalid_input("a constant to fill in is NaN or infinite").with("value", value))
            }
            _ => Ok(Self(fill)),
        }
    }

    /// Fills in the mean.
    #[must_use]
    pub fn mean() -> Self {
        Self(Fill::Mean)
    }

    /// Fills in the median.
    #[must_use]
    pub fn median() -> Self {
        Self(Fill::Median)
    }

    /// Fills in the most frequent value.
    #[must_use]
    pub fn most_frequent() -> Self {
        Self(Fill::MostFrequent)
    }
}

impl Transform for Impute {
    fn start(&self, columns: &[String]) -> Result<Box<dyn Fitting>> {
        Ok(match self.0 {
            Fill::Mean => Box::new(Mean(Moments::of(columns))),
            Fill::Median => Box::new(Median {
                columns: columns.to_vec(),
                level: 0,
                selections: vec![Selection::default(); columns.len()],
            }),
            Fill::MostFrequent => {
                Box::new(Mode { columns: columns.to_vec(), weights: vec![HashMap::new(); columns.len()] })
            }
            Fill::Constant(value) => {
                Box::new(Constant(Imputed { columns: columns.to_vec(), fill: vec![value; columns.len()] }))
            }
        })
    }
}

/// A fitted [`Impute`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imputed {
    /// The columns.
    pub columns: Vec<String>,
    /// What takes the place of a missing number in each.
    pub fill: Vec<f32>,
}

impl FittedTransform for Imputed {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn apply(&self, block: Tensor) -> Result<Tensor> {
        let shape = block.shape().to_vec();
        let mut values = numbers(block, self.columns.len())?;
        for row in values.chunks_exact_mut(self.columns.len().max(1)) {
            for (value, fill) in row.iter_mut().zip(&self.fill) {
                if value.is_nan() {
                    *value = *fill;
                }
            }
        }
        Tensor::new(shape, values)
    }

    fn emit(&self, graph: &mut GraphBuilder, block: Value) -> Result<Value> {
        Ok(graph.node(
            Domain::Ml,
            "Imputer",
            &[block],
            vec![
                Attribute::floats("imputed_value_floats", self.fill.iter().copied()),
                Attribute::float("replaced_value_float", f32::NAN),
            ],
        ))
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        state("impute", self)
    }
}

#[derive(Debug)]
struct Mean(Moments);

impl Fitting for Mean {
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        self.0.add(block, weights)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the graph computes in FP32")]
    fn finish(self: Box<Self>, collective: &dyn Collective) -> Result<Pass> {
        let moments = self.0.merged(collective)?;
        let fill = moments.columns.iter().map(|column| column.mean as f32).collect();
        Ok(Pass::Done(Arc::new(Imputed { columns: moments.names, fill })))
    }
}

#[derive(Debug)]
struct Constant(Imputed);

impl Fitting for Constant {
    fn update(&mut self, _block: &Tensor, _weights: &[f64]) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, _collective: &dyn Collective) -> Result<Pass> {
        Ok(Pass::Done(Arc::new(self.0)))
    }
}

/// The weight of each value, by its bits.
#[derive(Debug)]
struct Mode {
    columns: Vec<String>,
    weights: Vec<HashMap<u32, f64>>,
}

impl Mode {
    fn count(&mut self, column: usize, key: u32, weight: f64) -> Result<()> {
        let weights = &mut self.weights[column];
        if weights.len() == MAX_DISTINCT && !weights.contains_key(&key) {
            return Err(Error::resource_exhausted("a column has too many different values for a most frequent one")
                .with("column", &self.columns[column])
                .with("limit", MAX_DISTINCT));
        }
        *weights.entry(key).or_default() += weight;
        Ok(())
    }
}

impl Fitting for Mode {
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        for (row, weight) in weighted_rows(block, weights)? {
            for (column, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                self.count(column, key_of(*value), weight)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, collective: &dyn Collective) -> Result<Pass> {
        let own: Vec<Vec<(u32, f64)>> =
            self.weights.iter_mut().map(|weights| std::mem::take(weights).into_iter().collect()).collect();
        for part in gather_json(collective, own)? {
            for (column, (key, weight)) in part
                .into_iter()
                .enumerate()
                .flat_map(|(column, pairs)| pairs.into_iter().map(move |pair| (column, pair)))
            {
                self.count(column, key, weight)?;
            }
        }
        let fill = self.weights.iter().zip(&self.columns).map(|(weights, column)| {
            let best = weights.iter().max_by(|(a, x), (b, y)| x.total_cmp(y).then_with(|| b.cmp(a)));
            best.map(|(key, _)| value_of(*key)).ok_or_else(|| no_values(column))
        });
        Ok(Pass::Done(Arc::new(Imputed { fill: fill.collect::<Result<_>>()?, columns: self.columns })))
    }
}

/// Selects the median of each column by the bits of its order-preserving key: 11, 11 and 10 of them a pass.
#[derive(Debug)]
struct Median {
    columns: Vec<String>,
    level: usize,
    selections: Vec<Selection>,
}

#[derive(Debug, Clone)]
struct Selection {
    /// The leading bits of the median that are known.
    prefix: u64,
    /// The weight of the values that are smaller than anything with this prefix.
    below: f64,
    total: f64,
    /// The weight of the values with this prefix, by the bits that come next.
    bins: Vec<f64>,
    /// The smallest key that is larger than anything with this prefix.
    above: Option<u32>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { prefix: 0, below: 0.0, total: 0.0, bins: vec![0.0; BINS], above: None }
    }
}

/// How many bits come after those of each level.
const SHIFTS: [u32; 3] = [21, 10, 0];
const BINS: usize = 1 << 11;

impl Median {
    fn bits(&self) -> u32 {
        if self.level == 0 { 32 - SHIFTS[0] } else { SHIFTS[self.level - 1] - SHIFTS[self.level] }
    }
}

impl Fitting for Median {
    fn update(&mut self, block: &Tensor, weights: &[f64]) -> Result<()> {
        let (shift, bits) = (SHIFTS[self.level], self.bits());
        for (row, weight) in weighted_rows(block, weights)? {
            for (value, selection) in row.iter().zip(&mut self.selections).filter(|(value, _)| !value.is_nan()) {
                let key = key_of(*value);
                let prefix = u64::from(key) >> (shift + bits);
                if prefix == selection.prefix {
                    let bin = (key >> shift) & ((1 << bits) - 1);
                    selection.bins[bin as usize] += weight;
                } else if prefix > selection.prefix {
                    selection.above = Some(selection.above.map_or(key, |above| above.min(key)));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, collective: &dyn Collective) -> Result<Pass> {
        let mut bins: Vec<f64> = self.selections.iter().flat_map(|selection| selection.bins.iter().copied()).collect();
        collective.all_reduce_sum(&mut bins)?;
        let own: Vec<Option<u32>> = self.selections.iter().map(|selection| selection.above).collect();
        let above = gather_json(collective, own)?;
        let bits = self.bits();
        let last = self.level + 1 == SHIFTS.len();
        let mut fill = Vec::with_capacity(self.columns.len());
        for (at, selection) in self.selections.iter_mut().enumerate() {
            let bins = &bins[at * BINS..(at + 1) * BINS];
            if self.level == 0 {
                selection.total = bins.iter().sum();
            }
            let half = selection.total / 2.0;
            let mut bin = 0;
            let mut reached = selection.below + bins[0];
            // The last bin with weight ends the search also where rounding leaves the sum short of the half.
            let end = bins.iter().rposition(|weight| *weight > 0.0).ok_or_else(|| no_values(&self.columns[at]))?;
            while (reached < half || bins[bin] <= 0.0) && bin < end {
                bin += 1;
                reached += bins[bin];
            }
            if last {
                let key = |bin: usize| u32::try_from((selection.prefix << bits) | bin as u64).expect("32 bits in all");
                let next = bins[bin + 1..].iter().position(|weight| *weight > 0.0).map(|gap| key(bin + 1 + gap));
                let next = next.or_else(|| above.iter().filter_map(|member| member.get(at).copied().flatten()).min());
                let low = value_of(key(bin));
                #[expect(clippy::float_cmp, reason = "whole weights are exact, and only they split evenly by design")]
                let high = if reached == half { next.map_or(low, value_of) } else { low };
                fill.push(midpoint(low, high));
            } else {
                *selection = Selection {
                    prefix: (selection.prefix << bits) | bin as u64,
                    below: reached - bins[bin],
                    total: selection.total,
                    ..Selection::default()
                };
            }
        }
        if last {
            return Ok(Pass::Done(Arc::new(Imputed { columns: self.columns, fill })));
        }
        self.level += 1;
        Ok(Pass::Again(self))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "halfway between two FP32 is within their range")]
fn midpoint(low: f32, high: f32) -> f32 {
    f64::midpoint(f64::from(low), f64::from(high)) as f32
}

/// A key that orders as the number does; 0 and -0 have the same.
fn key_of(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn value_of(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & !(1 << 31) } else { !key })
}

/// The most different numbers of a column that are counted for the most frequent.
const MAX_DISTINCT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Solo;
    use proptest::prelude::*;

    fn fill(fill: Fill, values: &[f32], weights: &[f64]) -> Result<f32> {
        let mut fitting = Impute::new(fill)?.start(&["x".into()])?;
        let fitted = loop {
            fitting.update(&Tensor::column(values.to_vec()), weights)?;
            match fitting.finish(&Solo)? {
                Pass::Done(fitted) => break fitted,
                Pass::Again(again) => fitting = again,
            }
        };
        Ok(fitted.apply(Tensor::column(vec![f32::NAN]))?.values::<f32>()?[0])
    }

    #[test]
    fn keys_order_as_numbers_do() {
        let sorted = [f32::MIN, -1.5, -f32::MIN_POSITIVE, 0.0, 1e-40, 1.0, f32::MAX];
        assert!(sorted.windows(2).all(|pair| key_of(pair[0]) < key_of(pair[1])));
        assert!(sorted.iter().all(|value| value_of(key_of(*value)).to_bits() == value.to_bits()));
        assert_eq!(key_of(-0.0), key_of(0.0));
    }

    #[test]
    fn each_fill_is_what_it_says() {
        let values = [3.0, f32::NAN, 1.0, 1.0, 10.0];
        let ones = [1.0; 5];
        assert_eq!(fill(Fill::Mean, &values, &ones).expect("values"), 3.75);
        assert_eq!(fill(Fill::Median, &values, &ones).expect("values"), 2.0);
        assert_eq!(fill(Fill::MostFrequent, &values, &ones).expect("values"), 1.0);
        assert_eq!(fill(Fill::Constant(-1.0), &values, &ones).expect("values"), -1.0);
        assert_eq!(fill(Fill::MostFrequent, &values, &[3.0, 1.0, 1.0, 1.0, 3.0]).expect("values"), 3.0);
        assert_eq!(fill(Fill::Median, &values, &[1.0, 1.0, 1.0, 1.0, 3.0]).expect("values"), 6.5);
    }

    #[test]
    fn a_column_without_values_is_refused_unless_the_fill_is_constant() {
        for kind in [Fill::Mean, Fill::Median, Fill::MostFrequent] {
            let error = fill(kind, &[f32::NAN], &[1.0]).expect_err("no values");
            assert!(error.to_string().contains("column: x"), "{error}");
        }
        assert_eq!(fill(Fill::Constant(0.5), &[f32::NAN], &[1.0]).expect("constant"), 0.5);
        assert!(Impute::new(Fill::Constant(f32::NAN)).is_err());
    }

    proptest! {
        #[test]
        fn the_median_is_that_of_the_sorted_rows(rows in prop::collection::vec((-1e6_f32..1e6, 1_u8..4), 1..60)) {
            let (values, weights): (Vec<f32>, Vec<f64>) = rows.iter().map(|(v, w)| (*v, f64::from(*w))).unzip();
            let mut sorted: Vec<f32> =
                rows.iter().flat_map(|(v, w)| std::iter::repeat_n(*v, usize::from(*w))).collect();
            sorted.sort_by(f32::total_cmp);
            let n = sorted.len();
            let (low, high) = (sorted[(n - 1) / 2], sorted[n / 2]);
            prop_assert_eq!(fill(Fill::Median, &values, &weights).expect("values"), midpoint(low, high));
        }
    }
}
