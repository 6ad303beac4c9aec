use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use ml_core::{
    Error, ErrorKind, Result,
    id::{ModelName, ModelRef, Version},
    port::{Candidate, PromotionGate, Verdict},
};
use ml_registry::{
    AliasMove, ArtifactStoreExt as _, GatedRegistry, MemoryArtifactStore, MemoryRegistry, NewVersion, Promotion,
    Registry, conformance::registry::bundle, publish,
};
use std::sync::{Arc, Mutex};

/// Gives one verdict to all, and keeps what it was asked.
#[derive(Debug)]
struct Judge {
    verdict: Result<Verdict, ErrorKind>,
    asked: Mutex<Vec<Candidate>>,
}

#[async_trait]
impl PromotionGate for Judge {
    async fn review(&self, candidate: &Candidate) -> Result<Verdict> {
        self.asked.lock().unwrap().push(candidate.clone());
        self.verdict.clone().map_err(|kind| Error::new(kind, "the judge is away"))
    }
}

/// A model with two versions, `champion` guarded by a judge.
async fn court(
    verdict: Result<Verdict, ErrorKind>,
) -> (GatedRegistry, MemoryRegistry, MemoryArtifactStore, Arc<Judge>) {
    let (inner, artifacts) = (MemoryRegistry::default(), MemoryArtifactStore::default());
    for n in 0..2 {
        let bundle = bundle(n);
        let new = NewVersion::new(bundle.digest(), "ada");
        publish(&inner, &artifacts, &name(), &bundle, new).await.unwrap();
    }
    let judge = Arc::new(Judge { verdict, asked: Mutex::default() });
    let gated = GatedRegistry::new(inner.clone(), artifacts.clone(), judge.clone(), ["champion".parse().unwrap()]);
    (gated, inner, artifacts, judge)
}

fn name() -> ModelName {
    "m".parse().unwrap()
}

fn version(number: u32) -> Version {
    Version::new(number).unwrap()
}

fn to(number: u32) -> AliasMove {
    AliasMove::set("champion".parse().unwrap(), version(number), "ada")
}

fn refusal() -> Verdict {
    Verdict::Refuse(vec!["recall of group B is 0.4".into(), "no model card".into()])
}

#[tokio::test]
async fn a_refusal_is_a_finding_of_promote_and_an_error_of_set_alias() {
    let (gated, inner, _, _) = court(Ok(refusal())).await;
    assert_eq!(gated.promote(&name(), to(1)).await.unwrap(), Promotion::Refused(refusal()));

    let error = gated.set_alias(&name(), to(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.to_string(),
        "registry.set_alias: the gate refuses the version (model: m, alias: champion, \
         reason: recall of group B is 0.4, reason: no model card)"
    );
    let forged = to(1).with_verdict(Verdict::Allow);
    assert_eq!(gated.set_alias(&name(), forged).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(inner.aliases(&name()).try_next().await.unwrap().is_none(), "nothing moved");
}

#[tokio::test]
async fn the_verdict_stays_with_the_move() {
    let flag = Verdict::Flag(vec!["few rows of group C".into()]);
    let (gated, inner, _, judge) = court(Ok(flag.clone())).await;
    gated.promote(&name(), to(1)).await.unwrap();
    let forged = to(2).expecting(version(1)).with_verdict(Verdict::Allow);
    gated.set_alias(&name(), forged).await.unwrap();

    let history: Vec<_> = inner.alias_history(&name(), &"champion".parse().unwrap()).try_collect().await.unwrap();
    let verdicts: Vec<_> = history.into_iter().map(|change| (change.to, change.verdict)).collect();
    assert_eq!(verdicts, [(Some(version(1)), Some(flag.clone())), (Some(version(2)), Some(flag))]);

    let asked = judge.asked.lock().unwrap();
    let seen: Vec<_> = asked.iter().map(|c| (c.version, c.champion, c.bundle.clone())).collect();
    assert_eq!(seen, [(version(1), None, bundle(0)), (version(2), Some(version(1)), bundle(1))]);
}

#[tokio::test]
async fn what_is_not_guarded_goes_through_unasked() {
    let (gated, _, _, judge) = court(Ok(refusal())).await;
    let canary = AliasMove::set("canary".parse().unwrap(), version(1), "ada");
    assert!(matches!(gated.promote(&name(), canary).await.unwrap(), Promotion::Moved(_)));
    assert!(judge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn removing_a_guarded_alias_asks_nobody() {
    let (gated, inner, _, judge) = court(Ok(refusal())).await;
    inner.set_alias(&name(), to(1)).await.unwrap();
    gated.set_alias(&name(), AliasMove::remove("champion".parse().unwrap(), version(1), "ada")).await.unwrap();
    assert!(judge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stale_caller_hears_of_the_conflict_and_not_of_a_verdict() {
    let (gated, inner, _, judge) = court(Ok(refusal())).await;
    inner.set_alias(&name(), to(1)).await.unwrap();
    assert_eq!(gated.promote(&name(), to(2)).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(judge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_gate_that_cannot_decide_moves_nothing() {
    let (gated, inner, _, _) = court(Err(ErrorKind::Unavailable)).await;
    assert_eq!(gated.promote(&name(), to(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(inner.aliases(&name()).try_next().await.unwrap().is_none());
}

/// Moves the alias behind the back of the gate while it decides.
#[derive(Debug)]
struct Overtaken(MemoryRegistry);

#[async_trait]
impl PromotionGate for Overtaken {
    async fn review(&self, _candidate: &Candidate) -> Result<Verdict> {
        self.0.set_alias(&name(), to(1)).await?;
        Ok(Verdict::Allow)
    }
}

#[tokio::test]
async fn an_alias_that_moved_during_the_review_conflicts() {
    let (_, inner, artifacts, _) = court(Ok(Verdict::Allow)).await;
    let gated = GatedRegistry::new(inner.clone(), artifacts, Overtaken(inner.clone()), ["champion".parse().unwrap()]);
    assert_eq!(gated.promote(&name(), to(2)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let champion: ModelRef = "m@champion".parse().unwrap();
    assert_eq!(inner.resolve(&champion).await.unwrap().version, version(1));
}

#[tokio::test]
async fn a_version_without_its_bundle_cannot_be_promoted() {
    let (_, inner, _, judge) = court(Ok(Verdict::Allow)).await;
    let empty = MemoryArtifactStore::default();
    empty.put_bytes("something else").await.unwrap();
    let gated = GatedRegistry::new(inner, empty, judge, ["champion".parse().unwrap()]);
    assert_eq!(gated.promote(&name(), to(1)).await.unwrap_err().kind(), ErrorKind::Corrupt);
}
