//! Windows: predictions packed into columns as they come.

use crate::sample::{CategoriesBuilder, Sample, clip, single};
use ml_core::{
    Error, Result, Tensor, Tensors,
    id::{ModelName, Version},
    tensor::TensorData,
    time::CreatedTime,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt, time::Duration};

/// How much a [`WindowSink`](crate::WindowSink) keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowParams {
    /// The most rows of a window, at least 1: 100,000 by default. Further rows are dropped and counted.
    pub max_rows: usize,
    /// The most bytes of the values of a window, at least one row's: 64 MiB by default. A number counts 4 bytes and a text
    /// as its longest, 68; the memory that growing columns take is up to twice that.
    pub max_bytes: usize,
    /// The most models and versions with a window, at least 1: 64 by default.
    pub max_windows: usize,
    /// The most columns of one tensor, at least 1: 256 by default. Wider tensors, such as images, are left out, and so is a
    /// tensor whose columns would share a name with those of one before it.
    pub max_width: usize,
    /// A window is due from this many rows, if set.
    pub due_rows: Option<usize>,
    /// A window is due at this age, if set.
    pub due_after: Option<Duration>,
    /// Parts of a window that threads write to without meeting, 1 to 1,024: 16 by default. At least twice the threads that
    /// serve: a thread that finds all parts taken drops its rows.
    pub shards: usize,
}

impl Default for WindowParams {
    fn default() -> Self {
        Self {
            max_rows: 100_000,
            max_bytes: 64 << 20,
            max_windows: 64,
            max_width: 256,
            due_rows: None,
            due_after: None,
            shards: 16,
        }
    }
}

/// What one version of a model saw and said over some time.
#[derive(Debug, Clone)]
pub struct Window {
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub version: Version,
    /// When the window was opened.
    pub opened: CreatedTime,
    /// When it was taken.
    pub closed: CreatedTime,
    /// Inputs and outputs by row, as [`Sample::from_predictions`] names them. Not in order of arrival.
    pub sample: Sample,
    /// Rows that came and were not kept.
    pub dropped: Dropped,
}

/// Rows that were not kept, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The window was full.
    pub full: u64,
    /// Every shard was being written to.
    pub busy: u64,
    /// The tensors were not those of the first prediction: another name, element type, width or number of rows.
    pub unfit: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.full + self.busy + self.unfit
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { full, busy, unfit } = self;
        write!(f, "{} rows are not in this report: {full} came when the window was full, ", self.total())?;
        write!(f, "{busy} when all of its parts were being written to, {unfit} did not fit it.")
    }
}

/// Which columns come from which tensors, as the first prediction had them.
#[derive(Debug)]
pub(crate) struct Layout {
    entries: Vec<Entry>,
    row_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    is_output: bool,
    tensor: String,
    /// The name of the columns, before an index.
    column: String,
    width: usize,
    is_text: bool,
}

/// The values of one column.
#[derive(Debug)]
pub(crate) enum Buffer {
    Numeric(Vec<f32>),
    /// The texts one after the other, and where each ends.
    Text(Vec<u8>, Vec<u32>),
}

impl Layout {
    /// The columns of a prediction, or `None` when it has no rows to see them by.
    pub(crate) fn of(inputs: &Tensors, outputs: &Tensors, max_width: usize) -> Option<Self> {
        let rows = rows(inputs, outputs);
        let entry = |is_output: bool, name: &str, tensor: &Tensor| {
            let width = tensor.len().checked_div(tensor.rows())?;
            let clashes = is_output && inputs.get(name).is_some();
            (tensor.rows() == rows && (1..=max_width).contains(&width)).then(|| Entry {
                is_output,
                tensor: name.into(),
                column: if clashes { format!("output.{name}") } else { name.into() },
                width,
                is_text: matches!(tensor.data(), TensorData::Bytes(_)),
            })
        };
        let mut entries: Vec<Entry> = Vec::new();
        let mut names = HashSet::new();
        for candidate in inputs
            .iter()
            .filter_map(|(name, tensor)| entry(false, name, tensor))
            .chain(outputs.iter().filter_map(|(name, tensor)| entry(true, name, tensor)))
        {
            // A tensor `x[0]` beside a tensor `x` of two columns: the later one would have a name that is taken.
            if candidate.names().all(|name| !names.contains(&name)) {
                names.extend(candidate.names());
                entries.push(candidate);
            }
        }
        let row_bytes = entries.iter().map(|e| e.width * if e.is_text { TEXT_BYTES } else { NUMBER_BYTES }).sum();
        (rows > 0).then_some(Self { entries, row_bytes })
    }

