//! The gate in front of aliases.

use crate::{AliasChange, AliasMove, ArtifactStore, ModelRecord, NewVersion, Registry, source::fetch};
use async_trait::async_trait;
use ml_core::{
    BoxStream, Error, ErrorKind, Result,
    id::{Alias, ModelName, ModelRef, Version},
    port::{Candidate, PromotionGate, Verdict},
};
use std::{collections::BTreeSet, sync::Arc};

/// How a promotion ended. A refusal is a finding, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promotion {
    /// The alias names the version now; the verdict is in the change.
    Moved(AliasChange),
    /// The gate refused, and nothing moved.
    Refused(Verdict),
}

/// A registry in which some aliases move only where a gate agrees. Everything else goes through as it is.
///
/// The gate sees the whole bundle of the version, and the compare-and-set makes sure that the champion it compared with
/// is the one that is replaced. Its verdict stays in the history of the alias with the move that it allowed. A refusal
/// moves nothing, so the history does not have it: it is returned and logged as a warning, and a host that must prove
/// refusals keeps them itself.
///
/// Removing an alias asks no gate: it promotes nothing, and a bad model must come down at once. But the next promotion
/// then finds no champion, so a gate that compares with the champion has nothing to compare with. The history shows who
/// removed the alias; decide in the host who may.
///
/// ```
/// use ml_core::{Bundle, Result, Signature, onnx::OnnxModel, signature::TensorSpec, tensor::DType};
/// use ml_core::{bundle, port::{Candidate, PromotionGate, Verdict}};
/// use ml_registry::{AliasMove, GatedRegistry, MemoryArtifactStore, MemoryRegistry, NewVersion, Promotion, publish};
///
/// #[derive(Debug)]
/// struct HasMetrics;
///
/// #[async_trait::async_trait]
/// impl PromotionGate for HasMetrics {
///     async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
///         Ok(match candidate.bundle.file(bundle::METRICS) {
///             Some(_) => Verdict::Allow,
///             None => Verdict::Refuse(vec!["no metrics".into()]),
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// let artifacts = MemoryArtifactStore::default();
/// let registry = GatedRegistry::new(MemoryRegistry::default(), artifacts.clone(), HasMetrics, ["champion".parse()?]);
///
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let bundle = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature }).build()?;
/// let name = "fraud".parse()?;
/// let version = publish(&registry, &artifacts, &name, &bundle, NewVersion::new(bundle.digest(), "ada")).await?;
///
/// let promotion = registry.promote(&name, AliasMove::set("champion".parse()?, version, "ada")).await?;
/// assert_eq!(promotion, Promotion::Refused(Verdict::Refuse(vec!["no metrics".into()])));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct GatedRegistry {
    inner: Arc<dyn Registry>,
    artifacts: Arc<dyn ArtifactStore>,
    gate: Arc<dyn PromotionGate>,
    guarded: BTreeSet<Alias>,
}

impl GatedRegistry {
    /// Puts a gate in front of the `guarded` aliases of every model; the bundles lie in `artifacts`.
    #[must_use]
    pub fn new(
        inner: impl Registry,
        artifacts: impl ArtifactStore,
        gate: impl PromotionGate,
        guarded: impl IntoIterator<Item = Alias>,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            artifacts: Arc::new(artifacts),
            gate: Arc::new(gate),
            guarded: guarded.into_iter().collect(),
        }
    }

    /// Moves an alias if the gate agrees. An alias that is not guarded just moves.
    ///
    /// # Errors
    /// As [`Registry::set_alias`], but a refusal is no error; [`Corrupt`](ErrorKind::Corrupt) when the bundle is damaged; those
    /// of the gate when it cannot decide.
    pub async fn promote(&self, name: &ModelName, change: AliasMove) -> Result<Promotion> {
        let change = match self.review(name, &change).await? {
            Some(refusal @ Verdict::Refuse(_)) => {
                tracing::warn!(model = %name, alias = %change.alias, by = %change.by, reasons = ?refusal.reasons(), "promotion refused");
                return Ok(Promotion::Refused(refusal));
            }
            Some(verdict) => change.with_verdict(verdict),
            None => change,
        };
        self.inner.set_alias(name, change).await.map(Promotion::Moved)
    }

    /// Asks the gate, if the alias is guarded and the move promotes a version.
    async fn review(&self, name: &ModelName, change: &AliasMove) -> Result<Option<Verdict>> {
        let Some(version) = change.to.filter(|_| self.guarded.contains(&change.alias)) else { return Ok(None) };
        // A stale caller hears of the conflict, not of a verdict over a comparison that is no longer true.
        self.inner.resolve(&ModelRef::version(name.clone(), version)).await?;
        let found = match self.inner.resolve(&ModelRef::alias(name.clone(), change.alias.clone())).await {
            Ok(champion) => Some(champion.version),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        change.check()?;
        change.compare(name, found)?;
        let bundle = fetch(&self.inner, &self.artifacts, name, version).await?;
        let candidate = Candidate::new(name.clone(), version, change.alias.clone(), bundle, found);
        self.gate.review(&candidate).await.map(Some)
    }
}

#[async_trait]
impl Registry for GatedRegistry {
    async fn register(&self, name: &ModelName, new: NewVersion) -> Result<Version> {
        self.inner.register(name, new).await
    }

    async fn resolve(&self, at: &ModelRef) -> Result<ModelRecord> {
        self.inner.resolve(at).await
    }

    fn models(&self) -> BoxStream<'_, Result<ModelName>> {
        self.inner.models()
    }

    fn versions<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<ModelRecord>> {
        self.inner.versions(name)
    }

    async fn set_alias(&self, name: &ModelName, change: AliasMove) -> Result<AliasChange> {
        let alias = change.alias.clone();
        match self.promote(name, change).await? {
            Promotion::Moved(change) => Ok(change),
            Promotion::Refused(verdict) => {
                let refused = Error::permission_denied("the gate refuses the version")
                    .op("registry.set_alias")
                    .with("model", name)
                    .with("alias", alias);
                Err(verdict.reasons().iter().fold(refused, |error, reason| error.with("reason", reason)))
            }
        }
    }

    fn aliases<'a>(&'a self, name: &'a ModelName) -> BoxStream<'a, Result<AliasChange>> {
        self.inner.aliases(name)
    }

    fn alias_history<'a>(&'a self, name: &'a ModelName, alias: &'a Alias) -> BoxStream<'a, Result<AliasChange>> {
        self.inner.alias_history(name, alias)
    }
}
