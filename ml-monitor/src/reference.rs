//! The reference: what the training data looked like, frozen so that later only current data is touched.

mod floats;

use crate::sample::{Categories, Column, Kind, Sample, Values};
use ml_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::HashMap};

/// How much of the training data a [`Reference`] keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceParams {
    /// Bins of equal share that numeric columns are cut into, 2 to 1,000. Ten, as the rules of thumb for PSI assume.
    pub bins: usize,
    /// The most values of a numeric column that are kept, 1 to 10 million. Above it the sorted values are thinned evenly,
    /// which moves no quantile by more than half a value: no randomness is needed. With ten thousand the statistic of
    /// Kolmogorov–Smirnov is off by 0.00005 at most, and a column takes about 100 kB of JSON.
    pub max_values: usize,
    /// The most categories that keep a count of their own, 1 to 1 million; the rarer ones share one.
    pub max_categories: usize,
}

impl Default for ReferenceParams {
    fn default() -> Self {
        Self { bins: 10, max_values: 10_000, max_categories: 1_000 }
    }
}

/// The frozen form of a [`Sample`], to be put into the bundle as [`REFERENCE`](ml_core::bundle::REFERENCE).
///
/// ```
/// use ml_core::{Bundle, Signature, bundle, onnx::OnnxModel, signature::TensorSpec, tensor::DType};
/// use ml_monitor::{Reference, ReferenceParams, Sample};
///
/// let training = Sample::new().with_numbers("wind", (0..1000).map(f64::from))?;
/// let reference = Reference::freeze(&training, &ReferenceParams::default())?;
///
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let model = OnnxModel { bytes: vec![8, 8].into(), signature };
/// let bundle = Bundle::builder(model).json(bundle::REFERENCE, &reference)?.build()?;
/// assert_eq!(bundle.json::<Reference>(bundle::REFERENCE)?, reference);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Reference {
    format: u32,
    rows: u64,
    columns: Vec<ReferenceColumn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    format: u32,
    rows: u64,
    columns: Vec<ReferenceColumn>,
}

/// One column of a [`Reference`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceColumn {
    name: String,
    missing: u64,
    frozen: Frozen,
}

/// What is kept of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frozen {
    /// Of numbers.
    Numeric(FrozenNumbers),
    /// Of text.
    Categorical(FrozenCategories),
}

/// The sorted values, quantile bins and histogram of a numeric column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenNumbers {
    /// The distinct values kept, ascending.
    #[serde(with = "floats")]
    pub values: Vec<f32>,
    /// How often each of them is there.
    pub counts: Vec<u32>,
    /// Where the bins of equal share meet, ascending; a value that is an edge belongs to the bin below it.
    #[serde(with = "floats")]
    pub edges: Vec<f32>,
    /// The number of training values in each bin: one more than there are edges.
    pub bins: Vec<u64>,
    /// For pictures; `None` when no value is finite.
    pub histogram: Option<Histogram>,
}

/// Bins of equal width from `low` to `high`; the first and last also hold what lies beyond.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// The lower end: the first percentile.
    pub low: f32,
    /// The upper end: the last percentile.
    pub high: f32,
    /// The number of training values in each bin.
    pub counts: Vec<u64>,
}

/// The counts of a categorical column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenCategories {
    /// The categories kept, most frequent first; of equal counts, in order of their bytes.
    pub names: Vec<String>,
    /// How often each of them is there.
    pub counts: Vec<u64>,
    /// The rows of all rarer categories. A category unknown to the reference counts among these.
    pub other: u64,
}

