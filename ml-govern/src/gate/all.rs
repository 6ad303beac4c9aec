use async_trait::async_trait;
use ml_core::{
    Result,
    port::{Candidate, PromotionGate, Verdict},
};
use std::sync::Arc;

/// Asks several gates and keeps the strictest verdict, with all its reasons in order.
///
/// Every gate is asked even after a refusal, so that one review names everything that is wanting. No gate at all is a
/// refusal: an empty list is more likely a mistake than a wish.
///
/// ```
/// use ml_govern::{All, EvidenceGate, GateParams};
/// use std::sync::Arc;
///
/// let accurate = EvidenceGate::new(GateParams { minimum_metrics: [("roc_auc".into(), 0.7)].into(), ..Default::default() })?;
/// let documented = EvidenceGate::new(GateParams { card_fields: vec!["details.owners".into()], ..Default::default() })?;
/// let gate = All::new([Arc::new(accurate) as _, Arc::new(documented) as _]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct All(Vec<Arc<dyn PromotionGate>>);

impl All {
    /// Keeps the gates in order.
    #[must_use]
    pub fn new(gates: impl IntoIterator<Item = Arc<dyn PromotionGate>>) -> Self {
        Self(gates.into_iter().collect())
    }
}

#[async_trait]
impl PromotionGate for All {
    async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
        if self.0.is_empty() {
            return Ok(Verdict::Refuse(vec!["there is no gate that could review the version".into()]));
        }
        let mut verdict = Verdict::Allow;
        for gate in &self.0 {
            verdict = verdict.and(gate.review(candidate).await?);
        }
        Ok(verdict)
    }
}