    /// The most bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Buffers without values, one a column.
    pub(crate) fn buffers(&self) -> Vec<Buffer> {
        let buffer = |entry: &Entry| {
            if entry.is_text { Buffer::Text(Vec::new(), Vec::new()) } else { Buffer::Numeric(Vec::new()) }
        };
        self.entries.iter().flat_map(|entry| (0..entry.width).map(|_| buffer(entry))).collect()
    }

    /// Whether every column has its tensor, of the right type and size.
    pub(crate) fn fits(&self, inputs: &Tensors, outputs: &Tensors, rows: usize) -> bool {
        self.tensors(inputs, outputs).all(|(entry, tensor)| {
            tensor.is_some_and(|tensor| {
                tensor.rows() == rows
                    && tensor.len() == rows * entry.width
                    && matches!(tensor.data(), TensorData::Bytes(_)) == entry.is_text
            })
        })
    }

    /// Adds rows that fit.
    pub(crate) fn append(&self, buffers: &mut [Buffer], inputs: &Tensors, outputs: &Tensors) {
        let mut rest = buffers;
        for (entry, tensor) in self.tensors(inputs, outputs) {
            let (own, others) = rest.split_at_mut(entry.width);
            rest = others;
            if let Some(tensor) = tensor {
                push(own, tensor.data());
            }
        }
    }

    /// Unpacks buffers that were filled by [`Layout::append`].
    pub(crate) fn sample(&self, shards: Vec<Vec<Buffer>>) -> Result<Sample> {
        let mut shards: Vec<_> = shards.into_iter().map(Vec::into_iter).collect();
        let mut sample = Sample::new();
        for entry in &self.entries {
            for name in entry.names() {
                let parts = shards.iter_mut().filter_map(Iterator::next);
                sample = if entry.is_text {
                    let mut categories = CategoriesBuilder::default();
                    for part in parts {
                        part.texts().try_for_each(|text| categories.push(Some(text)))?;
                    }
                    sample.with_categories(name, categories.finish())?
                } else {
                    let numbers = parts.map(Buffer::into_numbers).reduce(|mut all, part| {
                        all.extend(part);
                        all
                    });
                    sample.with_singles(name, numbers.unwrap_or_default())?
                };
            }
        }
        Ok(sample)
    }

    /// The tensors of the columns. They nearly always come in the order of the first prediction, so that is tried first.
    fn tensors<'a>(
        &'a self,
        inputs: &'a Tensors,
        outputs: &'a Tensors,
    ) -> impl Iterator<Item = (&'a Entry, Option<&'a Tensor>)> {
        let (mut next_input, mut next_output) = (inputs.iter(), outputs.iter());
        self.entries.iter().map(move |entry| {
            let (all, next) = if entry.is_output { (outputs, &mut next_output) } else { (inputs, &mut next_input) };
            let tensor = match next.next() {
                Some((name, tensor)) if name == entry.tensor => Some(tensor),
                _ => all.get(&entry.tensor),
            };
            (entry, tensor)
        })
    }
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = String> {
        (0..self.width).map(|inner| match self.width {
            1 => self.column.clone(),
            _ => format!("{}[{inner}]", self.column),
        })
    }
}

impl Buffer {
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let (bytes, ends): (&[u8], &[u32]) = match self {
            Self::Text(bytes, ends) => (bytes, ends),
            Self::Numeric(_) => (&[], &[]),
        };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(move |(start, &end)| &bytes[start as usize..end as usize])
    }

    fn into_numbers(self) -> Vec<f32> {
        match self {
            Self::Numeric(values) => values,
            Self::Text(..) => Vec::new(),
        }
    }
}

/// The rows of a prediction: those of its inputs, or of its outputs when it takes none.
pub(crate) fn rows(inputs: &Tensors, outputs: &Tensors) -> usize {
    if inputs.is_empty() { outputs.rows() } else { inputs.rows() }
}

/// Packs and unpacks one batch.
pub(crate) fn sample_of(inputs: &Tensors, outputs: &Tensors) -> Result<Sample> {
    let rows = rows(inputs, outputs);
    for (name, tensor) in inputs.iter().chain(outputs.iter()) {
        if tensor.rows() != rows {
            return Err(Error::invalid_input("a tensor has another number of rows")
                .with("tensor", name)
                .with("expected", rows)
                .with("got", tensor.rows()));
        }
    }
    let Some(layout) = Layout::of(inputs, outputs, usize::MAX) else { return Ok(Sample::new()) };
    let with_columns = inputs.iter().chain(outputs.iter()).filter(|(_, tensor)| !tensor.is_empty()).count();
    if layout.entries.len() != with_columns {
        return Err(Error::invalid_input("two tensors give columns of one name"));
    }
    if rows.saturating_mul(layout.row_bytes()) > u32::MAX as usize {
        return Err(Error::resource_exhausted("a batch is too large for a sample").with("rows", rows));
    }
    let mut buffers = layout.buffers();
    layout.append(&mut buffers, inputs, outputs);
    layout.sample(vec![buffers])
}

