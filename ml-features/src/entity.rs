//! Entities: what features are about.

use crate::schema;
use ml_core::{
    Error, Result,
    arrow::{
        array::{ArrayRef, RecordBatch},
        datatypes::DataType,
    },
    id::EntityName,
};
use serde::{Deserialize, Serialize};

/// What features are about: a name and one or more typed key columns.
///
/// Keys may be booleans, integers, text ([`DataType::Utf8`]) and dates ([`DataType::Date32`]). A key of any other type
/// than the declared one is an error wherever it turns up: an `Int64` never silently misses the rows of an `Int32`.
///
/// ```
/// use ml_core::arrow::datatypes::DataType;
/// use ml_features::Entity;
///
/// let airport_hour = Entity::new("departure".parse()?, [("origin", DataType::Utf8), ("hour", DataType::Int32)])?;
/// assert_eq!(airport_hour.keys().len(), 2);
/// assert!(Entity::new("sensor".parse()?, [("position", DataType::Float64)]).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Entity {
    name: EntityName,
    keys: Vec<KeyColumn>,
}

/// One key column of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyColumn {
    /// The name of the column, in feature rows and in spines alike.
    pub name: String,
    /// The Arrow type of the column.
    #[serde(rename = "type", with = "schema::text")]
    pub dtype: DataType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: EntityName,
    keys: Vec<KeyColumn>,
}

impl TryFrom<Unchecked> for Entity {
    type Error = Error;
    fn try_from(unchecked: Unchecked) -> Result<Self> {
        Self::new(unchecked.name, unchecked.keys.into_iter().map(|key| (key.name, key.dtype)))
    }
}

impl Entity {
    /// Keeps a name and key columns.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) without keys, with two of one name, or with a type that keys
    /// cannot have.
    pub fn new<N: Into<String>>(name: EntityName, keys: impl IntoIterator<Item = (N, DataType)>) -> Result<Self> {
        let keys: Vec<_> = keys.into_iter().map(|(name, dtype)| KeyColumn { name: name.into(), dtype }).collect();
        if keys.is_empty() {
            return Err(Error::invalid_input("an entity without keys").with("entity", name));
        }
        for (i, key) in keys.iter().enumerate() {
            if key.name.is_empty() || keys[..i].iter().any(|earlier| earlier.name == key.name) {
                return Err(Error::invalid_input("the keys of an entity need names of their own")
                    .with("entity", name)
                    .with("key", key.name.escape_debug()));
            }
            if schema::key_tag(&key.dtype).is_none() {
                return Err(Error::invalid_input("a key cannot have this type")
                    .with("entity", name)
                    .with("key", key.name.escape_debug())
                    .with("type", &key.dtype));
            }
        }
        Ok(Self { name, keys })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &EntityName {
        &self.name
    }

    /// The key columns, in order.
    #[must_use]
    pub fn keys(&self) -> &[KeyColumn] {
        &self.keys
    }

    /// The key columns of some rows, in the order of the keys.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when a key column is missing or of another type.
    pub fn columns<'a>(&self, rows: &'a RecordBatch) -> Result<Vec<&'a ArrayRef>> {
        self.keys
            .iter()
            .map(|key| schema::typed_column(rows, &key.name, &key.dtype).map_err(|e| e.with("entity", &self.name)))
            .collect()
    }
}
