//! Feature views: groups of features of one entity that are stored and read together.

use crate::{
    Entity,
    schema::{self, Rounding},
};
use ml_core::{
    Error, Result,
    arrow::{
        array::{Array, ArrayRef, RecordBatch},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    id::{FeatureName, ViewName},
    table::arrow_error,
    time::EventTime,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// One feature of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name of the column.
    pub name: FeatureName,
    /// The Arrow type of the column.
    #[serde(rename = "type", with = "schema::text")]
    pub dtype: DataType,
}

/// The definition of a group of features: whose they are, when they hold, what they are.
///
/// Features may be booleans, integers, floats, text, binary, dates and times with a zone. NaN and infinities are values like
/// any other and come back as they were written; nulls are allowed.
///
/// ```
/// use ml_core::arrow::datatypes::DataType;
/// use ml_features::{Entity, FeatureView};
/// use std::time::Duration;
///
/// let airport = Entity::new("airport".parse()?, [("origin", DataType::Utf8)])?;
/// let features = [("wind_speed", DataType::Float64), ("visibility", DataType::Float64)];
/// let weather = FeatureView::new("weather".parse()?, airport, "time_hour", features)?
///     .with_created_time("published")?
///     .with_ttl(Duration::from_secs(3 * 3600))
///     .with_owner("flight operations")
///     .with_tag("source", "NOAA");
/// let names: Vec<_> = weather.schema().fields().iter().map(|field| field.name().as_str()).collect();
/// assert_eq!(names, ["origin", "time_hour", "published", "wind_speed", "visibility"]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Definition", into = "Definition")]
pub struct FeatureView {
    definition: Definition,
    schema: SchemaRef,
}

/// What is written down of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: ViewName,
    entity: Entity,
    event_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_micros: Option<u64>,
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

impl TryFrom<Definition> for FeatureView {
    type Error = Error;

    fn try_from(definition: Definition) -> Result<Self> {
        let schema = definition.check().map_err(|error| error.with("view", &definition.name))?;
        Ok(Self { definition, schema })
    }
}

impl From<FeatureView> for Definition {
    fn from(view: FeatureView) -> Self {
        view.definition
    }
}

impl Definition {
    /// Checks what is written and lays out the columns: keys, event time, created time, features.
    fn check(&self) -> Result<SchemaRef> {
        if self.features.is_empty() {
            return Err(Error::invalid_input("a view without features"));
        }
        if let Some(feature) = self.features.iter().find(|feature| !schema::is_feature_type(&feature.dtype)) {
            return Err(Error::invalid_input("a feature cannot have this type")
                .with("feature", &feature.name)
                .with("type", &feature.dtype));
        }
        let keys = self.entity.keys().iter().map(|key| Field::new(&key.name, key.dtype.clone(), false));
        let times = std::iter::once(&self.event_time).chain(&self.created_time);
        let times = times.map(|name| Field::new(name, schema::time_type(), false));
        let features = self.features.iter().map(|f| Field::new(f.name.as_str(), f.dtype.clone(), true));
        let fields: Vec<Field> = keys.chain(times).chain(features).collect();
        for (i, field) in fields.iter().enumerate() {
            if field.name().is_empty() || fields[..i].iter().any(|earlier| earlier.name() == field.name()) {
                return Err(Error::invalid_input("the columns of a view need names of their own")
                    .with("column", field.name().escape_debug()));
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

impl FeatureView {
    /// Defines a view: its entity, the column of its event times and its features.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) without features, with a feature of a type that features cannot
    /// have, with a name that is no feature name, or when two columns have one name.
    pub fn new<N: AsRef<str>>(
        name: ViewName,
        entity: Entity,
        event_time: impl Into<String>,
        features: impl IntoIterator<Item = (N, DataType)>,
    ) -> Result<Self> {
        let features = features
            .into_iter()
            .map(|(name, dtype)| Ok(Feature { name: FeatureName::new(name)?, dtype }))
            .collect::<Result<_>>()?;
        Self::try_from(Definition {
            name,
            entity,
            event_time: event_time.into(),
            created_time: None,
            ttl_micros: None,
            features,
            owner: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
        })
    }

    /// Names the column that tells when a row became known.
    ///
    /// A row is then joined only to labels at or after that time, and of rows of one event time the one known last wins.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when another column has the name.
    pub fn with_created_time(mut self, column: impl Into<String>) -> Result<Self> {
        self.definition.created_time = Some(column.into());
        Self::try_from(self.definition)
    }

    /// Sets how long a row holds: at an age of exactly `ttl` it does, a microsecond later it does not. Without it, forever.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.definition.ttl_micros = Some(u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX));
        self
    }

    /// Names who answers for the view.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.definition.owner = owner.into();
        self
    }

    /// Says what the view is.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.definition.description = description.into();
        self
    }

    /// Adds a tag, in place of an earlier one of that name.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.definition.tags.insert(name.into(), value.into());
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &ViewName {
        &self.definition.name
    }

    /// Whom the features are about.
    #[must_use]
    pub fn entity(&self) -> &Entity {
        &self.definition.entity
    }

    /// The column that tells when a row happened.
    #[must_use]
    pub fn event_time(&self) -> &str {
        &self.definition.event_time
    }

    /// The column that tells when a row became known, if there is one.
    #[must_use]
    pub fn created_time(&self) -> Option<&str> {
        self.definition.created_time.as_deref()
    }

    /// How long a row holds; forever if nothing is said.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.definition.ttl_micros.map(Duration::from_micros)
    }

    /// The features, in order.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.definition.features
    }

    /// Who answers for the view; empty if nobody is named.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.definition.owner
    }

    /// What the view is; empty if nothing is said.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.definition.description
    }

    /// The tags by name.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.definition.tags
    }

    /// The columns of stored rows: keys, event time, created time if there is one, features. Times are UTC microseconds.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The place of a feature among the features.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the view has no such feature.
    pub fn feature(&self, name: &FeatureName) -> Result<usize> {
        self.features().iter().position(|feature| feature.name == *name).ok_or_else(|| {
            let names: Vec<_> = self.features().iter().map(|feature| feature.name.as_str()).collect();
            Error::not_found("the view has no such feature")
                .with("view", self.name())
                .with("feature", name)
                .with("features", names.join(", "))
        })
    }

    /// Whether a row of an event time holds at a time: it has happened and is no older than the TTL.
    #[must_use]
    pub fn holds(&self, event: EventTime, at: EventTime) -> bool {
        event <= at && self.ttl().is_none_or(|ttl| event >= at.saturating_sub(ttl))
    }

    /// Brings rows to [`FeatureView::schema`]: picks the columns by name and the times in UTC microseconds.
    ///
    /// Columns that the view does not name are left out. Times in nanoseconds are rounded up, so that no row seems to
    /// have happened earlier than it did.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming view and column, when a column is missing or has another
    /// type, a key or time is null, or a time has no zone.
    pub fn conform(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        self.conform_columns(rows, &all)
    }

    /// As [`FeatureView::conform`], with some of the columns, given by their places in the schema.
    pub(crate) fn conform_columns(&self, rows: &RecordBatch, places: &[usize]) -> Result<RecordBatch> {
        let is_time = |name: &str| name == self.event_time() || Some(name) == self.created_time();
        let conform_one = |&at: &usize| {
            let field = self.schema.field(at);
            let column: ArrayRef = if is_time(field.name()) {
                let times = schema::column(rows, field.name())?;
                Arc::new(schema::micros(times, Rounding::Up).map_err(|error| error.with("column", field.name()))?)
            } else {
                schema::typed_column(rows, field.name(), field.data_type())?.clone()
            };
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(Error::invalid_input("a key or time of a feature row is null")
                    .with("column", field.name())
                    .with("nulls", column.null_count()));
            }
            Ok(column)
        };
        let schema = self.schema.project(places).map_err(arrow_error)?;
        places
            .iter()
            .map(conform_one)
            .collect::<Result<Vec<_>>>()
            .and_then(|columns| RecordBatch::try_new(Arc::new(schema), columns).map_err(arrow_error))
            .map_err(|error| error.with("view", self.name()))
    }

    /// The places in the schema of the keys, the times and some of the features.
    pub(crate) fn column_places(&self, features: &[usize]) -> Vec<usize> {
        let first_feature = self.schema.fields().len() - self.features().len();
        (0..first_feature).chain(features.iter().map(|feature| first_feature + feature)).collect()
    }

    /// Checks that `next` can take the place of this definition: rows and requests of this one must keep their meaning.
    ///
    /// Owner, description, tags and TTL may change, and features may be added at the end; rows from before hold null there.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict), naming every other difference.
    pub fn check_successor(&self, next: &Self) -> Result<()> {
        let (old, new) = (&self.definition, &next.definition);
        let mut changes = Vec::new();
        let mut changed = |what: &str, old: &str, new: &str| {
            if old != new {
                changes.push(format!("{what} was {old} and would be {new}"));
            }
        };
        let key = |entity: &Entity| {
            entity.keys().iter().map(|key| format!("{} {}", key.name, key.dtype)).collect::<Vec<_>>().join(", ")
        };
        let feature = |feature: Option<&Feature>| feature.map_or("none".into(), |f| format!("{} {}", f.name, f.dtype));
        changed("the entity", old.entity.name().as_str(), new.entity.name().as_str());
        changed("the key", &key(&old.entity), &key(&new.entity));
        changed("the event time", &old.event_time, &new.event_time);
        let created = |definition: &Definition| definition.created_time.clone().unwrap_or("none".into());
        changed("the created time", &created(old), &created(new));
        for (at, was) in old.features.iter().enumerate() {
            changed(&format!("feature {}", at + 1), &feature(Some(was)), &feature(new.features.get(at)));
        }
        if changes.is_empty() {
            Ok(())
        } else {
            Err(Error::conflict("a view cannot change this way; give the new one a name of its own")
                .with("view", &old.name)
                .with("changes", changes.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::ErrorKind;

    fn entity(dtype: DataType) -> Entity {
        Entity::new("airport".parse().expect("name"), [("origin", dtype)]).expect("valid")
    }

    fn view(features: &[(&str, DataType)]) -> Result<FeatureView> {
        FeatureView::new("weather".parse()?, entity(DataType::Utf8), "hour", features.iter().cloned())
    }

    #[test]
    fn definitions_that_cannot_hold_are_refused() {
        assert!(view(&[]).is_err());
        assert!(view(&[("origin", DataType::Float64)]).is_err(), "a key has the name");
        assert!(view(&[("wind", DataType::Float64), ("wind", DataType::Int64)]).is_err());
        assert!(view(&[("wind speed", DataType::Float64)]).is_err(), "no feature name");
        assert!(view(&[("wind", DataType::Float16)]).is_err());
        let view = view(&[("wind", DataType::Float64)]).expect("valid");
        assert!(view.with_created_time("hour").is_err());
    }

    #[test]
    fn json_keeps_the_definition_and_refuses_a_broken_one() {
        let view =
            view(&[("wind", DataType::Float64)]).expect("valid").with_ttl(Duration::from_secs(60)).with_tag("a", "b");
        let json = serde_json::to_string(&view).expect("json");
        insta::assert_snapshot!(json, @r#"{"name":"weather","entity":{"name":"airport","keys":[{"name":"origin","type":"Utf8"}]},"event_time":"hour","ttl_micros":60000000,"features":[{"name":"wind","type":"Float64"}],"tags":{"a":"b"}}"#);
        assert_eq!(serde_json::from_str::<FeatureView>(&json).expect("own json"), view);
        assert!(serde_json::from_str::<FeatureView>(&json.replace("Float64", "Float16")).is_err());
        assert!(serde_json::from_str::<FeatureView>(&json.replace("tags", "labels")).is_err());
    }

    #[test]
    fn a_breaking_change_names_every_difference() {
        let old = view(&[("wind", DataType::Float64), ("rain", DataType::Float64)]).expect("valid");
        let new = FeatureView::new(old.name().clone(), entity(DataType::Int64), "time", [("wind", DataType::Float32)])
            .expect("valid");
        let error = old.check_successor(&new).expect_err("breaking");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        insta::assert_snapshot!(error.to_string(), @"a view cannot change this way; give the new one a name of its own (view: weather, changes: the key was origin Utf8 and would be origin Int64; the event time was hour and would be time; feature 1 was wind Float64 and would be wind Float32; feature 2 was rain Float64 and would be none)");
    }

    #[test]
    fn what_readers_do_not_see_may_change() {
        let old = view(&[("wind", DataType::Float64)]).expect("valid");
        let new = view(&[("wind", DataType::Float64), ("rain", DataType::Float64)]).expect("valid");
        old.check_successor(&new.with_ttl(Duration::ZERO).with_owner("weather desk")).expect("compatible");
    }
}
