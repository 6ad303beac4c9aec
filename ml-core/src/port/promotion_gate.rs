use super::Verdict;
use crate::{
    Bundle, Result,
    id::{Alias, ModelName, Version},
};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// A version that is about to get an alias.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The model.
    pub name: ModelName,
    /// The version that would get the alias.
    pub version: Version,
    /// The alias.
    pub alias: Alias,
    /// What was published with the version: metrics, audit and card are among its files.
    pub bundle: Bundle,
    /// The version that has the alias now.
    pub champion: Option<Version>,
}

impl Candidate {
    /// Keeps the facts of a promotion.
    #[must_use]
    pub fn new(name: ModelName, version: Version, alias: Alias, bundle: Bundle, champion: Option<Version>) -> Self {
        Self { name, version, alias, bundle, champion }
    }
}

/// Decides whether a version may get an alias.
///
/// ```
/// use ml_core::{Result, bundle, port::{Candidate, PromotionGate, Verdict}};
///
/// #[derive(Debug)]
/// struct Audited;
///
/// #[async_trait::async_trait]
/// impl PromotionGate for Audited {
///     async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
///         Ok(match candidate.bundle.file(bundle::BIAS) {
///             Some(_) => Verdict::Allow,
///             None => Verdict::Refuse(vec!["there is no bias report".into()]),
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait PromotionGate: fmt::Debug + Send + Sync + 'static {
    /// Looks at the evidence. Evidence that is missing is a reason to refuse, not an error.
    ///
    /// # Errors
    /// Only when the gate cannot decide, such as [`Unavailable`](crate::ErrorKind::Unavailable).
    async fn review(&self, candidate: &Candidate) -> Result<Verdict>;
}

#[async_trait]
impl<G: PromotionGate + ?Sized> PromotionGate for Arc<G> {
    async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
        (**self).review(candidate).await
    }
}
