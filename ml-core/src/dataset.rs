//! A rewindable source of Arrow batches with column roles: what trainers read.

use crate::{Error, Result, Table, table::arrow_error};
use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Batches that can be read again from the start, as often as binning and epochs need, also when larger than memory.
///
/// # Contract
/// 1. Every scan gives the same rows in the same order. (check: `scans_repeat`)
/// 2. Every batch has the schema of the source. (check: `batches_have_the_schema`)
pub trait BatchSource: fmt::Debug + Send + Sync + 'static {
    /// Names and types of the columns.
    fn schema(&self) -> SchemaRef;

    /// Reads from the start.
    ///
    /// # Errors
    /// What the place of the data gives, here or in the middle of the scan.
    fn scan(&self) -> Result<Batches<'_>>;
}

/// One pass over the batches of a [`BatchSource`].
pub type Batches<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + Send + 'a>;

impl<S: BatchSource + ?Sized> BatchSource for Arc<S> {
    fn schema(&self) -> SchemaRef {
        (**self).schema()
    }

    fn scan(&self) -> Result<Batches<'_>> {
        (**self).scan()
    }
}

impl BatchSource for Table {
    fn schema(&self) -> SchemaRef {
        self.schema().clone()
    }

    fn scan(&self) -> Result<Batches<'_>> {
        Ok(Box::new(self.batches().iter().cloned().map(Ok)))
    }
}

/// What a column is for.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// What the model sees.
    Feature,
    /// What the model learns to tell.
    Label,
    /// How much a row counts, zero or more.
    Weight,
    /// Which rows belong together, in ranking.
    Group,
    /// When the row happened; Arrow timestamp.
    EventTime,
    /// Whom the row is about.
    EntityKey,
}

/// A source of rows and the roles of its columns. Columns without a role are carried along and not looked at.
///
/// ```
/// use ml_core::{Dataset, Table, arrow::array::{Float64Array, RecordBatch}, dataset::Role};
/// use std::sync::Arc;
///
/// let batch = RecordBatch::try_from_iter([
///     ("distance", Arc::new(Float64Array::from(vec![1400.0, 2475.0])) as _),
///     ("late", Arc::new(Float64Array::from(vec![0.0, 1.0])) as _),
/// ]).unwrap();
/// let data = Dataset::new(Table::from(batch)).features(["distance"])?.role("late", Role::Label)?;
/// assert_eq!(data.the(Role::Label)?, "late");
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Dataset {
    source: Arc<dyn BatchSource>,
    // By position, so that features keep the order of the schema.
    roles: BTreeMap<usize, Role>,
}

impl Dataset {
    /// Rows without roles yet.
    #[must_use]
    pub fn new(source: impl BatchSource) -> Self {
        Self { source: Arc::new(source), roles: BTreeMap::new() }
    }

    /// Gives one column a role. [`Label`](Role::Label), [`Weight`](Role::Weight), [`Group`](Role::Group) and
    /// [`EventTime`](Role::EventTime) are for one column each.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when there is no such column, it has a role already, or the role is taken.
    pub fn role(mut self, column: &str, role: Role) -> Result<Self> {
        let schema = self.schema();
        let at = schema
            .index_of(column)
            .map_err(|source| Error::invalid_input("no such column").with("column", column).with_source(source))?;
        if let Some(taken) = self.roles.get(&at) {
            return Err(Error::invalid_input("a column has two roles")
                .with("column", column)
                .with("first", format!("{taken:?}"))
                .with("second", format!("{role:?}")));
        }
        if !matches!(role, Role::Feature | Role::EntityKey)
            && let Some(first) = self.with_role(role).next()
        {
            return Err(Error::invalid_input("two columns have one role")
                .with("role", format!("{role:?}"))
                .with("first", first)
                .with("second", column));
        }
        self.roles.insert(at, role);
        Ok(self)
    }

    /// Makes features of columns.
    ///
    /// # Errors
    /// As [`Dataset::role`].
    pub fn features<S: AsRef<str>>(self, columns: impl IntoIterator<Item = S>) -> Result<Self> {
        columns.into_iter().try_fold(self, |data, column| data.role(column.as_ref(), Role::Feature))
    }

    /// Makes one column the label.
    ///
    /// # Errors
    /// As [`Dataset::role`].
    pub fn label(self, column: &str) -> Result<Self> {
        self.role(column, Role::Label)
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    /// The columns of a role, in the order of the schema.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = String> {
        let schema = self.schema();
        self.roles.iter().filter(move |(_, r)| **r == role).map(move |(&at, _)| schema.field(at).name().clone())
    }

