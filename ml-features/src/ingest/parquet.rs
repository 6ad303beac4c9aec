//! Reading Parquet files that others wrote.

use ml_core::{
    Error, ErrorKind, Result, Table,
    arrow::{
        array::RecordBatch,
        compute::cast,
        datatypes::{DataType, Field, FieldRef, Schema},
    },
    table::arrow_error,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// Reads a Parquet file into memory: all columns, or some in the order asked for.
///
/// Text is read as [`DataType::Utf8`] whatever form the writer gave it (large, view, dictionary). All else keeps its type.
/// Blocks on the disk; async callers go through [`Compute`](ml_core::Compute).
///
/// ```no_run
/// let weather = ml_features::ingest::parquet::read("weather.parquet", Some(&["origin", "time_hour", "wind_speed"]))?;
/// println!("{} rows", weather.rows());
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// [`NotFound`](ml_core::ErrorKind::NotFound) when there is no such file,
/// [`Corrupt`](ml_core::ErrorKind::Corrupt) when it is truncated, damaged or no Parquet,
/// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a column is missing.
pub fn read(path: impl AsRef<Path>, columns: Option<&[&str]>) -> Result<Table> {
    let path = path.as_ref();
    // The reader is not proof against every damaged page; a panic there is the file's fault.
    catch_unwind(AssertUnwindSafe(|| read_columns(path, columns)))
        .unwrap_or_else(|_| Err(Error::corrupt("a file is damaged")))
        .map_err(|error| error.op("ingest.parquet.read").with("file", path.display()))
}

fn read_columns(path: &Path, columns: Option<&[&str]>) -> Result<Table> {
    let file = File::open(path).map_err(|source| {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "a file cannot be opened").with_source(source)
    })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    let schema = builder.schema().clone();
    let place = |name: &&str| {
        schema.index_of(name).map_err(|_| {
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Error::invalid_input("the file has no such column").with("column", name).with("columns", names.join(", "))
        })
    };
    let places = match columns {
        Some(names) => names.iter().map(place).collect::<Result<Vec<_>>>()?,
        None => (0..schema.fields().len()).collect(),
    };
    let mask = ProjectionMask::roots(builder.parquet_schema(), places.iter().copied());
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;

    let fields: Vec<FieldRef> = places.iter().map(|&at| plain(&schema.fields()[at])).collect();
    let target = Arc::new(Schema::new(fields));
    let batches = reader.map(|batch| {
        let batch = batch.map_err(unreadable)?;
        let columns = target.fields().iter().map(|field| {
            let column = batch.column_by_name(field.name()).ok_or_else(|| Error::internal("a column was not read"))?;
            cast(column, field.data_type()).map_err(arrow_error)
        });
        RecordBatch::try_new(target.clone(), columns.collect::<Result<_>>()?).map_err(arrow_error)
    });
    let batches = batches.collect::<Result<Vec<_>>>()?;
    Table::new(target, batches)
}

/// The field with text in its plain form.
fn plain(field: &FieldRef) -> FieldRef {
    let is_text = |dtype: &DataType| matches!(dtype, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_text = match field.data_type() {
        DataType::Dictionary(_, values) => is_text(values),
        other => is_text(other),
    };
    let dtype = if is_text { DataType::Utf8 } else { field.data_type().clone() };
    Arc::new(Field::new(field.name(), dtype, field.is_nullable()))
}

fn unreadable(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::corrupt("the file is truncated, damaged or no Parquet").with_source(source)
}

const BATCH_ROWS: usize = 65_536;
