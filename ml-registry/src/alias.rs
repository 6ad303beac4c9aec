//! Moves of an alias from version to version.

use crate::limit;
use ml_core::{
    Error, Result,
    id::{Alias, ModelName, Version},
    port::Verdict,
    time::CreatedTime,
};
use serde::{Deserialize, Serialize};

/// Asks an alias to name another version, provided that it names the expected one now.
///
/// ```
/// use ml_core::id::Version;
/// use ml_registry::AliasMove;
///
/// let first = AliasMove::set("champion".parse()?, Version::FIRST, "ada");
/// assert_eq!(first.expect, None, "an alias is expected to be unset unless told otherwise");
/// let second = AliasMove::set("champion".parse()?, Version::new(2).unwrap(), "ada").expecting(Version::FIRST);
/// assert_eq!(second.expect, Some(Version::FIRST));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasMove {
    /// The alias.
    pub alias: Alias,
    /// The version it names now; `None` for an alias that is not set.
    pub expect: Option<Version>,
    /// The version it is to name; `None` removes the alias.
    pub to: Option<Version>,
    /// Who moves it: a person or a service.
    pub by: String,
    /// What a gate said about the move, kept in the history.
    pub verdict: Option<Verdict>,
}

impl AliasMove {
    /// Lets an alias that is not set name a version.
    #[must_use]
    pub fn set(alias: Alias, to: Version, by: impl Into<String>) -> Self {
        Self { alias, expect: None, to: Some(to), by: by.into(), verdict: None }
    }

    /// Removes an alias; its history stays.
    #[must_use]
    pub fn remove(alias: Alias, expect: Version, by: impl Into<String>) -> Self {
        Self { alias, expect: Some(expect), to: None, by: by.into(), verdict: None }
    }

    /// The same, provided that the alias names this version now.
    #[must_use]
    pub fn expecting(mut self, version: impl Into<Option<Version>>) -> Self {
        self.expect = version.into();
        self
    }

    /// The same with what a gate said.
    #[must_use]
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// Checks the texts against [`limit`]. Backends call it before they write.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput), naming the text.
    pub fn check(&self) -> Result<()> {
        limit::check_label("actor", &self.by)?;
        let reasons = self.verdict.iter().flat_map(Verdict::reasons);
        reasons.into_iter().try_for_each(|reason| limit::check_text("reason", reason))
    }

    /// Compares the expectation with what the alias names. Backends call it within the transaction of the move.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when the alias names another version,
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when an alias that is not set is to be removed.
    pub fn compare(&self, name: &ModelName, found: Option<Version>) -> Result<()> {
        if found != self.expect {
            let text = |version: Option<Version>| version.map_or_else(|| "unset".to_owned(), |v| v.to_string());
            Err(Error::conflict("alias moved since it was read")
                .with("model", name)
                .with("alias", &self.alias)
                .with("expected", text(self.expect))
                .with("found", text(found)))
        } else if found.is_none() && self.to.is_none() {
            Err(Error::not_found("the alias is not set").with("model", name).with("alias", &self.alias))
        } else {
            Ok(())
        }
    }
}

/// A move that happened. Nothing of it ever changes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasChange {
    /// The alias.
    pub alias: Alias,
    /// The version it named before; `None` when it was not set.
    pub from: Option<Version>,
    /// The version it named from then on; `None` when it was removed.
    pub to: Option<Version>,
    /// When it moved.
    pub at: CreatedTime,
    /// Who moved it.
    pub by: String,
    /// What a gate said about the move, if one was asked.
    pub verdict: Option<Verdict>,
}

impl AliasChange {
    /// The record of a move just made.
    #[must_use]
    pub fn new(at: CreatedTime, change: AliasMove) -> Self {
        let AliasMove { alias, expect, to, by, verdict } = change;
        Self { alias, from: expect, to, at, by, verdict }
    }
}
