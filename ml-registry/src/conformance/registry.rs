//! The contract of [`Registry`].
//!
//! A suite may run over a registry that looks into the bundles: it registers only [`bundle`]s, and moves only the
//! aliases `champion` and, with verdicts, `canary`.

use crate::{AliasMove, ModelRecord, NewVersion, Registry};
use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all};
use ml_core::{
    Bundle, ErrorKind, Signature,
    id::{Alias, ModelName, ModelRef, RunId, Version},
    onnx::OnnxModel,
    port::Verdict,
    signature::TensorSpec,
    tensor::DType,
};
use std::{collections::BTreeSet, sync::Arc};

/// Clause 1.
pub async fn versions_count_from_one(subject: impl Registry) {
    for expected in 1..=5 {
        assert_eq!(register(&subject, "m", 0).await.number(), expected);
    }
}

/// Clause 2.
pub async fn concurrent_registrations_get_different_versions(subject: impl Registry) {
    let subject = Arc::new(subject);
    let tasks = (0..50).map(|_| {
        let subject = subject.clone();
        tokio::spawn(async move { register(&*subject, "m", 0).await.number() })
    });
    let numbers: BTreeSet<u32> = join_all(tasks).await.into_iter().map(|number| number.expect("no panic")).collect();
    assert_eq!(numbers, (1..=50).collect());
}

/// Clause 3.
pub async fn a_record_comes_back_as_registered(subject: impl Registry) {
    let run = RunId::generate();
    let new = NewVersion::new(bundle(1).digest(), "ada")
        .with_run(run)
        .with_description("line one\nline \"two\" – ž 🦀")
        .with_tag("data", "flights")
        .with_tag("empty", "");
    let version = subject.register(&name("m"), new.clone()).await.expect("valid");
    set(&subject, "m", "champion", None, version).await;

    let by_version = resolve(&subject, &format!("m@{version}")).await;
    let expected = ModelRecord::new(name("m"), version, by_version.created, new);
    assert_eq!(by_version, expected);
    assert_eq!(resolve(&subject, "m@champion").await, expected);
    assert_eq!(versions(&subject, "m").await, [expected]);
}

/// Clause 4.
pub async fn an_idempotency_key_registers_once(subject: impl Registry) {
    let keyed = |n, key: &str| NewVersion::new(bundle(n).digest(), "ada").with_idempotency_key(key);
    let first = subject.register(&name("m"), keyed(0, "build 1")).await.expect("valid");
    let retried = subject.register(&name("m"), keyed(0, "build 1")).await.expect("the same again");
    assert_eq!(retried, first);
    let error = subject.register(&name("m"), keyed(1, "build 1")).await.expect_err("another bundle");
    assert_eq!(error.kind(), ErrorKind::Conflict);

    let other = subject.register(&name("m"), keyed(0, "build 2")).await.expect("another key");
    assert_eq!(other.number(), 2, "the same bundle under another key is another version");
    assert_eq!(register(&subject, "m", 0).await.number(), 3, "and without a key too");
    let elsewhere = subject.register(&name("n"), keyed(1, "build 1")).await.expect("keys are those of a model");
    assert_eq!(elsewhere, Version::FIRST);
}

/// Clause 5.
pub async fn what_is_unknown_is_not_found(subject: impl Registry) {
    for at in ["m@1", "m@champion"] {
        assert_eq!(subject.resolve(&at.parse().expect("valid")).await.expect_err(at).kind(), ErrorKind::NotFound);
    }
    let (m, champion) = (name("m"), alias("champion"));
    let change = AliasMove::set(champion.clone(), Version::FIRST, "ada");
    assert_eq!(subject.set_alias(&m, change).await.expect_err("no model").kind(), ErrorKind::NotFound);
    let listings = [
        subject.versions(&m).map_ok(|_| ()).collect::<Vec<_>>().await,
        subject.aliases(&m).map_ok(|_| ()).collect().await,
        subject.alias_history(&m, &champion).map_ok(|_| ()).collect().await,
    ];
    for mut listing in listings {
        assert_eq!(listing.len(), 1, "one error and nothing else");
        assert_eq!(listing.remove(0).expect_err("no model").kind(), ErrorKind::NotFound);
    }

    register(&subject, "m", 0).await;
    for at in ["m@2", "m@champion", "m@4294967295"] {
        assert_eq!(subject.resolve(&at.parse().expect("valid")).await.expect_err(at).kind(), ErrorKind::NotFound);
    }
    let change = AliasMove::set(champion.clone(), Version::new(2).expect("not zero"), "ada");
    assert_eq!(subject.set_alias(&m, change).await.expect_err("no version").kind(), ErrorKind::NotFound);
    let change = AliasMove::remove(champion, Version::FIRST, "ada").expecting(None);
    assert_eq!(subject.set_alias(&m, change).await.expect_err("not set").kind(), ErrorKind::NotFound);
    assert!(history(&subject, "m", "champion").await.is_empty());
}

