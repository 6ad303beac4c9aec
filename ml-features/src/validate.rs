//! Checking data before it is let in: what is expected, and a report of all that is not so.

use ml_core::{
    Error, Result, Table,
    arrow::{
        array::{Array, ArrayRef},
        datatypes::DataType,
        row::{RowConverter, SortField},
    },
    table::{arrow_error, floats},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt};

/// What data is expected to look like.
///
/// A difference is a finding of the [`ValidationReport`], not an error: the caller decides whether to stop, and sees all
/// that is wrong at once.
///
/// ```
/// use ml_core::{Table, arrow::{array::{Float64Array, RecordBatch}, datatypes::DataType}};
/// use ml_features::{Expectations, validate::Expected};
/// use std::sync::Arc;
///
/// let expectations = Expectations::new()
///     .column(Expected::new("wind_speed", DataType::Float64).with_nulls_at_most(0.1).with_range(0.0, 200.0).with_finite())
///     .column(Expected::new("origin", DataType::Utf8));
///
/// let winds = Float64Array::from(vec![Some(3.0), Some(-1.0), None, Some(f64::NAN)]);
/// let table = Table::from(RecordBatch::try_from_iter([("wind_speed", Arc::new(winds) as _)]).unwrap());
/// let report = expectations.validate(&table)?;
/// assert!(!report.is_valid());
/// assert_eq!(report.failures.len(), 4);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    columns: Vec<Expected>,
    #[serde(default)]
    unique: Vec<Vec<String>>,
    #[serde(default)]
    rows_at_least: u64,
}

/// What one column is expected to look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    name: String,
    #[serde(rename = "type", with = "crate::schema::text")]
    dtype: DataType,
    #[serde(default)]
    nulls_at_most: Option<f64>,
    #[serde(default)]
    range: Option<(f64, f64)>,
    #[serde(default)]
    finite: bool,
}

impl Expected {
    /// A column of exactly this type; nulls, any values and NaN allowed.
    #[must_use]
    pub fn new(name: impl Into<String>, dtype: DataType) -> Self {
        Self { name: name.into(), dtype, nulls_at_most: None, range: None, finite: false }
    }

    /// The same, with at most this share of nulls, from 0 to 1.
    #[must_use]
    pub fn with_nulls_at_most(mut self, share: f64) -> Self {
        self.nulls_at_most = Some(share);
        self
    }

    /// The same, with all values from `low` to `high`, both included and finite. Nulls and NaN are not looked at.
    #[must_use]
    pub fn with_range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// The same, without NaN and infinities.
    #[must_use]
    pub fn with_finite(mut self) -> Self {
        self.finite = true;
        self
    }
}

/// One way in which data is not as expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The column or, where several belong together, the columns.
    pub columns: Vec<String>,
    /// What is wrong.
    pub reason: Reason,
    /// The first rows where it is so, counted from 0; at most [`Failure::SHOWN`], and none where it is about no row.
    pub rows: Vec<u64>,
}

impl Failure {
    /// How many rows are named.
    pub const SHOWN: usize = 5;
}

/// What is wrong with some columns.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The column is not there.
    Missing,
    /// The column has another type.
    Type {
        /// The type expected.
        expected: String,
        /// The type found.
        found: String,
    },
    /// The column has too many nulls.
    Nulls {
        /// The share allowed.
        at_most: f64,
        /// The share found.
        found: f64,
    },
    /// Values are out of the range.
    Range {
        /// The lowest value allowed.
        low: f64,
        /// The highest value allowed.
        high: f64,
        /// How many values are out of it.
        count: u64,
    },
    /// Values are NaN or infinite.
    NotFinite {
        /// How many values are.
        count: u64,
    },
    /// Rows repeat an earlier one in these columns.
    Repeated {
        /// How many rows do.
        count: u64,
    },
    /// There are too few rows.
    Rows {
        /// How many were expected.
        at_least: u64,
        /// How many there are.
        found: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.columns.is_empty() {
            write!(f, "{}: ", self.columns.join(", "))?;
        }
        match &self.reason {
            Reason::Missing => f.write_str("the column is missing")?,
            Reason::Type { expected, found } => write!(f, "expected {expected}, found {found}")?,
            Reason::Nulls { at_most, found } => {
                write!(f, "{:.2} % null, at most {:.2} % expected", found * 100.0, at_most * 100.0)?;
            }
            Reason::Range { low, high, count } => write!(f, "{} out of {low} to {high}", counted(*count, "value"))?,
            Reason::NotFinite { count } => write!(f, "{} NaN or infinite", counted(*count, "value"))?,
            Reason::Repeated { count } => write!(f, "{} with values of an earlier row", counted(*count, "row"))?,
            Reason::Rows { at_least, found } => write!(f, "{found} rows, at least {at_least} expected")?,
        }
        match self.rows.as_slice() {
            [] => Ok(()),
            [row] => write!(f, " (row {row})"),
            rows => write!(f, " (first at rows {})", rows.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// All that is not as expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationReport {
    /// How many rows were looked at.
    pub rows: u64,
    /// What is wrong, in the order of the expectations.
    pub failures: Vec<Failure>,
}

impl ValidationReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for ValidationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.len() as u64 {
            0 => write!(f, "{} rows, all as expected", self.rows)?,
            n => write!(f, "{} rows, not as expected in {}:", self.rows, counted(n, "way"))?,
        }
        self.failures.iter().try_for_each(|failure| write!(f, "\n- {failure}"))
    }
}

