//! Reads a data set as trainers need it: checked, in blocks, without the rows that do not count.

use super::FitContext;
use crate::{
    Compute, Dataset, Error, Result, Tensors,
    collective::Collective,
    dataset::Role,
    signature::TensorSpec,
    table::{arrow_error, floats},
    transform::{feature_spec, input},
};
use arrow::{
    array::{BooleanArray, RecordBatch},
    compute,
};
use std::num::NonZeroUsize;

/// The columns of a data set that a trainer reads.
#[derive(Debug)]
pub(crate) struct RowReader<'a> {
    data: &'a Dataset,
    features: Vec<usize>,
    inputs: Vec<TensorSpec>,
    label: Option<Column>,
    weight: Option<Column>,
}

#[derive(Debug)]
struct Column {
    at: usize,
    name: String,
}

/// Some rows of weight above zero.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) inputs: Tensors,
    /// Empty when the reader has no label.
    pub(crate) labels: Vec<f64>,
    pub(crate) weights: Vec<f64>,
}

/// What one look at all rows tells.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Different labels of all members in ascending order, three at the most.
    pub(crate) labels: Vec<f64>,
    pub(crate) label: String,
}

/// Rows that are read and reduced at once: enough for the matrix product to be quick, few enough to stay in the cache.
const BLOCK_ROWS: usize = 2048;

/// Part sums of a fold. Their number does not depend on the threads, so that the result does not either.
const LANES: usize = 16;

impl<'a> RowReader<'a> {
    /// Reads features and weights.
    pub(crate) fn new(data: &'a Dataset) -> Result<Self> {
        let schema = data.schema();
        let column =
            |name: String| -> Result<Column> { Ok(Column { at: schema.index_of(&name).map_err(arrow_error)?, name }) };
        let features: Vec<usize> =
            data.with_role(Role::Feature).map(|name| column(name).map(|column| column.at)).collect::<Result<_>>()?;
        if features.is_empty() {
            return Err(Error::invalid_input("the data set has no features"));
        }
        let inputs = features.iter().map(|at| feature_spec(schema.field(*at))).collect::<Result<_>>()?;
        let weight = data.with_role(Role::Weight).next().map(column).transpose()?;
        Ok(Self { data, features, inputs, label: None, weight })
    }

    /// Reads features, weights and the label.
    pub(crate) fn labelled(data: &'a Dataset) -> Result<Self> {
        let mut reader = Self::new(data)?;
        let name = data.the(Role::Label)?;
        let at = data.schema().index_of(&name).map_err(arrow_error)?;
        reader.label = Some(Column { at, name });
        Ok(reader)
    }

