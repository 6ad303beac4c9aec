//! The point-in-time join: each label gets the feature row that was valid and known at its own time.

mod ids;

use crate::{
    FeatureView,
    schema::{self, Rounding},
};
use ids::{ABSENT, KeyIds};
use ml_core::{
    Error, Result, Table,
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array},
        compute::{interleave, take},
        datatypes::{DataType, TimestampMicrosecondType},
    },
    id::FeatureName,
    table::arrow_error,
    time::EventTime,
};
use std::{fmt, ops::Range};

/// A join of one view's rows to a spine, fed batch by batch.
///
/// For a spine row with key *k* and label time *t*, the row of the view that is joined is, of all rows with key *k* that
///
/// 1. happened at or before *t*: `event_time <= t`,
/// 2. were known at or before *t*: `created_time <= t`, where the view has a created time,
///
/// the one with the latest event time; of several, the one with the latest created time; of several, the one that was
/// pushed last. It counts only
///
/// 3. up to an age of the view's TTL, inclusive: `t - event_time <= ttl`.
///
/// So a correction replaces what it corrects from the moment it was known and not before, and late data is seen only by
/// labels after its arrival. A spine row without key, or without such a row, gets nulls.
///
/// Rows may be pushed in any order of time. Memory grows with the spine, not with the rows: each row can first be seen by
/// the label of its key next after `max(event_time, created_time)`, so only the best row for each such place is kept, and
/// [`finish`](Self::finish) carries the best forward along the labels of a key. That is exact also with corrections, since
/// the rows that a label may see only grow with its time, and the order among them does not depend on it.
///
/// ```
/// use ml_core::{Table, arrow::{array::{Float64Array, RecordBatch, StringArray, TimestampSecondArray}, datatypes::DataType}};
/// use ml_features::{Entity, FeatureView, PointInTimeJoin};
/// use std::sync::Arc;
///
/// let airport = Entity::new("airport".parse()?, [("origin", DataType::Utf8)])?;
/// let weather = FeatureView::new("weather".parse()?, airport, "hour", [("wind", DataType::Float64)])?;
/// let origins = || Arc::new(StringArray::from(vec!["JFK", "JFK"])) as _;
/// let times = |seconds: [i64; 2]| Arc::new(TimestampSecondArray::from(seconds.to_vec()).with_timezone("UTC")) as _;
///
/// let spine = RecordBatch::try_from_iter([("origin", origins()), ("departure", times([5000, 9000]))]).unwrap();
/// let rows = RecordBatch::try_from_iter([
///     ("origin", origins()),
///     ("hour", times([3600, 7200])),
///     ("wind", Arc::new(Float64Array::from(vec![3.0, 9.0])) as _),
/// ]).unwrap();
///
/// let mut join = PointInTimeJoin::new(&weather, &["wind".parse()?], &Table::from(spine), "departure")?;
/// join.push(&rows)?;
/// assert_eq!(*join.finish()?[0], Float64Array::from(vec![3.0, 9.0]));
/// # Ok::<(), ml_core::Error>(())
/// ```
pub struct PointInTimeJoin {
    view: FeatureView,
    /// Places of the columns to read, in the view's schema: keys, times, then the features wanted.
    columns: Vec<usize>,
    ids: KeyIds,
    /// Where the labels of each key start in `labels`; one more at the end.
    starts: Vec<usize>,
    /// Label times, by key and then time.
    labels: Vec<i64>,
    /// The spine row of each label.
    spine_rows: Vec<u32>,
    /// For each label, the best of the rows that it is the first to see.
    best: Vec<Candidate>,
    /// The values of candidates, one column a feature. Rows that lost their place are dropped now and then.
    kept: Vec<Vec<ArrayRef>>,
    kept_rows: usize,
    /// Rows of the spine, with those that have no key.
    rows: usize,
}

/// A row that may be joined, and where its values are kept.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    event: i64,
    created: i64,
    chunk: u32,
    row: u32,
}

impl Candidate {
    /// Loses against every row.
    const NONE: Self = Self { event: i64::MIN, created: i64::MIN, chunk: u32::MAX, row: 0 };
    /// Stands for the chunk of the batch being pushed.
    const PENDING: u32 = u32::MAX - 1;

    fn is_some(self) -> bool {
        self.chunk != Self::NONE.chunk
    }

    /// Whether this one, pushed later, takes the place of `other`.
    fn supersedes(self, other: Self) -> bool {
        (self.event, self.created) >= (other.event, other.created)
    }

    fn place(self) -> (usize, usize) {
        (self.chunk as usize, self.row as usize)
    }
}

impl fmt::Debug for PointInTimeJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointInTimeJoin")
            .field("view", self.view.name())
            .field("rows", &self.rows)
            .field("kept_rows", &self.kept_rows)
            .finish_non_exhaustive()
    }
}

