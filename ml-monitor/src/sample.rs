//! Samples: the columns that detectors compare.

use crate::window;
use ml_core::{
    Error, Result, Table, Tensors,
    arrow::{array::RecordBatch, datatypes::DataType},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt};

/// The longest text that is told apart, in bytes; what follows is cut off, at the boundary of a character.
pub const MAX_TEXT_BYTES: usize = 64;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Numbers, which have an order.
    Numeric,
    /// Text, which has none.
    Categorical,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
        })
    }
}

/// Named columns of one length: what went into a model and what came out, or the rows of a table.
///
/// Numbers are kept in single precision, whatever they came in: a feature that is a double in training and single on the
/// wire would otherwise never compare equal (0.1 is two different numbers), and every discrete column would seem to move.
/// What is too large for single precision becomes infinite. NaN and null are missing values: counted, never compared.
///
/// ```
/// use ml_core::{Tensor, Tensors};
/// use ml_monitor::Sample;
///
/// let inputs = Tensors::new().with("wind", Tensor::column(vec![3.0_f32, f32::NAN, 9.0]))?;
/// let outputs = Tensors::new().with("late", Tensor::new([3, 2], vec![0.9_f32, 0.1, 0.2, 0.8, 0.5, 0.5])?)?;
/// let sample = Sample::from_predictions(&inputs, &outputs)?;
///
/// assert_eq!(sample.columns().map(|column| column.name()).collect::<Vec<_>>(), ["wind", "late[0]", "late[1]"]);
/// assert_eq!((sample.rows(), sample.column("wind").unwrap().missing()), (3, 1));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sample {
    rows: usize,
    columns: Vec<Column>,
}

/// One column of a [`Sample`].
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    missing: usize,
    values: Values,
}

#[derive(Debug, Clone)]
pub(crate) enum Values {
    Numeric(Vec<f32>),
    Categorical(Categories),
}

/// Text by number: each distinct text once, and the number of it for each row.
#[derive(Debug, Clone, Default)]
pub struct Categories {
    names: Vec<String>,
    codes: Vec<u32>,
}

impl Sample {
    /// A sample without columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of numbers; NaN is a missing value.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when the name is there already or the length is another.
    pub fn with_numbers(self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Result<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "columns are compared in single precision")]
        let values = values.into_iter().map(|value| single(value as f32)).collect();
        self.with_singles(name.into(), values)
    }

    /// Adds a column of text; `None` is a missing value.
    ///
    /// # Errors
    /// As [`Sample::with_numbers`]; [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) past four billion distinct texts.
    pub fn with_text<T: AsRef<str>>(
        self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Result<Self> {
        let mut categories = CategoriesBuilder::default();
        for value in values {
            categories.push(value.as_ref().map(|text| text.as_ref().as_bytes()))?;
        }
        self.with_categories(name.into(), categories.finish())
    }

    /// Takes the columns of a table: numbers and booleans are numeric, text and dictionaries categorical.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for a column of any other type; leave it out with [`Table::select`].
    pub fn from_table(table: &Table) -> Result<Self> {
        table.schema().fields().iter().try_fold(Self::new(), |sample, field| {
            let name = field.name();
            match field.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                    sample.with_text(name, &table.strings(name)?)
                }
                numeric if numeric.is_numeric() || matches!(numeric, DataType::Boolean | DataType::Null) => {
                    sample.with_numbers(name, table.floats(name)?.iter().map(|value| value.unwrap_or(f64::NAN)))
                }
                other => Err(Error::invalid_input("a column holds neither numbers nor text")
                    .with("column", name)
                    .with("type", other)),
            }
        })
    }

    /// Takes the columns of a record batch, as [`Sample::from_table`].
    ///
    /// # Errors
    /// As [`Sample::from_table`].
    pub fn from_batch(batch: &RecordBatch) -> Result<Self> {
        Self::from_table(&Table::from(batch.clone()))
    }

    /// Takes the tensors of a batch, as [`Sample::from_predictions`] without outputs.
    ///
    /// # Errors
    /// As [`Sample::from_predictions`].
    pub fn from_tensors(tensors: &Tensors) -> Result<Self> {
        Self::from_predictions(tensors, &Tensors::new())
    }

    /// Takes inputs and outputs of a model, one row a row of the batch.
    ///
    /// A tensor of shape `(n,)` or `(n, 1)` is a column of its name; one of shape `(n, k)` is the columns `name[0]` to
    /// `name[k-1]`, and inner dimensions are counted in row-major order. An output that shares its name with an input is
    /// `output.name`. `BYTES` is categorical, all else numeric.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when two tensors have another number of rows, or would give columns
    /// of one name; [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) past a billion values.
    pub fn from_predictions(inputs: &Tensors, outputs: &Tensors) -> Result<Self> {
        window::sample_of(inputs, outputs)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order they were added.
    #[must_use]
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.columns.iter()
    }

    /// The column of this name, if it is there.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Adds numbers that are single already, with no negative zero among them.
    pub(crate) fn with_singles(self, name: String, values: Vec<f32>) -> Result<Self> {
        let missing = values.iter().filter(|value| value.is_nan()).count();
        self.push(values.len(), Column { name, missing, values: Values::Numeric(values) })
    }

    pub(crate) fn with_categories(self, name: String, categories: Categories) -> Result<Self> {
        let missing = categories.codes.iter().filter(|&&code| code == MISSING).count();
        self.push(categories.codes.len(), Column { name, missing, values: Values::Categorical(categories) })
    }

    fn push(mut self, rows: usize, column: Column) -> Result<Self> {
        if self.column(&column.name).is_some() {
            return Err(Error::invalid_input("two columns have one name").with("column", column.name));
        }
        if !self.columns.is_empty() && rows != self.rows {
            return Err(Error::invalid_input("a column has another length")
                .with("column", column.name)
                .with("expected", self.rows)
                .with("got", rows));
        }
        self.rows = rows;
        self.columns.push(column);
        Ok(self)
    }
}

