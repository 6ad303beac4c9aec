//! Parts of a data set: before and after a time, within a span, or at random.
//!
//! A part reads its rows from the source of the whole and keeps none of them, so it is as large as memory allows a
//! batch to be, and can be scanned again.
//!
//! Models that meet the future are tested on the future: [`by_time`] is the split to reach for, [`random`] the one for
//! rows that have no order.

use crate::{
    Dataset, Error, Result, Seed,
    dataset::{BatchSource, Batches, Role, scan_checked},
    table::arrow_error,
    time::EventTime,
};
use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute,
    datatypes::{
        DataType, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
};
use std::{ops::Range, sync::Arc};

/// Splits into the rows that happened before `at`, and those that happened at it or later.
///
/// The time is the column with the role [`EventTime`](Role::EventTime): an Arrow timestamp of any unit. A timestamp
/// without a zone is taken as UTC.
///
/// ```
/// use ml_core::{Dataset, Table, arrow::array::{RecordBatch, TimestampSecondArray}, dataset::Role, split};
/// use std::sync::Arc;
///
/// let times = TimestampSecondArray::from(vec![10, 20, 30]).with_timezone("UTC");
/// let batch = RecordBatch::try_from_iter([("at", Arc::new(times) as _)]).unwrap();
/// let data = Dataset::new(Table::from(batch)).role("at", Role::EventTime)?;
///
/// let (train, test) = split::by_time(&data, "1970-01-01T00:00:20Z".parse()?)?;
/// assert_eq!((train.to_table()?.rows(), test.to_table()?.rows()), (1, 2));
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when no column has the role or it holds no timestamps; a scan gives
/// it, naming the column, when a row has no time.
pub fn by_time(data: &Dataset, at: EventTime) -> Result<(Dataset, Dataset)> {
    Ok((within(data, None, Some(at))?, within(data, Some(at), None)?))
}

/// Keeps the rows that happened in a span: from its start on, and before its end.
///
/// # Errors
/// As [`by_time`].
pub fn between(data: &Dataset, span: Range<EventTime>) -> Result<Dataset> {
    within(data, Some(span.start), Some(span.end))
}

/// Splits at random: each row goes to the first part with probability `fraction`, else to the second.
///
/// The choice follows from the seed and the position of the row, not from how the rows are cut into batches.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the fraction is not a number from 0 to 1.
pub fn random(data: &Dataset, fraction: f64, seed: Seed) -> Result<(Dataset, Dataset)> {
    if !(0.0..=1.0).contains(&fraction) {
        return Err(Error::invalid_input("a fraction is a number from 0 to 1").with("fraction", fraction));
    }
    let part = |first| part_of(data, Keep::Random { fraction, seed, first });
    Ok((part(true)?, part(false)?))
}

fn within(data: &Dataset, from: Option<EventTime>, before: Option<EventTime>) -> Result<Dataset> {
    let column = data.the(Role::EventTime)?;
    let schema = data.schema();
    let at = schema.index_of(&column).map_err(arrow_error)?;
    let got = schema.field(at).data_type();
    if !matches!(got, DataType::Timestamp(..)) {
        return Err(Error::invalid_input("the event time is not a timestamp").with("column", column).with("type", got));
    }
    part_of(data, Keep::Time { at, from, before })
}

fn part_of(data: &Dataset, keep: Keep) -> Result<Dataset> {
    data.with_source(Part { whole: data.source().clone(), keep })
}

/// Some rows of another source.
#[derive(Debug)]
struct Part {
    whole: Arc<dyn BatchSource>,
    keep: Keep,
}

#[derive(Debug, Clone, Copy)]
enum Keep {
    Time { at: usize, from: Option<EventTime>, before: Option<EventTime> },
    Random { fraction: f64, seed: Seed, first: bool },
}

impl BatchSource for Part {
    fn schema(&self) -> SchemaRef {
        self.whole.schema()
    }

    fn scan(&self) -> Result<Batches<'_>> {
        let batches = scan_checked(self.whole.as_ref())?;
        Ok(match self.keep {
            Keep::Time { at, from, before } => Box::new(batches.map(move |batch| {
                let batch = batch?;
                let inside = |time: &EventTime| {
                    from.is_none_or(|from| *time >= from) && before.is_none_or(|before| *time < before)
                };
                let mask = event_times(batch.column(at).as_ref())
                    .map_err(|error| error.with("column", batch.schema_ref().field(at).name()))?
                    .iter()
                    .map(|time| Some(inside(time)))
                    .collect();
                filter(&batch, &mask)
            })),
            Keep::Random { fraction, seed, first } => {
                let mut stream = seed.stream("split.random");
                Box::new(batches.map(move |batch| {
                    let batch = batch?;
                    let mask = (0..batch.num_rows()).map(|_| Some((stream.next_f64() < fraction) == first)).collect();
                    filter(&batch, &mask)
                }))
            }
        })
    }
}

fn filter(batch: &RecordBatch, mask: &BooleanArray) -> Result<RecordBatch> {
    compute::filter_record_batch(batch, mask).map_err(arrow_error)
}

/// Timestamps of any unit as event times, rounded down to microseconds.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the array holds no timestamps, one of them is null, or one is
/// too far away to be told in microseconds.
pub fn event_times(array: &dyn Array) -> Result<Vec<EventTime>> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(Error::invalid_input("a column holds no timestamps").with("type", array.data_type()));
    };
    if array.null_count() > 0 {
        return Err(Error::invalid_input("a row has no event time"));
    }
    let scaled = |values: &[i64], factor: i64| {
        values
            .iter()
            .map(|value| value.checked_mul(factor).map(EventTime::from_micros))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Error::invalid_input("a timestamp is too far away to be told in microseconds"))
    };
    match unit {
        TimeUnit::Second => scaled(array.as_primitive::<TimestampSecondType>().values(), 1_000_000),
        TimeUnit::Millisecond => scaled(array.as_primitive::<TimestampMillisecondType>().values(), 1_000),
        TimeUnit::Microsecond => scaled(array.as_primitive::<TimestampMicrosecondType>().values(), 1),
        TimeUnit::Nanosecond => Ok(array
            .as_primitive::<TimestampNanosecondType>()
            .values()
            .iter()
            .map(|nanos| EventTime::from_micros(nanos.div_euclid(1_000)))
            .collect()),
    }
}