    /// The tensors that the features become.
    pub(crate) fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// Looks at labels and weights of all rows, so that data that cannot be learned from is refused before the work.
    pub(crate) fn survey(&self, context: &FitContext) -> Result<Survey> {
        let mut labels: Vec<f64> = Vec::new();
        let mut sums = [0.0, 0.0];
        self.batches(context, |start, batch| {
            let (batch_labels, weights) = self.targets(start, &batch)?;
            sums[0] += weights.len() as f64;
            sums[1] += weights.iter().sum::<f64>();
            for (label, _) in batch_labels.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0) {
                keep_distinct(&mut labels, *label);
            }
            Ok(())
        })?;
        context.collective.all_reduce_sum(&mut sums)?;
        if sums[0] == 0.0 {
            return Err(Error::invalid_input("the data set has no rows"));
        }
        if !(sums[1] > 0.0 && sums[1].is_finite()) {
            return Err(Error::invalid_input("the total weight is not a number above zero")
                .with("column", self.weight.as_ref().map_or("", |weight| &weight.name))
                .with("total", sums[1]));
        }
        for label in all_members(context.collective.as_ref(), &labels)? {
            keep_distinct(&mut labels, label);
        }
        labels.sort_by(f64::total_cmp);
        Ok(Survey { labels, label: self.label.as_ref().map(|label| label.name.clone()).unwrap_or_default() })
    }

    /// Shows all rows, block by block.
    pub(crate) fn for_each(&self, context: &FitContext, mut visit: impl FnMut(Rows) -> Result<()>) -> Result<()> {
        self.blocks(context, |start, block| visit(self.rows(start, &block)?))
    }

    /// Reduces all rows of this member on the threads of the context. Blocks go round robin to a fixed number of part
    /// sums, which the caller adds up in order: the result does not depend on timing, nor on the number of threads.
    ///
    /// `width` is the side of the square of sums that each part keeps; wide ones get fewer parts.
    pub(crate) fn fold<S: Send>(
        &self,
        context: &FitContext,
        width: usize,
        make: impl Fn() -> S,
        add: impl Fn(&mut S, Rows) -> Result<()> + Sync,
    ) -> Result<Vec<S>> {
        let square = width.checked_mul(width).filter(|square| *square <= MAX_SUMS).ok_or_else(|| {
            Error::resource_exhausted("the features become too many columns: lower max_categories")
                .with("columns", width)
        })?;
        let lanes = (MAX_SUMS / square.max(1)).clamp(1, LANES);
        let threads = context.threads.min(NonZeroUsize::new(lanes).unwrap_or(NonZeroUsize::MIN));
        let pool = if threads.get() > 1 { Some(Compute::new(threads)?) } else { None };
        let mut sums: Vec<S> = (0..lanes).map(|_| make()).collect();
        let mut pending: Vec<(usize, RecordBatch)> = Vec::with_capacity(lanes);
        let flush = |sums: &mut Vec<S>, pending: &mut Vec<(usize, RecordBatch)>| -> Result<()> {
            let work = |(sum, (start, block)): (&mut S, &(usize, RecordBatch))| add(sum, self.rows(*start, block)?);
            match &pool {
                Some(pool) => pool.install(|| {
                    use rayon::prelude::*;
                    sums.par_iter_mut().zip(pending.par_iter()).try_for_each(work)
                })?,
                None => sums.iter_mut().zip(pending.iter()).try_for_each(work)?,
            }
            pending.clear();
            Ok(())
        };
        self.blocks(context, |start, block| {
            pending.push((start, block));
            if pending.len() == lanes { flush(&mut sums, &mut pending) } else { Ok(()) }
        })?;
        flush(&mut sums, &mut pending)?;
        Ok(sums)
    }

    fn blocks(&self, context: &FitContext, mut visit: impl FnMut(usize, RecordBatch) -> Result<()>) -> Result<()> {
        self.batches(context, |start, batch| {
            (0..batch.num_rows())
                .step_by(BLOCK_ROWS)
                .try_for_each(|from| visit(start + from, batch.slice(from, BLOCK_ROWS.min(batch.num_rows() - from))))
        })
    }

    fn batches(&self, context: &FitContext, mut visit: impl FnMut(usize, RecordBatch) -> Result<()>) -> Result<()> {
        context.cancel.check()?;
        let mut start = 0;
        for batch in self.data.scan()? {
            let batch = batch?;
            context.cancel.check()?;
            let rows = batch.num_rows();
            visit(start, batch)?;
            start += rows;
        }
        Ok(())
    }

    fn rows(&self, start: usize, block: &RecordBatch) -> Result<Rows> {
        let (labels, weights) = self.targets(start, block)?;
        let mut rows = Rows { inputs: Tensors::new(), labels, weights };
        let counts: Option<BooleanArray> =
            rows.weights.contains(&0.0).then(|| rows.weights.iter().map(|weight| Some(*weight > 0.0)).collect());
        for (at, spec) in self.features.iter().zip(&self.inputs) {
            let column = match &counts {
                Some(counts) => compute::filter(block.column(*at), counts).map_err(arrow_error)?,
                None => block.column(*at).clone(),
            };
            rows.inputs.insert(&spec.name, input(spec, column.as_ref())?)?;
        }
        if counts.is_some() {
            if self.label.is_some() {
                let mut weights = rows.weights.iter();
                rows.labels.retain(|_| weights.next().is_some_and(|weight| *weight > 0.0));
            }
            rows.weights.retain(|weight| *weight > 0.0);
        }
        Ok(rows)
    }

    /// Labels and weights of every row, checked.
    fn targets(&self, start: usize, block: &RecordBatch) -> Result<(Vec<f64>, Vec<f64>)> {
        let labels = match &self.label {
            Some(label) => finite(label, "a label is null, NaN or infinite", start, block)?,
            None => Vec::new(),
        };
        let Some(weight) = &self.weight else { return Ok((labels, vec![1.0; block.num_rows()])) };
        let weights = finite(weight, "a weight is null, NaN or infinite", start, block)?;
        match weights.iter().position(|weight| *weight < 0.0) {
            Some(row) => Err(Error::invalid_input("a weight is negative")
                .with("column", &weight.name)
                .with("row", start + row)
                .with("value", weights[row])),
            None => Ok((labels, weights)),
        }
    }
}

/// The most numbers that all part sums of a fold may have together: 256 MB.
const MAX_SUMS: usize = 1 << 25;

fn finite(column: &Column, message: &'static str, start: usize, block: &RecordBatch) -> Result<Vec<f64>> {
    let values = floats(block.column(column.at).as_ref()).map_err(|error| error.with("column", &column.name))?;
    match values.iter().position(|value| !value.is_some_and(f64::is_finite)) {
        Some(row) => Err(Error::invalid_input(message).with("column", &column.name).with("row", start + row)),
        None => Ok(values.values().to_vec()),
    }
}

/// Keeps up to three different values: enough to know whether there are two.
fn keep_distinct(values: &mut Vec<f64>, value: f64) {
    // Compared as numbers, so that 0 and -0 are one.
    if values.len() < 3 && !values.contains(&value) {
        values.push(value + 0.0);
    }
}

/// The up to three values of each member, by a sum in which every member fills its own slots.
fn all_members(collective: &dyn Collective, own: &[f64]) -> Result<Vec<f64>> {
    const SLOTS: usize = 4;
    let mut slots = vec![0.0; SLOTS * collective.world()];
    let mine = &mut slots[SLOTS * collective.rank()..][..SLOTS];
    mine[0] = own.len() as f64;
    mine[1..=own.len()].copy_from_slice(own);
    collective.all_reduce_sum(&mut slots)?;
    Ok(slots
        .chunks_exact(SLOTS)
        .flat_map(|slots| slots[1..].iter().enumerate().filter(|(at, _)| (*at as f64) < slots[0]).map(|(_, v)| *v))
        .collect())
}