impl Column {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.values {
            Values::Numeric(_) => Kind::Numeric,
            Values::Categorical(_) => Kind::Categorical,
        }
    }

    /// The number of rows, missing values among them.
    #[must_use]
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Numeric(values) => values.len(),
            Values::Categorical(categories) => categories.codes.len(),
        }
    }

    /// The number of missing values.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers, NaN where missing; `None` for a categorical column.
    #[must_use]
    pub fn numbers(&self) -> Option<&[f32]> {
        if let Values::Numeric(values) = &self.values { Some(values) } else { None }
    }

    /// The text; `None` for a numeric column.
    #[must_use]
    pub fn categories(&self) -> Option<&Categories> {
        if let Values::Categorical(categories) = &self.values { Some(categories) } else { None }
    }
}

impl Categories {
    /// Each distinct text and the number of its rows, in order of first appearance.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, u64)> {
        let mut counts: Vec<_> = self.names.iter().map(|name| (name.as_str(), 0)).collect();
        for &code in self.codes.iter().filter(|&&code| code != MISSING) {
            counts[code as usize].1 += 1;
        }
        counts
    }

    /// The text of each row, `None` where missing.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&str>> {
        self.codes.iter().map(|&code| (code != MISSING).then(|| self.names[code as usize].as_str()))
    }
}

/// Numbers the distinct texts of a column.
#[derive(Debug, Default)]
pub(crate) struct CategoriesBuilder {
    categories: Categories,
    codes: HashMap<String, u32>,
}

impl CategoriesBuilder {
    /// Adds a row. Bytes that are not UTF-8 are replaced, as a terminal would show them.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = value else {
            self.categories.codes.push(MISSING);
            return Ok(());
        };
        let text = String::from_utf8_lossy(clip(bytes));
        let code = match self.codes.get(text.as_ref()) {
            Some(&code) => code,
            None => {
                let code = u32::try_from(self.categories.names.len())
                    .ok()
                    .filter(|&code| code != MISSING)
                    .ok_or_else(|| Error::resource_exhausted("a column has too many distinct texts"))?;
                self.categories.names.push(text.clone().into_owned());
                self.codes.insert(text.into_owned(), code);
                code
            }
        };
        self.categories.codes.push(code);
        Ok(())
    }

    pub(crate) fn finish(self) -> Categories {
        self.categories
    }
}

/// Both zeros become the positive one, so that equal numbers have equal bits.
pub(crate) fn single(value: f32) -> f32 {
    value + 0.0
}

/// The first [`MAX_TEXT_BYTES`] of a text, less what would cut a character of UTF-8 in two.
pub(crate) fn clip(bytes: &[u8]) -> &[u8] {
    let is_inside_a_character = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    match bytes.len() > MAX_TEXT_BYTES {
        true => {
            let start = (MAX_TEXT_BYTES - 3..=MAX_TEXT_BYTES).rev().find(|&at| !is_inside_a_character(at));
            &bytes[..start.unwrap_or(MAX_TEXT_BYTES)]
        }
        false => bytes,
    }
}

const MISSING: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::arrow::array::{BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn a_table_gives_numbers_and_text_with_nulls_missing() {
        let batch = RecordBatch::try_from_iter([
            ("delay", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)])) as _),
            ("seats", Arc::new(Int64Array::from(vec![1, 2, 3])) as _),
            ("direct", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])) as _),
            ("carrier", Arc::new(StringArray::from(vec![Some("UA"), None, Some("UA")])) as _),
        ])
        .expect("batch");
        let sample = Sample::from_batch(&batch).expect("numbers and text");
        let missing: Vec<_> = sample.columns().map(|column| (column.name(), column.kind(), column.missing())).collect();
        assert_eq!(
            missing,
            [
                ("delay", Kind::Numeric, 2),
                ("seats", Kind::Numeric, 0),
                ("direct", Kind::Numeric, 1),
                ("carrier", Kind::Categorical, 1)
            ]
        );
        let carrier = sample.column("carrier").and_then(Column::categories).expect("text");
        assert_eq!(carrier.counts(), [("UA", 2)]);
        assert_eq!(carrier.iter().collect::<Vec<_>>(), [Some("UA"), None, Some("UA")]);
    }

    #[test]
    fn a_column_of_another_type_is_named() {
        let batch = RecordBatch::try_from_iter([("day", Arc::new(Date32Array::from(vec![1])) as _)]).expect("batch");
        assert_eq!(
            Sample::from_batch(&batch).expect_err("a date").to_string(),
            "a column holds neither numbers nor text (column: day, type: Date32)"
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let sample = || Sample::new().with_numbers("x", [1.0, 2.0]).expect("first");
        assert!(sample().with_numbers("x", [1.0, 2.0]).is_err());
        assert!(sample().with_numbers("y", [1.0]).is_err());
        assert!(sample().with_text("y", [Some("a")]).is_err());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = format!("{}é", "x".repeat(MAX_TEXT_BYTES - 1));
        assert_eq!(clip(text.as_bytes()), "x".repeat(MAX_TEXT_BYTES - 1).as_bytes());
        assert_eq!(clip(&[0x80; 100]).len(), MAX_TEXT_BYTES, "bytes that are no text at all");
        assert_eq!(clip(b"short"), b"short");
    }
}