/// Clause 6.
pub async fn listings_come_in_order(subject: impl Registry) {
    // More than a page of any backend's listing.
    let names: BTreeSet<ModelName> = (0..70).map(|n| name(&format!("m{n}"))).collect();
    for name in names.iter().rev() {
        subject.register(name, NewVersion::new(bundle(0).digest(), "ada")).await.expect("valid");
    }
    let found: Vec<ModelName> = subject.models().try_collect().await.expect("all");
    assert_eq!(found, names.into_iter().collect::<Vec<_>>());

    for _ in 1..70 {
        register(&subject, "m0", 0).await;
    }
    let numbers: Vec<u32> = versions(&subject, "m0").await.iter().map(|record| record.version.number()).collect();
    assert_eq!(numbers, (1..=70).collect::<Vec<_>>());

    let aliases: BTreeSet<String> = (0..70).map(|n| format!("a{n}")).collect();
    for alias in aliases.iter().rev() {
        set(&subject, "m0", alias, None, Version::FIRST).await;
    }
    let found: Vec<_> = subject.aliases(&name("m0")).try_collect().await.expect("all");
    let found: Vec<String> = found.into_iter().map(|change| change.alias.to_string()).collect();
    assert_eq!(found, aliases.into_iter().collect::<Vec<_>>());
}

/// Clause 7.
pub async fn a_stale_expectation_conflicts(subject: impl Registry) {
    let first = register(&subject, "m", 0).await;
    let second = register(&subject, "m", 1).await;
    set(&subject, "m", "champion", None, first).await;
    for stale in [None, Some(second)] {
        let change = AliasMove::set(alias("champion"), second, "bob").expecting(stale);
        let error = subject.set_alias(&name("m"), change).await.expect_err("stale");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let facts: Vec<_> = error.context().map(|(key, value)| (key, value.to_owned())).collect();
        assert!(facts.contains(&("found", "1".to_owned())), "tells what it found: {error}");
    }
    let change = AliasMove::remove(alias("champion"), second, "bob");
    assert_eq!(subject.set_alias(&name("m"), change).await.expect_err("stale").kind(), ErrorKind::Conflict);
    assert_eq!(resolve(&subject, "m@champion").await.version, first);
    assert_eq!(history(&subject, "m", "champion").await.len(), 1);
}

/// Clause 8.
pub async fn one_of_many_movers_wins(subject: impl Registry) {
    let first = register(&subject, "m", 0).await;
    for _ in 0..49 {
        register(&subject, "m", 1).await;
    }
    set(&subject, "m", "champion", None, first).await;
    let subject = Arc::new(subject);
    let tasks = (1..=50).map(|number| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let to = Version::new(number).expect("not zero");
            let change = AliasMove::set(alias("champion"), to, format!("mover {number}")).expecting(Version::FIRST);
            subject.set_alias(&name("m"), change).await
        })
    });
    let outcomes: Vec<_> = join_all(tasks).await.into_iter().map(|outcome| outcome.expect("no panic")).collect();
    // A move from 1 to 1 leaves the expectation of the others true; every other move ends it.
    let moves = outcomes.iter().flatten().filter(|change| change.to != Some(Version::FIRST)).count();
    assert_eq!(moves, 1);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    }
    let winner =
        outcomes.iter().flatten().find(|change| change.to != Some(Version::FIRST)).and_then(|change| change.to);
    assert_eq!(Some(resolve(&*subject, "m@champion").await.version), winner);
}

/// Clause 9.
pub async fn history_keeps_every_move_in_order(subject: impl Registry) {
    let versions = [register(&subject, "m", 0).await, register(&subject, "m", 1).await];
    let mut expected = Vec::new();
    let mut from = None;
    for turn in 0..70 {
        let to = versions[turn % 2];
        let verdict = match turn % 3 {
            0 => Verdict::Allow,
            1 => Verdict::Flag(vec!["accuracy fell by 0.1 %".into(), "\"quoted\"".into()]),
            _ => Verdict::Refuse(vec!["overruled".into()]),
        };
        let change = AliasMove::set(alias("canary"), to, format!("actor {turn}")).expecting(from).with_verdict(verdict);
        expected.push(subject.set_alias(&name("m"), change.clone()).await.expect("nobody else moves it"));
        let last = expected.last().expect("just pushed");
        assert_eq!((last.from, last.to, &last.by, &last.verdict), (from, Some(to), &change.by, &change.verdict));
        from = Some(to);
    }
    assert_eq!(history(&subject, "m", "canary").await, expected);
}