impl Reference {
    /// Freezes the training data.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a parameter is out of range or the sample has no columns or rows.
    pub fn freeze(sample: &Sample, params: &ReferenceParams) -> Result<Self> {
        let in_range = |name, value, low, high| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::invalid_input("a parameter is out of range")
                    .with("parameter", name)
                    .with("value", value)
                    .with("low", low)
                    .with("high", high))
            }
        };
        in_range("bins", params.bins, 2, 1_000)?;
        in_range("max_values", params.max_values, 1, 10_000_000)?;
        in_range("max_categories", params.max_categories, 1, 1_000_000)?;
        if sample.rows() == 0 {
            return Err(Error::invalid_input("a reference needs rows"));
        }
        let columns = sample
            .columns()
            .map(|column| ReferenceColumn {
                name: column.name().into(),
                missing: column.missing() as u64,
                frozen: freeze(column, params),
            })
            .collect();
        Ok(Self { format: FORMAT, rows: sample.rows() as u64, columns })
    }

    /// The number of rows of the training data.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A sample of the same columns, before anything has come.
    pub(crate) fn without_rows(&self) -> Sample {
        self.columns
            .iter()
            .try_fold(Sample::new(), |sample, column| match column.kind() {
                Kind::Numeric => sample.with_numbers(&column.name, []),
                Kind::Categorical => sample.with_text::<&str>(&column.name, []),
            })
            .expect("the columns of a reference have different names")
    }

    /// The columns, in the order of the training data.
    #[must_use]
    pub fn columns(&self) -> &[ReferenceColumn] {
        &self.columns
    }
}

impl TryFrom<Unchecked> for Reference {
    type Error = Error;

    /// Checks what detectors rely on, so that a damaged file is an error and never a panic.
    fn try_from(unchecked: Unchecked) -> Result<Self> {
        let Unchecked { format, rows, columns } = unchecked;
        if format != FORMAT {
            return Err(Error::unsupported("the reference is of another form").with("format", format));
        }
        for (i, column) in columns.iter().enumerate() {
            let broken = |what: &str| Error::corrupt(what).with("column", column.name.escape_debug());
            if columns[..i].iter().any(|earlier| earlier.name == column.name) {
                return Err(broken("two columns of a reference have one name"));
            }
            let whole = match &column.frozen {
                Frozen::Numeric(numbers) => numbers.is_whole(rows.checked_sub(column.missing)),
                Frozen::Categorical(categories) => categories.is_whole(rows.checked_sub(column.missing)),
            };
            if !whole {
                return Err(broken("the counts of a reference do not add up"));
            }
        }
        Ok(Self { format, rows, columns })
    }
}

impl ReferenceColumn {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of missing values in the training data.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// What the column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.frozen {
            Frozen::Numeric(_) => Kind::Numeric,
            Frozen::Categorical(_) => Kind::Categorical,
        }
    }

    /// What was kept.
    #[must_use]
    pub fn frozen(&self) -> &Frozen {
        &self.frozen
    }
}

impl FrozenNumbers {
    fn is_whole(&self, present: Option<u64>) -> bool {
        let ascending = |values: &[f32]| {
            values.iter().all(|value| !value.is_nan()) && values.windows(2).all(|pair| pair[0] < pair[1])
        };
        let drawable = self.histogram.as_ref().is_none_or(|histogram| {
            histogram.low.is_finite()
                && histogram.high.is_finite()
                && histogram.low < histogram.high
                && !histogram.counts.is_empty()
        });
        ascending(&self.values)
            && ascending(&self.edges)
            && self.values.len() == self.counts.len()
            && !self.counts.contains(&0)
            && self.edges.len() < usize::from(u16::MAX)
            && self.bins.len() == self.edges.len() + 1
            && sum(self.bins.iter().copied()) == present
            && drawable
    }
}

impl FrozenCategories {
    fn is_whole(&self, present: Option<u64>) -> bool {
        self.names.len() == self.counts.len() && sum(self.counts.iter().copied().chain([self.other])) == present
    }

    /// The counts of some rows by the categories of the reference; last, the rows of all others.
    #[must_use]
    pub fn count(&self, current: &Categories) -> Vec<u64> {
        let places: HashMap<&str, usize> =
            self.names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let mut counts = vec![0; self.names.len() + 1];
        for (name, count) in current.counts() {
            counts[places.get(name).copied().unwrap_or(self.names.len())] += count;
        }
        counts
    }
}

impl Histogram {
    /// The counts of some values by the bins of the reference; NaN counts nowhere.
    #[must_use]
    pub fn count(&self, values: &[f32]) -> Vec<u64> {
        let mut counts = vec![0; self.counts.len()];
        let last = counts.len() - 1;
        let low = f64::from(self.low);
        let scale = counts.len() as f64 / (f64::from(self.high) - low);
        for &value in values.iter().filter(|value| !value.is_nan()) {
            // A cast saturates: what lies beyond falls into the first and last bin, infinities too.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
            let bin = ((f64::from(value) - low) * scale) as usize;
            counts[bin.min(last)] += 1;
        }
        counts
    }
}

