//! Dense numbers for keys of any number of columns, so that the join compares integers only.

use crate::{Entity, schema::with_fixed_width};
use ml_core::arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::DataType,
};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

/// The number of a key that is null or was never assigned one.
pub(super) const ABSENT: u32 = u32::MAX;

/// Numbers from 0 for the keys of a spine, in order of appearance.
///
/// Each column numbers its values; the numbers of two columns together number the pairs, and so on along the columns.
pub(super) struct KeyIds {
    columns: Vec<ColumnIds>,
    pairs: Vec<HashMap<u64, u32, Folded>>,
}

enum ColumnIds {
    Fixed(HashMap<u64, u32, Folded>),
    Text(HashMap<Box<str>, u32>),
}

impl KeyIds {
    pub(super) fn new(entity: &Entity) -> Self {
        let folded = Folded::new();
        let column = |dtype: &DataType| match dtype {
            DataType::Utf8 => ColumnIds::Text(HashMap::new()),
            _ => ColumnIds::Fixed(HashMap::with_hasher(folded)),
        };
        Self {
            columns: entity.keys().iter().map(|key| column(&key.dtype)).collect(),
            pairs: vec![HashMap::with_hasher(folded); entity.keys().len() - 1],
        }
    }

    /// How many numbers are assigned.
    pub(super) fn len(&self) -> usize {
        match (self.pairs.last(), &self.columns[0]) {
            (Some(pairs), _) => pairs.len(),
            (None, ColumnIds::Fixed(ids)) => ids.len(),
            (None, ColumnIds::Text(ids)) => ids.len(),
        }
    }

    /// Appends the number of each row's key, new where it is not known. There are no more numbers than rows, which the
    /// caller keeps below [`ABSENT`].
    pub(super) fn assign(&mut self, columns: &[&ArrayRef], into: &mut Vec<u32>) {
        let mut ids = self.columns[0].assign(columns[0]);
        for ((column, values), pairs) in self.columns[1..].iter_mut().zip(&columns[1..]).zip(&mut self.pairs) {
            for (id, other) in ids.iter_mut().zip(column.assign(values)) {
                *id = pair(*id, other).map_or(ABSENT, |pair| number(pairs, pair));
            }
        }
        into.append(&mut ids);
    }

    /// The number of each row's key.
    pub(super) fn find(&self, columns: &[&ArrayRef]) -> Vec<u32> {
        let mut ids = self.columns[0].find(columns[0]);
        for ((column, values), pairs) in self.columns[1..].iter().zip(&columns[1..]).zip(&self.pairs) {
            for (id, other) in ids.iter_mut().zip(column.find(values)) {
                *id = pair(*id, other).and_then(|pair| pairs.get(&pair).copied()).unwrap_or(ABSENT);
            }
        }
        ids
    }
}

impl ColumnIds {
    fn assign(&mut self, values: &ArrayRef) -> Vec<u32> {
        let is_known = |row| values.is_valid(row);
        match self {
            Self::Fixed(ids) => {
                let bits = bits(values).into_iter().enumerate();
                bits.map(|(row, bits)| if is_known(row) { number(ids, bits) } else { ABSENT }).collect()
            }
            Self::Text(ids) => {
                let mut assign_one = |text: &str| {
                    ids.get(text).copied().unwrap_or_else(|| {
                        let id = next_number(ids.len());
                        ids.insert(text.into(), id);
                        id
                    })
                };
                values.as_string::<i32>().iter().map(|text| text.map_or(ABSENT, &mut assign_one)).collect()
            }
        }
    }

    fn find(&self, values: &ArrayRef) -> Vec<u32> {
        match self {
            Self::Fixed(ids) if values.null_count() == 0 => {
                bits(values).iter().map(|bits| ids.get(bits).copied().unwrap_or(ABSENT)).collect()
            }
            Self::Fixed(ids) => {
                let find_one = |(row, bits)| ids.get(&bits).copied().filter(|_| values.is_valid(row)).unwrap_or(ABSENT);
                bits(values).into_iter().enumerate().map(find_one).collect()
            }
            Self::Text(ids) => {
                let find_one = |text: Option<&str>| text.and_then(|text| ids.get(text).copied()).unwrap_or(ABSENT);
                values.as_string::<i32>().iter().map(find_one).collect()
            }
        }
    }
}

fn pair(first: u32, second: u32) -> Option<u64> {
    (first != ABSENT && second != ABSENT).then(|| (u64::from(first) << 32) | u64::from(second))
}

fn number(ids: &mut HashMap<u64, u32, Folded>, value: u64) -> u32 {
    let next = next_number(ids.len());
    *ids.entry(value).or_insert(next)
}

fn next_number(assigned: usize) -> u32 {
    u32::try_from(assigned).expect("no more numbers than rows of the spine")
}

/// Values of one fixed-width type as bits: equal where the values are.
fn bits(values: &ArrayRef) -> Vec<u64> {
    match values.data_type() {
        DataType::Boolean => (0..values.len()).map(|row| u64::from(values.as_boolean().value(row))).collect(),
        fixed => with_fixed_width!(
            fixed,
            T => {
                let widen = |value: &<T as arrow_types::ArrowPrimitiveType>::Native| {
                    let bytes = value.to_le_bytes();
                    let mut wide = [0; 8];
                    wide[..bytes.len()].copy_from_slice(&bytes);
                    u64::from_le_bytes(wide)
                };
                values.as_primitive::<T>().values().iter().map(widen).collect()
            },
            unreachable!("key types are checked by the entity")
        ),
    }
}

/// Hashes one integer by a folded multiplication, several times quicker than the standard hash. The start is random, so
/// that keys cannot be chosen to collide; no result depends on it.
#[derive(Clone, Copy)]
struct Folded(u64);

struct FoldedHasher(u64);

impl Folded {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Folded {
    type Hasher = FoldedHasher;

    fn build_hasher(&self) -> FoldedHasher {
        FoldedHasher(self.0)
    }
}

impl Hasher for FoldedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The fraction of the golden ratio in 64 bits.
        let wide = u128::from(self.0 ^ value) * 0x9E37_79B9_7F4A_7C15;
        let low = u64::try_from(wide & u128::from(u64::MAX)).expect("masked to 64 bits");
        self.0 = low ^ u64::try_from(wide >> 64).expect("the upper half");
    }
}