/// Deals the elements of rows out to columns.
#[expect(clippy::cast_possible_truncation, reason = "columns are compared in single precision")]
fn push(columns: &mut [Buffer], data: &TensorData) {
    /// One arm a number type: what it is in single precision.
    macro_rules! numbers {
        ($($variant:ident => $single:expr),* $(,)?) => {
            match data {
                $(TensorData::$variant(values) => deal(columns, values, $single),)*
                TensorData::Bytes(values) => {
                    let width = columns.len();
                    for (at, value) in values.iter().enumerate() {
                        if let Buffer::Text(bytes, ends) = &mut columns[at % width] {
                            bytes.extend_from_slice(clip(value));
                            ends.push(u32::try_from(bytes.len()).expect("a window is bounded below four gigabytes"));
                        }
                    }
                }
            }
        };
    }
    numbers! {
        Bool => |&v| f32::from(u8::from(v)),
        Uint8 => |&v| f32::from(v),
        Uint16 => |&v| f32::from(v),
        Uint32 => |&v| v as f32,
        Uint64 => |&v| v as f32,
        Int8 => |&v| f32::from(v),
        Int16 => |&v| f32::from(v),
        Int32 => |&v| v as f32,
        Int64 => |&v| v as f32,
        Fp16 => |v| v.to_f32(),
        Fp32 => |&v| v,
        Fp64 => |&v| v as f32,
        Bf16 => |v| v.to_f32(),
    }
}

fn deal<T>(columns: &mut [Buffer], values: &[T], to_single: impl Fn(&T) -> f32) {
    let width = columns.len();
    for (at, column) in columns.iter_mut().enumerate() {
        if let Buffer::Numeric(buffer) = column {
            buffer.extend(values.iter().skip(at).step_by(width).map(|value| single(to_single(value))));
        }
    }
}

const NUMBER_BYTES: usize = size_of::<f32>();
const TEXT_BYTES: usize = crate::sample::MAX_TEXT_BYTES + size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn inner_dimensions_become_columns() {
        let inputs = Tensors::new()
            .with("x", Tensor::new([2, 2], vec![1_i64, 2, 3, 4]).expect("shape"))
            .and_then(|t| t.with("c", Tensor::column(vec![Bytes::from_static(b"UA"), Bytes::from_static(b"DL")])))
            .expect("names differ");
        let outputs = Tensors::new().with("c", Tensor::vector(vec![true, false])).expect("one name");
        let sample = Sample::from_predictions(&inputs, &outputs).expect("two rows each");
        let numbers = |name| sample.column(name).and_then(|column| column.numbers()).expect("numbers").to_vec();
        assert_eq!((numbers("x[0]"), numbers("x[1]")), (vec![1.0, 3.0], vec![2.0, 4.0]));
        assert_eq!(numbers("output.c"), [1.0, 0.0]);
        let text = sample.column("c").and_then(|column| column.categories()).expect("text");
        assert_eq!(text.iter().collect::<Vec<_>>(), [Some("UA"), Some("DL")]);
    }

    #[test]
    fn tensors_of_another_number_of_rows_are_named() {
        let inputs = Tensors::new().with("x", Tensor::vector(vec![1.0_f32, 2.0])).expect("one name");
        let outputs = Tensors::new().with("y", Tensor::vector(vec![1.0_f32])).expect("one name");
        assert_eq!(
            Sample::from_predictions(&inputs, &outputs).expect_err("one row").to_string(),
            "a tensor has another number of rows (tensor: y, expected: 2, got: 1)"
        );
    }

    #[test]
    fn every_number_type_is_read() {
        use half::{bf16, f16};
        let tensors = [
            Tensor::vector(vec![true]),
            Tensor::vector(vec![1_u8]),
            Tensor::vector(vec![1_u16]),
            Tensor::vector(vec![1_u32]),
            Tensor::vector(vec![1_u64]),
            Tensor::vector(vec![1_i8]),
            Tensor::vector(vec![1_i16]),
            Tensor::vector(vec![1_i32]),
            Tensor::vector(vec![1_i64]),
            Tensor::vector(vec![f16::ONE]),
            Tensor::vector(vec![1.0_f32]),
            Tensor::vector(vec![1.0_f64]),
            Tensor::vector(vec![bf16::ONE]),
        ];
        for tensor in tensors {
            let dtype = tensor.dtype();
            let sample = Sample::from_tensors(&Tensors::new().with("x", tensor).expect("one name")).expect("a row");
            assert_eq!(sample.column("x").and_then(|x| x.numbers()), Some([1.0].as_slice()), "{dtype}");
        }
    }
}