/// The numbers of values up to and including each edge less the one before: bins closed above. NaN counts nowhere.
pub(crate) fn count_bins(edges: &[f32], values: &[f32]) -> Vec<u64> {
    let mut bins = vec![0; edges.len() + 1];
    let mut places = [0_u16; BLOCK];
    let mut missing = 0;
    for block in values.chunks(BLOCK) {
        let places = &mut places[..block.len()];
        places.fill(0);
        // Edge by edge over a block, so that the comparisons become vector instructions.
        for &edge in edges {
            for (place, &value) in places.iter_mut().zip(block) {
                *place += u16::from(value > edge);
            }
        }
        for (&place, &value) in places.iter().zip(block) {
            bins[usize::from(place)] += 1;
            missing += u64::from(value.is_nan());
        }
    }
    // NaN is above no edge.
    bins[0] -= missing;
    bins
}

fn freeze(column: &Column, params: &ReferenceParams) -> Frozen {
    match column.values() {
        Values::Numeric(numbers) => Frozen::Numeric(freeze_numbers(numbers, params)),
        Values::Categorical(categories) => Frozen::Categorical(freeze_categories(categories, params)),
    }
}

fn freeze_numbers(numbers: &[f32], params: &ReferenceParams) -> FrozenNumbers {
    let mut sorted: Vec<f32> = numbers.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let edges = quantile_edges(&sorted, params.bins);
    let bins = count_bins(&edges, &sorted);
    let histogram = histogram(&sorted);
    let (values, counts) = run_lengths(&thin(&sorted, params.max_values));
    FrozenNumbers { values, counts, edges, bins, histogram }
}

/// The inner quantiles by the inverted empirical distribution (Hyndman and Fan 1996, type 1), each once.
///
/// Where the least value is itself an edge, so many rows share it that the bin below would hide a fall: values under it
/// get a bin of their own, as values above the greatest have anyway.
fn quantile_edges(sorted: &[f32], bins: usize) -> Vec<f32> {
    let Some(&least) = sorted.first() else { return Vec::new() };
    let mut edges: Vec<f32> = (1..bins).map(|k| sorted[(k * sorted.len()).div_ceil(bins) - 1]).collect();
    edges.dedup();
    if edges.first() == Some(&least) && least != f32::NEG_INFINITY {
        edges.insert(0, least.next_down());
    }
    edges
}

/// Every value, or `limit` of them at even distances of rank.
fn thin(sorted: &[f32], limit: usize) -> Cow<'_, [f32]> {
    if sorted.len() <= limit {
        return Cow::Borrowed(sorted);
    }
    let rank = |i: usize| (2 * i as u128 + 1) * sorted.len() as u128 / (2 * limit as u128);
    Cow::Owned((0..limit).map(|i| sorted[usize::try_from(rank(i)).expect("a rank is below the length")]).collect())
}

fn run_lengths(sorted: &[f32]) -> (Vec<f32>, Vec<u32>) {
    sorted
        .chunk_by(|a, b| a == b)
        .map(|run| (run[0], u32::try_from(run.len()).expect("at most 10 million values are kept")))
        .unzip()
}

fn histogram(sorted: &[f32]) -> Option<Histogram> {
    let finite: Vec<f32> = sorted.iter().copied().filter(|value| value.is_finite()).collect();
    let last = finite.len().checked_sub(1)?;
    let (low, high) = (finite[last / 100], finite[last - last / 100]);
    // A constant stands in the middle of its picture.
    let margin = if low < high { 0.0 } else { 0.5 * low.abs().max(1.0) };
    let (low, high) = ((low - margin).max(f32::MIN), (high + margin).min(f32::MAX));
    let mut histogram = Histogram { low, high, counts: vec![0; HISTOGRAM_BINS] };
    histogram.counts = histogram.count(sorted);
    Some(histogram)
}

fn freeze_categories(categories: &Categories, params: &ReferenceParams) -> FrozenCategories {
    let mut counts = categories.counts();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let rare = counts.split_off(params.max_categories.min(counts.len()));
    FrozenCategories {
        names: counts.iter().map(|(name, _)| (*name).into()).collect(),
        counts: counts.iter().map(|(_, count)| *count).collect(),
        other: rare.iter().map(|(_, count)| count).sum(),
    }
}