/// Clause 10.
pub async fn a_removed_alias_keeps_its_history(subject: impl Registry) {
    let first = register(&subject, "m", 0).await;
    set(&subject, "m", "champion", None, first).await;
    let removed = subject
        .set_alias(&name("m"), AliasMove::remove(alias("champion"), first, "ada"))
        .await
        .expect("it names this version");
    assert_eq!((removed.from, removed.to), (Some(first), None));
    let gone = subject.resolve(&"m@champion".parse().expect("valid")).await.expect_err("removed");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(subject.aliases(&name("m")).next().await.is_none());

    set(&subject, "m", "champion", None, first).await;
    let moves: Vec<_> =
        history(&subject, "m", "champion").await.into_iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(moves, [(None, Some(first)), (Some(first), None), (None, Some(first))]);
}

/// Clause 11.
pub async fn models_are_apart(subject: impl Registry) {
    let first = register(&subject, "a", 0).await;
    register(&subject, "a", 0).await;
    let other = register(&subject, "a.b", 1).await;
    assert_eq!(other, Version::FIRST);
    set(&subject, "a", "champion", None, first).await;
    let error = subject.resolve(&"a.b@champion".parse().expect("valid")).await.expect_err("of the other model");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(versions(&subject, "a.b").await.len(), 1);
    assert_eq!(resolve(&subject, "a.b@1").await.digest, bundle(1).digest());
    assert!(history(&subject, "a.b", "champion").await.is_empty());
}

/// Clause 12.
pub async fn text_beyond_the_limits_is_refused(subject: impl Registry) {
    let new = || NewVersion::new(bundle(0).digest(), "ada");
    let long = "x".repeat(10_240);
    let by = |by: &str| NewVersion::new(bundle(0).digest(), by);
    for (what, bad) in [
        ("no actor", by("")),
        ("long actor", by(&long)),
        ("control character", by("a\nb")),
        ("long description", new().with_description(&long)),
        ("NUL", new().with_description("a\0b")),
        ("no key", new().with_tag("", "v")),
        ("long key", new().with_tag(&long, "v")),
        ("long value", new().with_tag("k", &long)),
        ("empty idempotency key", new().with_idempotency_key("")),
        ("many tags", (0..1_000).fold(new(), |new, n| new.with_tag(n.to_string(), ""))),
    ] {
        assert_eq!(subject.register(&name("m"), bad).await.expect_err(what).kind(), ErrorKind::InvalidInput, "{what}");
    }
    assert!(subject.models().next().await.is_none(), "nothing was kept");

    let first = register(&subject, "m", 0).await;
    for by in ["", "a\tb", &long] {
        let change = AliasMove::set(alias("champion"), first, by);
        let error = subject.set_alias(&name("m"), change).await.expect_err("bad actor");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(subject.aliases(&name("m")).next().await.is_none());
}

/// One of the bundles that the suite registers; `n` is 0 or 1.
///
/// # Panics
/// Never: the bundle is sound.
#[must_use]
pub fn bundle(n: u8) -> Bundle {
    let outputs = vec![TensorSpec::batched("y", DType::Fp32, [])];
    let signature = Signature::new(vec![], outputs).expect("a sound signature");
    Bundle::builder(OnnxModel { bytes: vec![8, n].into(), signature }).build().expect("a sound bundle")
}

fn name(text: &str) -> ModelName {
    text.parse().expect("a sound name")
}

fn alias(text: &str) -> Alias {
    text.parse().expect("a sound alias")
}

async fn register(subject: &impl Registry, model: &str, n: u8) -> Version {
    subject.register(&name(model), NewVersion::new(bundle(n).digest(), "ada")).await.expect("a sound version")
}

async fn set(subject: &impl Registry, model: &str, to: &str, expect: Option<Version>, version: Version) {
    let change = AliasMove::set(alias(to), version, "ada").expecting(expect);
    subject.set_alias(&name(model), change).await.expect("nobody else moves it");
}

async fn resolve(subject: &impl Registry, at: &str) -> ModelRecord {
    let at: ModelRef = at.parse().expect("a sound reference");
    subject.resolve(&at).await.expect("it is there")
}

async fn versions(subject: &impl Registry, model: &str) -> Vec<ModelRecord> {
    subject.versions(&name(model)).try_collect().await.expect("the model is there")
}

async fn history(subject: &impl Registry, model: &str, of: &str) -> Vec<crate::AliasChange> {
    subject.alias_history(&name(model), &alias(of)).try_collect().await.expect("the model is there")
}

/// Runs the suite of [`Registry`](crate::Registry) over a backend.
#[macro_export]
macro_rules! registry_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::registry, $factory, [$($($known),*)?];
            versions_count_from_one,
            concurrent_registrations_get_different_versions,
            a_record_comes_back_as_registered,
            an_idempotency_key_registers_once,
            what_is_unknown_is_not_found,
            listings_come_in_order,
            a_stale_expectation_conflicts,
            one_of_many_movers_wins,
            history_keeps_every_move_in_order,
            a_removed_alias_keeps_its_history,
            models_are_apart,
            text_beyond_the_limits_is_refused,
        }
    };
}
