//! Versions of a registered model.

use crate::limit;
use ml_core::{
    Result,
    id::{Digest, ModelName, RunId, Version},
    time::CreatedTime,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to become a version.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// The digest of the manifest of the bundle.
    pub digest: Digest,
    /// Who registers it: a person or a service.
    pub by: String,
    /// The run that trained it.
    pub run: Option<RunId>,
    /// What a reader should know about it.
    pub description: String,
    /// Free facts.
    pub tags: BTreeMap<String, String>,
    /// Names this registration, so that a retry after a lost answer gives the same version and not another one.
    pub idempotency_key: Option<String>,
}

impl NewVersion {
    /// A version of the bundle with this digest, registered by `by`.
    #[must_use]
    pub fn new(digest: Digest, by: impl Into<String>) -> Self {
        Self {
            digest,
            by: by.into(),
            run: None,
            description: String::new(),
            tags: BTreeMap::new(),
            idempotency_key: None,
        }
    }

    /// The same, trained by a run.
    #[must_use]
    pub fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }

    /// The same with another description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The same with one more tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The same under an idempotency key, unique among the registrations of the model.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Checks the texts against [`limit`]. Backends call it before they write.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming the text.
    pub fn check(&self) -> Result<()> {
        limit::check_label("actor", &self.by)?;
        limit::check_text("description", &self.description)?;
        limit::check_tags(&self.tags)?;
        self.idempotency_key.as_deref().map_or(Ok(()), |key| limit::check_label("idempotency key", key))
    }
}

/// A version of a model. Nothing of it ever changes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The model.
    pub name: ModelName,
    /// The number.
    pub version: Version,
    /// The digest of the manifest of the bundle.
    pub digest: Digest,
    /// Who registered it.
    pub by: String,
    /// When it was registered.
    pub created: CreatedTime,
    /// The run that trained it.
    pub run: Option<RunId>,
    /// What a reader should know about it.
    pub description: String,
    /// Free facts.
    pub tags: BTreeMap<String, String>,
}

impl ModelRecord {
    /// The record of what was just registered.
    #[must_use]
    pub fn new(name: ModelName, version: Version, created: CreatedTime, new: NewVersion) -> Self {
        let NewVersion { digest, by, run, description, tags, idempotency_key: _ } = new;
        Self { name, version, digest, by, created, run, description, tags }
    }
}