fn sum(mut counts: impl Iterator<Item = u64>) -> Option<u64> {
    counts.try_fold(0_u64, u64::checked_add)
}

const FORMAT: u32 = 1;
const HISTOGRAM_BINS: usize = 20;
const BLOCK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64], params: &ReferenceParams) -> FrozenNumbers {
        let sample = Sample::new().with_numbers("x", values.iter().copied()).expect("one column");
        let reference = Reference::freeze(&sample, params).expect("rows");
        match reference.columns()[0].frozen() {
            Frozen::Numeric(numbers) => numbers.clone(),
            Frozen::Categorical(_) => panic!("numbers stay numbers"),
        }
    }

    #[test]
    fn a_constant_has_a_bin_of_its_own() {
        let frozen = numbers(&[4.0; 50], &ReferenceParams::default());
        assert_eq!(frozen.bins, [0, 50, 0]);
        assert_eq!(count_bins(&frozen.edges, &[3.0, 4.0, 4.0, 5.0, f32::NAN]), [1, 2, 1]);
    }

    #[test]
    fn thinning_keeps_the_quantiles() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let frozen = numbers(&values, &ReferenceParams { max_values: 10, ..Default::default() });
        assert_eq!(frozen.values, [50.0, 150.0, 250.0, 350.0, 450.0, 550.0, 650.0, 750.0, 850.0, 950.0]);
        assert_eq!(frozen.bins, [100; 10], "bins are counted before thinning");
    }

    #[test]
    fn rare_categories_share_a_count() {
        let sample = Sample::new().with_text("c", ["b", "a", "b", "c", "d", "a", "b"].map(Some)).expect("one column");
        let reference =
            Reference::freeze(&sample, &ReferenceParams { max_categories: 2, ..Default::default() }).expect("rows");
        let Frozen::Categorical(frozen) = reference.columns()[0].frozen() else { panic!("text stays text") };
        assert_eq!(
            (frozen.names.as_slice(), frozen.counts.as_slice(), frozen.other),
            (["b".to_string(), "a".to_string()].as_slice(), [3, 2].as_slice(), 2)
        );
    }

    #[test]
    fn a_damaged_reference_is_refused() {
        let sample = Sample::new().with_numbers("x", [1.0, 2.0, 3.0]).expect("one column");
        let json =
            serde_json::to_value(Reference::freeze(&sample, &ReferenceParams::default()).expect("rows")).expect("json");
        serde_json::from_value::<Reference>(json.clone()).expect("own json");
        for (pointer, value) in [
            ("/columns/0/frozen/numeric/histogram/low", serde_json::json!(3.0)),
            ("/format", serde_json::json!(2)),
            ("/rows", serde_json::json!(4)),
            ("/columns/0/missing", serde_json::json!(4)),
            ("/columns/0/frozen/numeric/values", serde_json::json!([3.0, 2.0, 1.0])),
            ("/columns/0/frozen/numeric/counts", serde_json::json!([1, 1])),
            ("/columns/0/frozen/numeric/bins", serde_json::json!([u64::MAX, 4])),
            ("/columns/0/frozen/numeric/values/0", serde_json::json!("NaN")),
            ("/columns/0/frozen/numeric/values/0", serde_json::json!(1e300)),
            ("/columns/0/frozen/numeric/histogram/counts", serde_json::json!([])),
        ] {
            let mut damaged = json.clone();
            *damaged.pointer_mut(pointer).expect("a field of the form") = value;
            assert!(serde_json::from_value::<Reference>(damaged).is_err(), "{pointer}");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let sample = Sample::new().with_numbers("x", [1.0]).expect("one column");
        for params in [
            ReferenceParams { bins: 1, ..Default::default() },
            ReferenceParams { max_values: 0, ..Default::default() },
            ReferenceParams { max_categories: 0, ..Default::default() },
        ] {
            assert!(Reference::freeze(&sample, &params).is_err(), "{params:?}");
        }
        assert!(Reference::freeze(&Sample::new(), &ReferenceParams::default()).is_err());
    }
}
