//! Keys and rows as bytes: what an online store holds.

use crate::{
    Entity, FeatureView,
    schema::{self, with_fixed_width},
};
use ml_core::{
    Error, Result,
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, StringArray,
            TimestampMicrosecondArray,
        },
        datatypes::{ArrowPrimitiveType, DataType, TimestampMicrosecondType},
    },
    time::{CreatedTime, EventTime},
};
use std::{fmt, sync::Arc};

/// The key of one entity: its typed values in one canonical form, so that equal keys are equal bytes and keys of
/// different types never are.
///
/// ```
/// use ml_core::arrow::{array::{Int32Array, RecordBatch}, datatypes::DataType};
/// use ml_features::{Entity, EntityKey};
/// use std::sync::Arc;
///
/// let customer = Entity::new("customer".parse()?, [("id", DataType::Int32)])?;
/// let rows = RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![Some(7), None])) as _)]).unwrap();
/// let keys = EntityKey::encode(&customer, &rows)?;
/// assert!(keys[0].is_some() && keys[1].is_none());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(Arc<[u8]>);

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityKey({})", self.0.escape_ascii())
    }
}

impl EntityKey {
    /// Reads the keys of rows: one a row, in order; `None` where a key column is null.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a key column is missing or of another type.
    pub fn encode(entity: &Entity, rows: &RecordBatch) -> Result<Vec<Option<Self>>> {
        let columns = entity.columns(rows)?;
        let prefix = Self::prefix(entity);
        let mut keys = vec![prefix; rows.num_rows()];
        for column in &columns {
            append_key_column(&mut keys, column);
        }
        let is_known = |row| columns.iter().all(|column| column.is_valid(row));
        Ok(keys.into_iter().enumerate().map(|(row, key)| is_known(row).then(|| Self(key.into()))).collect())
    }

    /// Checks that this is a key of the entity.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when it was made for keys of other types.
    pub fn check(&self, entity: &Entity) -> Result<()> {
        if self.0.starts_with(&Self::prefix(entity)) {
            Ok(())
        } else {
            Err(Error::invalid_input("a key has other types than the entity's").with("entity", entity.name()))
        }
    }

    /// The canonical bytes, for stores to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of columns and the tag of each one's type.
    fn prefix(entity: &Entity) -> Vec<u8> {
        let tags = entity.keys().iter().map(|key| schema::key_tag(&key.dtype).expect("checked by the entity"));
        let mut prefix = vec![0; 4];
        prefix.extend(tags);
        let count = u32::try_from(entity.keys().len()).expect("few keys");
        prefix[..4].copy_from_slice(&count.to_le_bytes());
        prefix
    }
}

/// Appends the value of each row to its key; what stands under a null does not matter.
fn append_key_column(keys: &mut [Vec<u8>], column: &ArrayRef) {
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean();
            keys.iter_mut().enumerate().for_each(|(row, key)| key.push(u8::from(values.value(row))));
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            for (row, key) in keys.iter_mut().enumerate() {
                let text = values.value(row).as_bytes();
                // With its length first, so that ("ab", "c") and ("a", "bc") differ.
                key.extend(u32::try_from(text.len()).expect("offsets of 32 bits").to_le_bytes());
                key.extend(text);
            }
        }
        fixed => with_fixed_width!(
            fixed,
            T => {
                let values = column.as_primitive::<T>().values();
                keys.iter_mut().zip(values).for_each(|(key, value)| key.extend(value.to_le_bytes()));
            },
            unreachable!("key types are checked by the entity")
        ),
    }
}

/// The features of one entity at one event time, as bytes.
///
/// The form is little-endian and fit to be kept by any store: event time (8 bytes), whether there is a created time (1) and
/// which (8), the number of features (4), one bit a feature that is set where it is null, 8 bytes a feature (the value,
/// or offset and length of text and binary), then text and binary.
///
/// ```
/// use ml_core::arrow::{array::{Float64Array, Int64Array, RecordBatch, TimestampSecondArray}, datatypes::DataType};
/// use ml_features::{Entity, FeatureRow, FeatureView};
/// use std::sync::Arc;
///
/// let sensor = Entity::new("sensor".parse()?, [("id", DataType::Int64)])?;
/// let view = FeatureView::new("weather".parse()?, sensor, "at", [("wind", DataType::Float64)])?;
/// let rows = RecordBatch::try_from_iter([
///     ("id", Arc::new(Int64Array::from(vec![7])) as _),
///     ("at", Arc::new(TimestampSecondArray::from(vec![60]).with_timezone("UTC")) as _),
///     ("wind", Arc::new(Float64Array::from(vec![3.5])) as _),
/// ]).unwrap();
/// let (_key, row) = FeatureRow::encode(&view, &rows)?.remove(0);
/// let read = FeatureRow::from_bytes(row.as_bytes().into())?;
/// let columns = FeatureRow::decode(&view, &[0], &[None, Some(read)])?;
/// assert_eq!(*columns[0], Float64Array::from(vec![None, Some(3.5)]));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureRow {
    event_time: EventTime,
    created_time: Option<CreatedTime>,
    bytes: Arc<[u8]>,
}