/// A number and what it counts.
fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl Expectations {
    /// Nothing expected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects a column too. Columns that are not named may be there.
    #[must_use]
    pub fn column(mut self, column: Expected) -> Self {
        self.columns.push(column);
        self
    }

    /// Expects that no two rows agree in all of these columns; nulls agree with each other.
    #[must_use]
    pub fn unique<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.unique.push(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Expects at least so many rows.
    #[must_use]
    pub fn rows_at_least(mut self, rows: u64) -> Self {
        self.rows_at_least = rows;
        self
    }

    /// Looks at all rows and collects every failure.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when an expectation makes no sense: a range for a column that is
    /// expected to hold no numbers, a share that is none, uniqueness of no columns.
    pub fn validate(&self, table: &Table) -> Result<ValidationReport> {
        self.check()?;
        let mut failures = Vec::new();
        let rows = table.rows() as u64;
        if rows < self.rows_at_least {
            let reason = Reason::Rows { at_least: self.rows_at_least, found: rows };
            failures.push(Failure { columns: Vec::new(), reason, rows: Vec::new() });
        }
        for expected in &self.columns {
            match table.column(&expected.name) {
                Ok(column) => expected.validate(&column, &mut failures)?,
                Err(_) => failures.push(about(&expected.name, Reason::Missing, Vec::new())),
            }
        }
        for columns in &self.unique {
            failures.extend(repeated(table, columns)?);
        }
        Ok(ValidationReport { rows, failures })
    }

    fn check(&self) -> Result<()> {
        let wrong = |message: &str, column: &str| Err(Error::invalid_input(message).with("column", column));
        for expected in &self.columns {
            let is_number = expected.dtype.is_numeric() || expected.dtype == DataType::Boolean;
            if !is_number && (expected.range.is_some() || expected.finite) {
                return wrong(
                    "values of a column without numbers cannot be expected in a range or finite",
                    &expected.name,
                );
            }
            if expected.nulls_at_most.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return wrong("a share of nulls is from 0 to 1", &expected.name);
            }
            if expected.range.is_some_and(|(low, high)| !low.is_finite() || !high.is_finite() || low > high) {
                return wrong("a range goes from low to high, both finite", &expected.name);
            }
        }
        if self.unique.iter().any(Vec::is_empty) { wrong("no columns cannot be unique", "") } else { Ok(()) }
    }
}

impl Expected {
    fn validate(&self, column: &ArrayRef, failures: &mut Vec<Failure>) -> Result<()> {
        if *column.data_type() != self.dtype {
            let (expected, found) = (self.dtype.to_string(), column.data_type().to_string());
            failures.push(about(&self.name, Reason::Type { expected, found }, Vec::new()));
            return Ok(());
        }
        if let Some(at_most) = self.nulls_at_most
            && !column.is_empty()
        {
            let (count, rows) = find(0..column.len(), |&row| column.is_null(row));
            let found = share(count, column.len());
            if found > at_most {
                failures.push(about(&self.name, Reason::Nulls { at_most, found }, rows));
            }
        }
        if self.range.is_none() && !self.finite {
            return Ok(());
        }
        let values = floats(column)?;
        let valid = |row: &usize| values.is_valid(*row);
        if let Some((low, high)) = self.range {
            let is_out = |&row: &usize| values.value(row) < low || values.value(row) > high;
            let (count, rows) = find((0..values.len()).filter(valid), is_out);
            if count > 0 {
                failures.push(about(&self.name, Reason::Range { low, high, count }, rows));
            }
        }
        if self.finite {
            let (count, rows) = find((0..values.len()).filter(valid), |&row| !values.value(row).is_finite());
            if count > 0 {
                failures.push(about(&self.name, Reason::NotFinite { count }, rows));
            }
        }
        Ok(())
    }
}