impl PointInTimeJoin {
    /// Sorts the spine by key and time. Label times in nanoseconds are rounded down.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view has no such feature,
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a key column of the spine is missing or has another type than
    /// the entity's, or a label time is missing, null or without a zone.
    pub fn new(view: &FeatureView, features: &[FeatureName], spine: &Table, label_time: &str) -> Result<Self> {
        let features = features.iter().map(|name| view.feature(name)).collect::<Result<Vec<_>>>()?;
        let rows = spine.rows();
        let count =
            u32::try_from(rows).map_err(|_| Error::invalid_input("a spine of too many rows").with("rows", rows))?;

        let mut ids = KeyIds::new(view.entity());
        let (mut row_ids, mut row_times) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        // A spine without batches is checked too.
        let empty = RecordBatch::new_empty(spine.schema().clone());
        for batch in std::iter::once(&empty).chain(spine.batches()) {
            ids.assign(&view.entity().columns(batch)?, &mut row_ids);
            let times = schema::column(batch, label_time)?;
            let times = schema::micros(times, Rounding::Down).map_err(|error| error.with("column", label_time))?;
            if times.null_count() > 0 {
                return Err(Error::invalid_input("a label time is null").with("column", label_time));
            }
            row_times.extend_from_slice(times.values());
        }

        let mut starts = vec![0; ids.len() + 1];
        for &id in row_ids.iter().filter(|&&id| id != ABSENT) {
            starts[id as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut sorted = vec![(0_i64, 0_u32); starts[ids.len()]];
        for (row, (&id, &time)) in (0..count).zip(row_ids.iter().zip(&row_times)).filter(|(_, (id, _))| **id != ABSENT)
        {
            let place = &mut next[id as usize];
            sorted[*place] = (time, row);
            *place += 1;
        }
        for key in starts.windows(2) {
            sorted[key[0]..key[1]].sort_unstable();
        }
        let (labels, spine_rows): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        Ok(Self {
            columns: view.column_places(&features),
            best: vec![Candidate::NONE; labels.len()],
            view: view.clone(),
            ids,
            starts,
            labels,
            spine_rows,
            kept: Vec::new(),
            kept_rows: 0,
            rows,
        })
    }

    /// The event times that rows must have to be joined to any label: others need not be pushed.
    #[must_use]
    pub fn reach(&self) -> Range<EventTime> {
        match (self.labels.iter().min(), self.labels.iter().max()) {
            (Some(&first), Some(&last)) => {
                EventTime::from_micros(self.oldest(first))..EventTime::from_micros(last.saturating_add(1))
            }
            _ => EventTime::MIN..EventTime::MIN,
        }
    }

    /// Takes in rows of the view. Of rows with equal times, those pushed later win.
    ///
    /// # Errors
    /// As [`FeatureView::conform`]; columns of features that were not asked for may be missing.
    pub fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.view.conform_columns(rows, &self.columns)?;
        let first_time = self.view.entity().keys().len();
        let first_feature = first_time + 1 + usize::from(self.view.created_time().is_some());
        let events = rows.column(first_time).as_primitive::<TimestampMicrosecondType>().values();
        let created = self
            .view
            .created_time()
            .map(|_| rows.column(first_time + 1).as_primitive::<TimestampMicrosecondType>().values());

        let ids = self.ids.find(&self.view.entity().columns(&rows)?);
        let mut changed = Vec::new();
        for (row, (&id, &event)) in ids.iter().zip(events).enumerate().filter(|(_, (id, _))| **id != ABSENT) {
            let (start, end) = (self.starts[id as usize], self.starts[id as usize + 1]);
            let created = created.map_or(i64::MIN, |created| created[row]);
            let visible = event.max(created);
            let at = start + self.labels[start..end].partition_point(|&label| label < visible);
            // A row too old for the first label that sees it is too old for all later ones.
            if at == end || event < self.oldest(self.labels[at]) {
                continue;
            }
            let row = u32::try_from(row).map_err(|_| Error::invalid_input("a batch of too many rows"))?;
            let candidate = Candidate { event, created, chunk: Candidate::PENDING, row };
            if candidate.supersedes(self.best[at]) {
                self.best[at] = candidate;
                changed.push(at);
            }
        }
        self.keep(&changed, &rows.columns()[first_feature..])
    }

    /// Brings the values: one column a feature asked for, in the order of the spine.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a column of text is too long for one array.
    pub fn finish(self) -> Result<Vec<ArrayRef>> {
        let nothing = (self.kept.len(), 0);
        let mut places = vec![nothing; self.rows];
        for key in self.starts.windows(2) {
            let mut best = Candidate::NONE;
            for at in key[0]..key[1] {
                if self.best[at].is_some() && self.best[at].supersedes(best) {
                    best = self.best[at];
                }
                if best.is_some() && best.event >= self.oldest(self.labels[at]) {
                    places[self.spine_rows[at] as usize] = best.place();
                }
            }
        }
        self.gather(&places)
    }

    /// Keeps the values of the rows of a batch that won a place.
    fn keep(&mut self, changed: &[usize], columns: &[ArrayRef]) -> Result<()> {
        let chunk = u32::try_from(self.kept.len())
            .ok()
            .filter(|chunk| *chunk < Candidate::PENDING)
            .ok_or_else(|| Error::resource_exhausted("too many batches were pushed"))?;
        let mut rows = Vec::with_capacity(changed.len());
        for &at in changed {
            // A place that changed twice is pending once.
            let best = &mut self.best[at];
            if best.chunk == Candidate::PENDING {
                let row = u32::try_from(rows.len()).expect("no more than the rows of a batch");
                rows.push(std::mem::replace(&mut best.row, row));
                best.chunk = chunk;
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.kept_rows += rows.len();
        let rows = UInt32Array::from(rows);
        let taken = columns.iter().map(|column| take(column, &rows, None).map_err(arrow_error));
        self.kept.push(taken.collect::<Result<_>>()?);
        if self.kept_rows > SLACK * self.labels.len() + SMALL { self.compact() } else { Ok(()) }
    }

    /// Drops the values of rows that have lost their place since.
    fn compact(&mut self) -> Result<()> {
        let places: Vec<_> = self.best.iter().filter(|best| best.is_some()).map(|best| best.place()).collect();
        let columns = self.gather(&places)?;
        for (row, best) in (0..).zip(self.best.iter_mut().filter(|best| best.is_some())) {
            (best.chunk, best.row) = (0, row);
        }
        self.kept = vec![columns];
        self.kept_rows = places.len();
        Ok(())
    }

    /// The values at some places; the place after the last chunk holds null.
    fn gather(&self, places: &[(usize, usize)]) -> Result<Vec<ArrayRef>> {
        let first_feature = self.view.entity().keys().len() + 1 + usize::from(self.view.created_time().is_some());
        let gather_one = |(at, &column): (usize, &usize)| {
            let dtype: &DataType = self.view.schema().field(column).data_type();
            let null = new_null_array(dtype, 1);
            let mut chunks: Vec<&dyn Array> = self.kept.iter().map(|chunk| chunk[at].as_ref()).collect();
            chunks.push(&null);
            interleave(&chunks, places).map_err(arrow_error)
        };
        self.columns[first_feature..].iter().enumerate().map(gather_one).collect()
    }

    /// The earliest event time that still holds at a label.
    fn oldest(&self, label: i64) -> i64 {
        self.view.ttl().map_or(i64::MIN, |ttl| EventTime::from_micros(label).saturating_sub(ttl).as_micros())
    }
}

/// How many rows a label may cost before the lost ones are dropped: more saves time, fewer save memory.
const SLACK: usize = 3;
/// Rows that may be kept in any case.
const SMALL: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entity;
    use ml_core::arrow::{
        array::{Int64Array, StringArray, TimestampSecondArray},
        datatypes::Int64Type,
    };
    use std::sync::Arc;

    #[test]
    fn rows_that_lost_their_place_are_dropped() {
        let entity = Entity::new("e".parse().expect("name"), [("key", DataType::Int64)]).expect("valid");
        let features = [("value", DataType::Int64), ("text", DataType::Utf8)];
        let view = FeatureView::new("v".parse().expect("name"), entity, "at", features).expect("valid");
        let keys = || Arc::new(Int64Array::from_iter_values(0..1000)) as ArrayRef;
        let times =
            |second: i64| Arc::new(TimestampSecondArray::from(vec![second; 1000]).with_timezone("UTC")) as ArrayRef;
        let spine = RecordBatch::try_from_iter([("key", keys()), ("label", times(1000))]).expect("batch");
        let names = ["text", "value"].map(|name| name.parse().expect("name"));
        let mut join = PointInTimeJoin::new(&view, &names, &Table::from(spine), "label").expect("fits");
        for round in 0..200_i64 {
            let values = Arc::new(Int64Array::from_iter_values((0..1000).map(|key| key * 1000 + round))) as ArrayRef;
            let text =
                Arc::new(StringArray::from_iter((0..1000).map(|key| (key % 2 == 0).then(|| format!("{round}")))));
            let rows = [("key", keys()), ("at", times(round)), ("value", values), ("text", text as ArrayRef)];
            join.push(&RecordBatch::try_from_iter(rows).expect("batch")).expect("fits");
            assert!(join.kept_rows <= SLACK * 1000 + SMALL);
        }
        assert!(join.kept.len() < 200, "dropped at least once");
        let columns = join.finish().expect("small");
        assert!(columns[1].as_primitive::<Int64Type>().iter().eq((0..1000).map(|key| Some(key * 1000 + 199))));
        assert!(columns[0].as_string::<i32>().iter().eq((0..1000).map(|key| (key % 2 == 0).then_some("199"))));
    }
}