const SLOT: usize = 8;
const HEADER: usize = 8 + 1 + 8 + 4;

impl FeatureRow {
    /// Turns rows into keys and bytes, in order. The rows are brought to the view's schema first.
    ///
    /// # Errors
    /// As [`FeatureView::conform`].
    pub fn encode(view: &FeatureView, rows: &RecordBatch) -> Result<Vec<(EntityKey, Self)>> {
        let rows = view.conform(rows)?;
        let keys = EntityKey::encode(view.entity(), &rows)?;
        let first_feature = rows.num_columns() - view.features().len();
        let (columns, features) = rows.columns().split_at(first_feature);
        let times = &columns[view.entity().keys().len()..];
        let events: &TimestampMicrosecondArray = times[0].as_primitive::<TimestampMicrosecondType>();
        let created = times.get(1).map(|column| column.as_primitive::<TimestampMicrosecondType>());

        let count = u32::try_from(features.len()).map_err(|_| Error::invalid_input("too many features"))?;
        let slots = HEADER + features.len().div_ceil(8);
        let mut encoded = vec![vec![0_u8; slots + SLOT * features.len()]; rows.num_rows()];
        for (row, bytes) in encoded.iter_mut().enumerate() {
            bytes[..8].copy_from_slice(&events.value(row).to_le_bytes());
            if let Some(created) = created {
                bytes[8] = 1;
                bytes[9..17].copy_from_slice(&created.value(row).to_le_bytes());
            }
            bytes[17..HEADER].copy_from_slice(&count.to_le_bytes());
        }
        for (at, column) in features.iter().enumerate() {
            for (_, bytes) in encoded.iter_mut().enumerate().filter(|(row, _)| column.is_null(*row)) {
                bytes[HEADER + at / 8] |= 1 << (at % 8);
            }
            encode_feature(&mut encoded, slots + SLOT * at, column)?;
        }
        let rows = encoded.into_iter().enumerate().map(|(row, bytes)| Self {
            event_time: EventTime::from_micros(events.value(row)),
            created_time: created.map(|created| CreatedTime::from_micros(created.value(row))),
            bytes: bytes.into(),
        });
        Ok(keys.into_iter().map(|key| key.expect("conformed rows have keys")).zip(rows).collect())
    }

    /// Reads some features of a view, given by their places, of many rows: one column a feature, one value a row.
    /// Absent rows and features that the view got later are null.
    ///
    /// # Errors
    /// [`Corrupt`](ml_core::ErrorKind::Corrupt) when the bytes are no row of the view.
    ///
    /// # Panics
    /// When the view has no feature at a place.
    pub fn decode(view: &FeatureView, features: &[usize], rows: &[Option<Self>]) -> Result<Vec<ArrayRef>> {
        let decode_one = |&at: &usize| {
            let feature = &view.features()[at];
            decode_feature(&feature.dtype, at, rows)
                .map_err(|error| error.with("view", view.name()).with("feature", &feature.name))
        };
        features.iter().map(decode_one).collect()
    }