fn about(column: &str, reason: Reason, rows: Vec<u64>) -> Failure {
    Failure { columns: vec![column.into()], reason, rows }
}

/// How many rows are meant, and the first of them.
fn find(rows: impl Iterator<Item = usize>, is_meant: impl FnMut(&usize) -> bool) -> (u64, Vec<u64>) {
    let mut first = Vec::new();
    let count = rows.filter(is_meant).map(|row| row as u64).inspect(|&row| {
        if first.len() < Failure::SHOWN {
            first.push(row);
        }
    });
    let count = count.count() as u64;
    (count, first)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn share(count: u64, of: usize) -> f64 {
    count as f64 / of as f64
}

/// Rows that agree with an earlier one in some columns.
fn repeated(table: &Table, names: &[String]) -> Result<Option<Failure>> {
    let missing = |name: &&String| table.schema().index_of(name).is_err();
    if let Some(name) = names.iter().find(missing) {
        return Ok(Some(about(name, Reason::Missing, Vec::new())));
    }
    let columns = names.iter().map(|name| table.column(name)).collect::<Result<Vec<_>>>()?;
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(arrow_error)?;
    let rows = converter.convert_columns(&columns).map_err(arrow_error)?;
    let mut seen = HashSet::with_capacity(rows.num_rows());
    let (count, first) = find(0..rows.num_rows(), |&row| !seen.insert(rows.row(row)));
    let failure = |()| Failure { columns: names.to_vec(), reason: Reason::Repeated { count }, rows: first };
    Ok((count > 0).then_some(()).map(failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;

    fn table() -> Table {
        let part = |keys: [i64; 2], winds: [Option<f64>; 2]| {
            RecordBatch::try_from_iter_with_nullable([
                ("key", Arc::new(Int64Array::from(keys.to_vec())) as ArrayRef, false),
                ("wind", Arc::new(Float64Array::from(winds.to_vec())) as ArrayRef, true),
                ("origin", Arc::new(StringArray::from(vec!["JFK", "JFK"])) as ArrayRef, true),
            ])
            .expect("batch")
        };
        let parts = vec![part([1, 2], [Some(3.0), None]), part([1, 3], [Some(300.0), Some(f64::NAN)])];
        Table::new(parts[0].schema(), parts).expect("one schema")
    }

    #[test]
    fn every_failure_is_reported_at_once() {
        let expectations = Expectations::new()
            .column(Expected::new("key", DataType::Int32))
            .column(
                Expected::new("wind", DataType::Float64).with_nulls_at_most(0.1).with_range(0.0, 200.0).with_finite(),
            )
            .column(Expected::new("gust", DataType::Float64))
            .unique(["key", "origin"])
            .unique(["hour"])
            .rows_at_least(5);
        let report = expectations.validate(&table()).expect("sensible");
        insta::assert_snapshot!(report.to_string(), @r"
        4 rows, not as expected in 8 ways:
        - 4 rows, at least 5 expected
        - key: expected Int32, found Int64
        - wind: 25.00 % null, at most 10.00 % expected (row 1)
        - wind: 1 value out of 0 to 200 (row 2)
        - wind: 1 value NaN or infinite (row 3)
        - gust: the column is missing
        - key, origin: 1 row with values of an earlier row (row 2)
        - hour: the column is missing
        ");
    }

    #[test]
    fn data_as_expected_is_valid() {
        let expectations = Expectations::new()
            .column(Expected::new("wind", DataType::Float64).with_nulls_at_most(0.25).with_range(0.0, f64::MAX))
            .unique(["key", "wind"])
            .rows_at_least(4);
        assert!(expectations.validate(&table()).expect("sensible").is_valid());
        let empty = Table::new(table().schema().clone(), Vec::new()).expect("no batches");
        assert!(expectations.clone().rows_at_least(0).validate(&empty).expect("sensible").is_valid());
        let json = serde_json::to_string(&expectations).expect("json");
        assert_eq!(serde_json::from_str::<Expectations>(&json).expect("own json"), expectations);
    }

    #[test]
    fn expectations_that_make_no_sense_are_refused() {
        let text = || Expected::new("origin", DataType::Utf8);
        let number = || Expected::new("wind", DataType::Float64);
        for column in [
            text().with_finite(),
            text().with_range(0.0, 1.0),
            number().with_range(2.0, 1.0),
            number().with_nulls_at_most(1.5),
        ] {
            assert!(Expectations::new().column(column).validate(&table()).is_err());
        }
        assert!(Expectations::new().unique(Vec::<String>::new()).validate(&table()).is_err());
    }
}
