//! Registered models: their versions, and the aliases that name one of them.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use crate::{AliasChange, AliasMove, ModelRecord, NewVersion};
use async_trait::async_trait;
use ml_core::{
    BoxStream, Error, Result,
    id::{Alias, At, ModelName, ModelRef, Version},
};
use std::{fmt, sync::Arc};

/// Versions of models, aliases, and every move of an alias.
///
/// A model exists from its first version on. Versions and history are append-only: nothing is changed or removed.
///
/// # Contract
/// 1. The versions of a model are 1, 2, 3, … in the order of registration. (check: `versions_count_from_one`)
/// 2. Concurrent registrations get different numbers, without gaps. (check: `concurrent_registrations_get_different_versions`)
/// 3. A record comes back as it was registered, by version and by alias. (check: `a_record_comes_back_as_registered`)
/// 4. The same digest registered again is another version, except under the same idempotency key, which gives the version
///    of the first call; that key with another digest is a conflict. (check: `an_idempotency_key_registers_once`)
/// 5. An unknown model, version or alias is not found. (check: `what_is_unknown_is_not_found`)
/// 6. `models`, `versions` and `aliases` come in ascending order, whatever their number. (check: `listings_come_in_order`)
/// 7. An alias moves only from the version that the caller expects; otherwise it conflicts and nothing changes.
///    (check: `a_stale_expectation_conflicts`)
/// 8. Of many concurrent moves with one expectation, one wins. (check: `one_of_many_movers_wins`)
/// 9. The history has every move, oldest first, with its actor and verdict. (check: `history_keeps_every_move_in_order`)
/// 10. A removed alias is not found; its history stays, and it can be set again. (check: `a_removed_alias_keeps_its_history`)
/// 11. Models do not see each other's versions and aliases. (check: `models_are_apart`)
/// 12. Text beyond [`limit`](crate::limit) is refused and changes nothing. (check: `text_beyond_the_limits_is_refused`)
///
/// ```
/// use ml_core::id::{Digest, ModelRef};
/// use ml_registry::{AliasMove, MemoryRegistry, NewVersion, Registry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let registry = MemoryRegistry::default();
/// let name = "fraud".parse()?;
/// let version = registry.register(&name, NewVersion::new(Digest::of("manifest"), "ada")).await?;
/// registry.set_alias(&name, AliasMove::set("champion".parse()?, version, "ada")).await?;
///
/// let at: ModelRef = "fraud@champion".parse()?;
/// assert_eq!(registry.resolve(&at).await?.version, version);
///
/// let late = registry.set_alias(&name, AliasMove::set("champion".parse()?, version, "bob")).await;
/// assert_eq!(late.unwrap_err().kind(), ml_core::ErrorKind::Conflict, "bob has not seen that it is set");
/// # Ok(()) }
/// ```
#[async_trait]
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// Adds a version and tells its number. The first version makes the model.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) for text beyond the limits,
    /// [`Conflict`](ml_core::ErrorKind::Conflict) for an idempotency key that has registered another digest.
    ///
    /// # Cancel safety
    /// A call dropped midway has registered the version or not; one under an idempotency key can be made again.
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version>;

    /// Finds the version that the reference means now.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown model, version or alias.
    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord>;

    /// Lists the models, by name.
    fn models(&self) -> BoxStream<'_, Result<ModelName>>;

    /// Lists the versions of a model, oldest first; one [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown model.
    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>>;

    /// Moves, sets or removes an alias by compare-and-set, and records the move.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when the alias does not name the expected version,
    /// [`NotFound`](ml_core::ErrorKind::NotFound) for an unknown model or version,
    /// [`PermissionDenied`](ml_core::ErrorKind::PermissionDenied) when a gate refuses.
    ///
    /// # Cancel safety
    /// A call dropped midway has moved the alias or not; the history tells.
    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange>;

    /// Lists the aliases that are set, by alias, each with its last move.
    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>>;

    /// Lists every move of an alias, oldest first; none for an alias never set.
    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>>;
}

#[async_trait]
impl<R: Registry + ?Sized> Registry for Arc<R> {
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version> {
        (**self).register(name, new).await
    }

    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord> {
        (**self).resolve(at).await
    }

    fn models(&self) -> BoxStream<'_, Result<ModelName>> {
        (**self).models()
    }

    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>> {
        (**self).versions(name)
    }

    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange> {
        (**self).set_alias(name, change).await
    }

    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>> {
        (**self).aliases(name)
    }

    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>> {
        (**self).alias_history(name, alias)
    }
}

pub(crate) fn unknown_model(name: &ModelName) -> Error {
    Error::not_found("no such model").with("model", name)
}

pub(crate) fn unknown_reference(name: &ModelName, at: &At) -> Error {
    match at {
        At::Version(version) => {
            Error::not_found("the model has no such version").with("model", name).with("version", version)
        }
        At::Alias(alias) => Error::not_found("the model has no such alias").with("model", name).with("alias", alias),
    }
}

/// The answer to a key seen before: the same version for the same bundle, a conflict for another one.
pub(crate) fn registered_before(name: &ModelName, new: &NewVersion, before: &ModelRecord) -> Result<Version> {
    if before.digest == new.digest {
        Ok(before.version)
    } else {
        Err(Error::conflict("the idempotency key has registered another bundle")
            .with("model", name)
            .with("version", before.version)
            .with("digest", before.digest))
    }
}

pub(crate) fn no_number_left(name: &ModelName) -> Error {
    Error::resource_exhausted("the model has no version numbers left").with("model", name)
}
