//! Rows in memory, as Arrow.

use crate::{Error, Result};
use arrow::{
    array::{Array, ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray},
    compute,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use std::sync::Arc;

/// Record batches of one schema, in memory.
///
/// ```
/// use ml_core::{Table, arrow::array::{Float64Array, RecordBatch}};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([("wind", Arc::new(Float64Array::from(vec![3.0, 9.0])) as _)]).unwrap();
/// let table = Table::from(batch);
/// assert_eq!(table.floats("wind")?.value(1), 9.0);
/// assert_eq!(table.floats("gust").unwrap_err().to_string(), "no such column (column: gust, columns: wind)");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl From<RecordBatch> for Table {
    fn from(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: vec![batch] }
    }
}

impl Table {
    /// Keeps batches.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a batch has another schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        match batches.iter().find(|batch| batch.schema_ref() != &schema) {
            Some(batch) => Err(Error::invalid_input("a batch has another schema")
                .with("expected", names(&schema))
                .with("got", names(batch.schema_ref()))),
            None => Ok(Self { schema, batches }),
        }
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The batches, in order.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// All rows in one batch; no copy when there is one already.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a column is too long for one array.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        match self.batches.as_slice() {
            [batch] => Ok(batch.clone()),
            batches => compute::concat_batches(&self.schema, batches).map_err(arrow_error),
        }
    }

    /// A column in one array.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column.
    pub fn column(&self, name: &str) -> Result<ArrayRef> {
        let at = self.schema.index_of(name).map_err(|_| no_column(name, &self.schema))?;
        match self.batches.as_slice() {
            [batch] => Ok(batch.column(at).clone()),
            [] => Ok(arrow::array::new_empty_array(self.schema.field(at).data_type())),
            batches => {
                let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(at).as_ref()).collect();
                compute::concat(&parts).map_err(arrow_error)
            }
        }
    }

    /// A column of numbers, cast to double; nulls stay null.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column or it holds no numbers.
    pub fn floats(&self, name: &str) -> Result<Float64Array> {
        floats(self.column(name)?.as_ref()).map_err(|error| error.with("column", name))
    }

    /// A column of text; other types are printed.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column or it cannot be printed.
    pub fn strings(&self, name: &str) -> Result<StringArray> {
        strings(self.column(name)?.as_ref()).map_err(|error| error.with("column", name))
    }

    /// Keeps some columns, in the order asked for.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column.
    pub fn select<S: AsRef<str>>(&self, columns: &[S]) -> Result<Self> {
        let at = columns
            .iter()
            .map(|name| self.schema.index_of(name.as_ref()).map_err(|_| no_column(name.as_ref(), &self.schema)))
            .collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(self.schema.project(&at).map_err(arrow_error)?);
        let batches =
            self.batches.iter().map(|batch| batch.project(&at).map_err(arrow_error)).collect::<Result<_>>()?;
        Ok(Self { schema, batches })
    }

    /// Keeps the rows whose mask is true; null counts as false.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the mask has another length.
    pub fn filter(&self, mask: &BooleanArray) -> Result<Self> {
        if mask.len() != self.rows() {
            return Err(Error::invalid_input("a mask of another length")
                .with("rows", self.rows())
                .with("mask", mask.len()));
        }
        let mut start = 0;
        let batches = self
            .batches
            .iter()
            .map(|batch| {
                let part = mask.slice(start, batch.num_rows());
                start += batch.num_rows();
                compute::filter_record_batch(batch, &part).map_err(arrow_error)
            })
            .collect::<Result<_>>()?;
        Ok(Self { schema: self.schema.clone(), batches })
    }

    /// Keeps the rows in which none of these columns is null.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column.
    pub fn drop_nulls<S: AsRef<str>>(&self, columns: &[S]) -> Result<Self> {
        columns.iter().try_fold(self.clone(), |kept, column| {
            let mask = compute::is_not_null(kept.column(column.as_ref())?.as_ref()).map_err(arrow_error)?;
            kept.filter(&mask)
        })
    }

    /// Adds a column, or puts it in place of the one of that name.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it has another length.
    pub fn with_column(&self, name: &str, values: ArrayRef) -> Result<Self> {
        let batch = self.to_batch()?;
        let field = Field::new(name, values.data_type().clone(), true);
        let mut fields: Vec<_> = self.schema.fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        match self.schema.index_of(name) {
            Ok(at) => {
                fields[at] = Arc::new(field);
                columns[at] = values;
            }
            Err(_) => {
                fields.push(Arc::new(field));
                columns.push(values);
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map(Self::from)
            .map_err(|e| arrow_error(e).with("column", name))
    }
}

/// Numbers of any Arrow type as doubles; nulls stay null, booleans are 0 and 1.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the array holds no numbers.
pub fn floats(array: &dyn Array) -> Result<Float64Array> {
    if !(array.data_type().is_numeric() || matches!(array.data_type(), DataType::Boolean | DataType::Null)) {
        return Err(Error::invalid_input("a column holds no numbers").with("type", array.data_type()));
    }
    let cast = compute::cast(array, &DataType::Float64).map_err(arrow_error)?;
    Ok(arrow::array::AsArray::as_primitive(&cast).clone())
}

/// Values of any Arrow type as text; nulls stay null.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the type has no text form.
pub fn strings(array: &dyn Array) -> Result<StringArray> {
    let cast = compute::cast(array, &DataType::Utf8).map_err(arrow_error)?;
    Ok(arrow::array::AsArray::as_string(&cast).clone())
}

/// Wraps an error of Arrow: almost always a wrong type or length, so [`InvalidInput`](crate::ErrorKind::InvalidInput).
#[must_use]
pub fn arrow_error(source: arrow::error::ArrowError) -> Error {
    Error::invalid_input("the columns do not fit the operation").with_source(source)
}

fn no_column(name: &str, schema: &Schema) -> Error {
    Error::invalid_input("no such column").with("column", name).with("columns", names(schema))
}

fn names(schema: &Schema) -> String {
    schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    fn table() -> Table {
        let part = |from: i64| {
            RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![Some(from), None])) as ArrayRef)])
                .expect("batch")
        };
        Table::new(part(1).schema(), vec![part(1), part(3)]).expect("one schema")
    }

    #[test]
    fn columns_span_batches() {
        let x = table().floats("x").expect("numbers");
        assert_eq!(x.iter().collect::<Vec<_>>(), [Some(1.0), None, Some(3.0), None]);
    }

    #[test]
    fn a_mask_is_cut_along_the_batches() {
        let kept =
            table().filter(&BooleanArray::from(vec![Some(false), None, Some(true), Some(true)])).expect("same length");
        assert_eq!(kept.floats("x").expect("numbers").iter().collect::<Vec<_>>(), [Some(3.0), None]);
    }

    #[test]
    fn rows_with_nulls_are_dropped() {
        let table = table()
            .with_column("y", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, None])))
            .expect("same length");
        assert_eq!(
            table.drop_nulls(&["x", "y"]).expect("columns").floats("x").expect("numbers"),
            Float64Array::from(vec![1.0])
        );
        assert!(table.drop_nulls(&["z"]).is_err());
    }

    #[test]
    fn a_new_column_replaces_its_namesake() {
        let table = table().with_column("x", Arc::new(Int64Array::from(vec![7; 4]))).expect("same length");
        assert_eq!(table.schema().fields().len(), 1);
        assert!(table.with_column("y", Arc::new(Int64Array::from(vec![7; 3]))).is_err());
        assert!(table.floats("y").is_err());
    }
}