    /// The one column of a role.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when no column has it.
    pub fn the(&self, role: Role) -> Result<String> {
        self.with_role(role)
            .next()
            .ok_or_else(|| Error::invalid_input("no column has this role").with("role", format!("{role:?}")))
    }

    /// Where the rows come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn BatchSource> {
        &self.source
    }

    /// Reads the rows from the start, and makes sure that every batch has the columns of the schema.
    ///
    /// # Errors
    /// As [`BatchSource::scan`]; [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the column, when a batch in the
    /// middle has other columns.
    pub fn scan(&self) -> Result<Batches<'_>> {
        scan_checked(self.source.as_ref())
    }

    /// The same roles over other rows; for splits and transforms that keep the columns.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the schema differs.
    pub fn with_source(&self, source: impl BatchSource) -> Result<Self> {
        if source.schema() != self.schema() {
            return Err(Error::invalid_input("the rows have another schema"));
        }
        Ok(Self { source: Arc::new(source), roles: self.roles.clone() })
    }

    /// Brings all rows into memory, under the schema of the source.
    ///
    /// # Errors
    /// As [`Dataset::scan`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) for a null where the schema has none.
    pub fn to_table(&self) -> Result<Table> {
        let schema = self.schema();
        let batches = self.scan()?.map(|batch| {
            let batch = batch?;
            // What a scan lets pass, metadata and nullability, is one for all batches of a table.
            let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &rows).map_err(arrow_error)
        });
        Table::new(schema.clone(), batches.collect::<Result<_>>()?)
    }
}

/// A scan whose every batch can be indexed by the columns of the schema. Names and types count; metadata and
/// nullability do not, since files of one table often differ in them.
pub(crate) fn scan_checked(source: &dyn BatchSource) -> Result<Batches<'_>> {
    let schema = source.schema();
    Ok(Box::new(source.scan()?.map(move |batch| {
        let batch = batch?;
        check_schema(&schema, batch.schema_ref())?;
        Ok(batch)
    })))
}

fn check_schema(expected: &SchemaRef, got: &SchemaRef) -> Result<()> {
    if Arc::ptr_eq(expected, got) {
        return Ok(());
    }
    if expected.fields().len() != got.fields().len() {
        return Err(Error::invalid_input("a batch in the middle has another number of columns")
            .with("expected", expected.fields().len())
            .with("got", got.fields().len()));
    }
    match expected
        .fields()
        .iter()
        .zip(got.fields())
        .find(|(e, g)| e.name() != g.name() || e.data_type() != g.data_type())
    {
        Some((e, g)) => Err(Error::invalid_input("a column changed in the middle of the data")
            .with("column", e.name())
            .with("expected", e.data_type())
            .with("got", format!("{} {}", g.name(), g.data_type()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    fn data() -> Dataset {
        let x = || Arc::new(Float64Array::from(vec![1.0, 2.0])) as arrow::array::ArrayRef;
        Dataset::new(Table::from(
            RecordBatch::try_from_iter([("a", x()), ("b", x()), ("y", x()), ("z", x())]).expect("batch"),
        ))
    }

    #[test]
    fn features_keep_the_order_of_the_schema() {
        let data = data().features(["b", "a"]).expect("columns");
        assert_eq!(data.with_role(Role::Feature).collect::<Vec<_>>(), ["a", "b"]);
    }

    /// Files of one table, of which the second says that no value is missing.
    #[derive(Debug)]
    struct Files([RecordBatch; 2]);

    impl BatchSource for Files {
        fn schema(&self) -> SchemaRef {
            self.0[0].schema()
        }

        fn scan(&self) -> Result<Batches<'_>> {
            Ok(Box::new(self.0.iter().cloned().map(Ok)))
        }
    }

    #[test]
    fn files_that_differ_in_nullability_make_one_table() {
        let file = |nullable| {
            let x = Arc::new(Float64Array::from(vec![1.0])) as arrow::array::ArrayRef;
            RecordBatch::try_from_iter_with_nullable([("x", x, nullable)]).expect("batch")
        };
        let table = Dataset::new(Files([file(true), file(false)])).to_table().expect("one table");
        assert_eq!((table.rows(), table.to_batch().expect("one batch").num_rows()), (2, 2));
    }

    #[test]
    fn roles_that_clash_are_refused() {
        assert!(data().label("y").and_then(|d| d.label("z")).is_err());
        assert!(data().label("y").and_then(|d| d.features(["y"])).is_err());
        assert!(data().label("nowhere").is_err());
        assert!(data().the(Role::Label).is_err());
    }
}