    /// Takes over the bytes of [`FeatureRow::as_bytes`].
    ///
    /// # Errors
    /// [`Corrupt`](ml_core::ErrorKind::Corrupt) when they are too few to be a row.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Result<Self> {
        let time = |at: usize| i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if bytes.len() < HEADER {
            return Err(corrupt());
        }
        let event_time = EventTime::from_micros(time(0));
        let created_time = (bytes[8] == 1).then(|| CreatedTime::from_micros(time(9)));
        Ok(Self { event_time, created_time, bytes })
    }

    /// The bytes, for stores to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// When it happened.
    #[must_use]
    pub fn event_time(&self) -> EventTime {
        self.event_time
    }

    /// When it became known, if the view says so.
    #[must_use]
    pub fn created_time(&self) -> Option<CreatedTime> {
        self.created_time
    }

    /// Whether this row, arriving now, takes the place of `current`: the later event time wins, then the later created
    /// time, then the last to arrive.
    #[must_use]
    pub fn supersedes(&self, current: &Self) -> bool {
        (self.event_time, self.created_time) >= (current.event_time, current.created_time)
    }

    /// The slot of a feature: `None` where it is null or the row is from before the feature.
    fn slot(&self, at: usize) -> Result<Option<[u8; SLOT]>> {
        let count = u32::from_le_bytes(self.bytes[17..HEADER].try_into().expect("four bytes"));
        let count = usize::try_from(count).map_err(|_| corrupt())?;
        if at >= count || self.bytes.get(HEADER + at / 8).ok_or_else(corrupt)? & (1 << (at % 8)) != 0 {
            return Ok(None);
        }
        let start = HEADER + count.div_ceil(8) + SLOT * at;
        let slot = self.bytes.get(start..start + SLOT).ok_or_else(corrupt)?;
        Ok(Some(slot.try_into().expect("a slot")))
    }

    /// The text or binary that a slot points to.
    fn heap(&self, slot: [u8; SLOT]) -> Result<&[u8]> {
        let part = |at: usize| u32::from_le_bytes(slot[at..at + 4].try_into().expect("four bytes"));
        let start = usize::try_from(part(0)).map_err(|_| corrupt())?;
        let length = usize::try_from(part(4)).map_err(|_| corrupt())?;
        start.checked_add(length).and_then(|end| self.bytes.get(start..end)).ok_or_else(corrupt)
    }
}

fn encode_feature(rows: &mut [Vec<u8>], slot: usize, column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean();
            rows.iter_mut().enumerate().for_each(|(row, bytes)| bytes[slot] = u8::from(values.value(row)));
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            rows.iter_mut().enumerate().try_for_each(|(row, bytes)| push(bytes, slot, values.value(row).as_bytes()))?;
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            rows.iter_mut().enumerate().try_for_each(|(row, bytes)| push(bytes, slot, values.value(row)))?;
        }
        fixed => with_fixed_width!(
            fixed,
            T => {
                for (bytes, value) in rows.iter_mut().zip(column.as_primitive::<T>().values()) {
                    let value = value.to_le_bytes();
                    bytes[slot..slot + value.len()].copy_from_slice(&value);
                }
            },
            unreachable!("feature types are checked by the view")
        ),
    }
    Ok(())
}

/// Appends text or binary to a row and points the slot to it.
fn push(row: &mut Vec<u8>, slot: usize, value: &[u8]) -> Result<()> {
    let large = |_| Error::resource_exhausted("a feature row is larger than 4 GB");
    let start = u32::try_from(row.len()).map_err(large)?;
    let length = u32::try_from(value.len()).map_err(large)?;
    row[slot..slot + 4].copy_from_slice(&start.to_le_bytes());
    row[slot + 4..slot + SLOT].copy_from_slice(&length.to_le_bytes());
    row.extend(value);
    Ok(())
}

