//! A registry in the memory of one process: for tests, and for hosts that keep nothing.

use super::{no_number_left, registered_before, unknown_model, unknown_reference};
use crate::{AliasChange, AliasMove, ModelRecord, NewVersion, Registry};
use async_trait::async_trait;
use futures_util::stream;
use ml_core::{
    BoxStream, Result,
    id::{Alias, At, ModelName, ModelRef, Version},
    time::{Clock, SystemClock},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A registry in memory. Clones share it.
///
/// ```
/// use ml_core::id::{Digest, Version};
/// use ml_registry::{MemoryRegistry, NewVersion, Registry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let registry = MemoryRegistry::default();
/// let version = registry.register(&"fraud".parse()?, NewVersion::new(Digest::of("manifest"), "ada")).await?;
/// assert_eq!(version, Version::FIRST);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryRegistry {
    models: Arc<Mutex<BTreeMap<ModelName, Model>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Model {
    /// Version `n` at index `n - 1`.
    versions: Vec<ModelRecord>,
    keys: HashMap<String, Version>,
    /// The index into `history` of the last move of each alias that is set.
    aliases: BTreeMap<Alias, usize>,
    history: Vec<AliasChange>,
}

impl Default for MemoryRegistry {
    fn default() -> Self {
        Self::new(SystemClock)
    }
}

impl MemoryRegistry {
    /// An empty registry that takes its times from `clock`.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self { models: Arc::default(), clock: Arc::new(clock) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, Model>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list<T: Send + 'static>(
        &self,
        name: &ModelName,
        rows: impl FnOnce(&Model) -> Vec<T>,
    ) -> BoxStream<'static, Result<T>> {
        let rows = match self.lock().get(name) {
            Some(model) => rows(model).into_iter().map(Ok).collect(),
            None => vec![Err(unknown_model(name))],
        };
        Box::pin(stream::iter(rows))
    }
}

impl Model {
    fn find(&self, version: Version) -> Option<&ModelRecord> {
        self.versions.get(usize::try_from(version.number()).ok()? - 1)
    }

    fn named_by(&self, alias: &Alias) -> Option<Version> {
        self.aliases.get(alias).and_then(|&last| self.history[last].to)
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version> {
        new.check()?;
        let mut models = self.lock();
        if let Some(model) = models.get(name)
            && let Some(before) = new.idempotency_key.as_ref().and_then(|key| model.find(*model.keys.get(key)?))
        {
            return registered_before(name, &new, before);
        }
        let model = models.entry(name.clone()).or_default();
        let version =
            u32::try_from(model.versions.len() + 1).ok().and_then(Version::new).ok_or_else(|| no_number_left(name))?;
        if let Some(key) = &new.idempotency_key {
            model.keys.insert(key.clone(), version);
        }
        model.versions.push(ModelRecord::new(name.clone(), version, self.clock.now(), new));
        Ok(version)
    }

    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord> {
        let models = self.lock();
        let model = models.get(&at.name).ok_or_else(|| unknown_model(&at.name))?;
        let version = match &at.at {
            At::Version(version) => Some(*version),
            At::Alias(alias) => model.named_by(alias),
        };
        version.and_then(|version| model.find(version)).cloned().ok_or_else(|| unknown_reference(&at.name, &at.at))
    }

    fn models(&self) -> BoxStream<'_, Result<ModelName>> {
        let names: Vec<_> = self.lock().keys().cloned().map(Ok).collect();
        Box::pin(stream::iter(names))
    }

    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>> {
        self.list(name, |model| model.versions.clone())
    }

    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange> {
        change.check()?;
        let mut models = self.lock();
        let model = models.get_mut(name).ok_or_else(|| unknown_model(name))?;
        if let Some(to) = change.to.filter(|to| model.find(*to).is_none()) {
            return Err(unknown_reference(name, &At::Version(to)));
        }
        change.compare(name, model.named_by(&change.alias))?;
        let change = AliasChange::new(self.clock.now(), change);
        if change.to.is_some() {
            model.aliases.insert(change.alias.clone(), model.history.len());
        } else {
            model.aliases.remove(&change.alias);
        }
        model.history.push(change.clone());
        Ok(change)
    }

    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>> {
        self.list(name, |model| model.aliases.values().map(|&last| model.history[last].clone()).collect())
    }

    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>> {
        self.list(name, |model| model.history.iter().filter(|change| change.alias == *alias).cloned().collect())
    }
}