fn decode_feature<'a>(dtype: &DataType, at: usize, rows: &'a [Option<FeatureRow>]) -> Result<ArrayRef> {
    let slots = rows.iter().map(|row| match row {
        Some(row) => Ok(row.slot(at)?.map(|slot| (row, slot))),
        None => Ok(None),
    });
    let heap = |slot: Result<Option<(&'a FeatureRow, _)>>| slot?.map(|(row, slot)| row.heap(slot)).transpose();
    Ok(match dtype {
        DataType::Boolean => {
            let values = slots.map(|slot| Ok(slot?.map(|(_, slot)| slot[0] != 0)));
            Arc::new(values.collect::<Result<BooleanArray>>()?)
        }
        DataType::Utf8 => {
            let text = |bytes| std::str::from_utf8(bytes).map_err(|source| corrupt().with_source(source));
            let values = slots.map(|slot| heap(slot)?.map(text).transpose());
            Arc::new(values.collect::<Result<StringArray>>()?)
        }
        DataType::Binary => Arc::new(slots.map(heap).collect::<Result<BinaryArray>>()?),
        fixed => with_fixed_width!(
            fixed,
            T => {
                type Native = <T as ArrowPrimitiveType>::Native;
                let read = |slot: [u8; SLOT]| {
                    Native::from_le_bytes(slot[..size_of::<Native>()].try_into().expect("no value is wider than a slot"))
                };
                let values = slots.map(|slot| Ok(slot?.map(|(_, slot)| read(slot))));
                let values = values.collect::<Result<PrimitiveArray<T>>>()?;
                Arc::new(values.with_data_type(dtype.clone()))
            },
            unreachable!("feature types are checked by the view")
        ),
    })
}

fn corrupt() -> Error {
    Error::corrupt("the bytes are no row of the view")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::arrow::array::{Int64Array, TimestampSecondArray};
    use proptest::prelude::*;

    fn view(features: &[(&str, DataType)]) -> FeatureView {
        let entity = Entity::new("e".parse().expect("name"), [("k", DataType::Int64)]).expect("valid");
        FeatureView::new("v".parse().expect("name"), entity, "t", features.iter().cloned()).expect("valid")
    }

    fn rows(features: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let length = features[0].1.len();
        let keys = Int64Array::from_iter_values(0..i64::try_from(length).expect("small"));
        let times = TimestampSecondArray::from(vec![60; length]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![("k", Arc::new(keys)), ("t", Arc::new(times))];
        RecordBatch::try_from_iter(columns.into_iter().chain(features)).expect("batch")
    }

    fn encode(view: &FeatureView, rows: &RecordBatch) -> Vec<Option<FeatureRow>> {
        FeatureRow::encode(view, rows).expect("fits").into_iter().map(|(_, row)| Some(row)).collect()
    }

    #[test]
    fn keys_of_two_columns_do_not_run_together() {
        let entity =
            Entity::new("e".parse().expect("name"), [("a", DataType::Utf8), ("b", DataType::Utf8)]).expect("valid");
        let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("a", text(["ab", "a"])), ("b", text(["c", "bc"]))]).expect("batch");
        let keys = EntityKey::encode(&entity, &rows).expect("keys");
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn rows_from_before_a_feature_hold_null_there() {
        let old = view(&[("a", DataType::Int64)]);
        let new = view(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
        let stored = encode(&old, &rows(vec![("a", Arc::new(Int64Array::from(vec![5])))]));
        let columns = FeatureRow::decode(&new, &[1, 0], &stored).expect("compatible");
        assert_eq!((columns[0].null_count(), columns[1].as_ref()), (1, &Int64Array::from(vec![5]) as &dyn Array));
    }

    proptest! {
        #[test]
        fn any_row_comes_back(
            floats in prop::collection::vec(prop::option::of(prop::num::f64::ANY), 1..20),
            text in prop::collection::vec(prop::option::of(".{0,9}"), 20),
            flags in prop::collection::vec(prop::option::of(any::<bool>()), 20),
            small in prop::collection::vec(prop::option::of(any::<i8>()), 20),
        ) {
            let n = floats.len();
            let zone = DataType::Timestamp(ml_core::arrow::datatypes::TimeUnit::Second, Some("+01:00".into()));
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("f", Arc::new(PrimitiveArray::<ml_core::arrow::datatypes::Float64Type>::from(floats))),
                ("s", Arc::new(StringArray::from(text[..n].to_vec()))),
                ("b", Arc::new(BooleanArray::from(flags[..n].to_vec()))),
                ("x", Arc::new(BinaryArray::from_iter(text[..n].iter().map(|t| t.as_ref().map(String::as_bytes))))),
                ("i", Arc::new(ml_core::arrow::array::Int8Array::from(small[..n].to_vec()))),
                ("t2", Arc::new(TimestampSecondArray::from(vec![-5; n]).with_timezone("+01:00"))),
            ];
            let view = view(&[
                ("f", DataType::Float64), ("s", DataType::Utf8), ("b", DataType::Boolean), ("x", DataType::Binary),
                ("i", DataType::Int8), ("t2", zone),
            ]);
            let batch = rows(columns.clone());
            let back = FeatureRow::decode(&view, &[0, 1, 2, 3, 4, 5], &encode(&view, &batch)).expect("own rows");
            for ((name, written), read) in columns.iter().zip(&back) {
                // Compared as bytes, since NaN is a value here.
                prop_assert_eq!(written.to_data().nulls().map(|n| n.null_count()).unwrap_or(0), read.null_count());
                prop_assert_eq!(format!("{:?}", written), format!("{:?}", read), "{}", name);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let view = view(&[("f", DataType::Float64), ("s", DataType::Utf8), ("x", DataType::Binary)]);
            if let Ok(row) = FeatureRow::from_bytes(bytes.into()) {
                let _ = FeatureRow::decode(&view, &[0, 1, 2], &[Some(row)]);
            }
        }
    }
}
