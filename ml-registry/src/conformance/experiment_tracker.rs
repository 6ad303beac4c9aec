//! The contract of [`ExperimentTracker`].

use crate::{ExperimentTracker, MetricPoint, NewRun, Point, RunOutcome};
use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all};
use ml_core::{
    ErrorKind,
    id::{ExperimentName, RunId},
    time::EventTime,
};
use std::{collections::BTreeSet, sync::Arc};

/// Clause 1.
pub async fn a_run_comes_back_as_logged(subject: impl ExperimentTracker) {
    let new = NewRun::new(experiment("e"), "ada").with_title("first – ž").with_tag("host", "build 7");
    let run = subject.start(new.clone()).await.expect("valid");
    let fresh = subject.run(&run).await.expect("it is there");
    assert_eq!((fresh.id, &fresh.experiment, &fresh.title, &fresh.by), (new.id, &new.experiment, &new.title, &new.by));
    assert_eq!((&fresh.tags, fresh.ended), (&new.tags, None));
    assert!(fresh.params.is_empty() && fresh.metrics.is_empty());

    let points = [
        Point::param("l2", 0.1),
        Point::metric_at("loss", 1, 0.5, at(20)),
        Point::metric_at("loss", 0, 0.7, at(30)),
        Point::metric_at("auc", 0, 0.8, at(10)),
        Point::tag("stage", "smoke"),
    ];
    subject.log(&run, &points).await.expect("valid");
    subject.log(&run, &[]).await.expect("nothing is something");
    subject.finish(&run, RunOutcome::Failed).await.expect("it goes on");
    let record = subject.run(&run).await.expect("it is there");
    assert_eq!(record.params["l2"], "0.1");
    assert_eq!((record.tags["host"].as_str(), record.tags["stage"].as_str()), ("build 7", "smoke"));
    assert_eq!(record.metrics["loss"], MetricPoint { step: 1, at: at(20), value: 0.5 }, "the last step is the latest");
    assert_eq!(record.metrics["auc"], MetricPoint { step: 0, at: at(10), value: 0.8 });
    assert_eq!(record.ended.map(|end| end.outcome), Some(RunOutcome::Failed));
    assert_eq!(record.started, fresh.started);
}

/// Clause 2.
pub async fn an_id_starts_one_run(subject: impl ExperimentTracker) {
    let new = NewRun::new(experiment("e"), "ada").with_tag("k", "v");
    let run = subject.start(new.clone()).await.expect("valid");
    subject.log(&run, &[Point::tag("k", "w")]).await.expect("it goes on");
    assert_eq!(subject.start(new.clone()).await.expect("a retry"), run);
    assert_eq!(subject.run(&run).await.expect("it is there").tags["k"], "w", "the retry changed nothing");
    let mut other = new;
    other.by = "bob".into();
    assert_eq!(subject.start(other).await.expect_err("another run").kind(), ErrorKind::Conflict);
    assert_eq!(subject.runs(&experiment("e")).count().await, 1);
}

/// Clause 3.
pub async fn metric_history_comes_in_order(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    let mut expected: Vec<MetricPoint> = (0..200_u32)
        .map(|n| MetricPoint { step: u64::from(n / 4), at: at(i64::from(n / 2)), value: -f64::from(n) })
        .collect();
    for chunk in expected.rchunks(30) {
        let points: Vec<_> = chunk.iter().map(|p| Point::metric_at("loss", p.step, p.value, p.at)).collect();
        subject.log(&run, &points).await.expect("valid");
        subject.log(&run, &[Point::metric_at("other", 7, 1.0, at(-5))]).await.expect("valid");
    }
    expected.sort();
    assert_eq!(history(&subject, &run, "loss").await, expected);
    assert_eq!(history(&subject, &run, "other").await.len(), 1);
    assert!(history(&subject, &run, "never").await.is_empty());
    assert_eq!(subject.run(&run).await.expect("it is there").metrics["loss"], expected[199]);
}

/// Clause 4.
pub async fn every_number_is_kept(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    let numbers = [
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.0,
        f64::MIN,
        f64::MAX,
        f64::from_bits(1),
        0.1 + 0.2,
    ];
    let points: Vec<_> =
        (0..).zip(numbers).map(|(step, value)| Point::metric_at("x", step, value, EventTime::MIN)).collect();
    subject.log(&run, &points).await.expect("valid");
    let last = u64::try_from(i64::MAX).expect("positive");
    subject.log(&run, &[Point::metric_at("last", last, f64::NAN, EventTime::MAX)]).await.expect("valid");
    let found: Vec<u64> = history(&subject, &run, "x").await.iter().map(|point| point.value.to_bits()).collect();
    assert_eq!(found, numbers.map(f64::to_bits));
    let latest = subject.run(&run).await.expect("it is there").metrics["last"];
    assert_eq!((latest.step, latest.at), (last, EventTime::MAX));
    assert!(latest.value.is_nan());
}

/// Clause 5.
pub async fn the_same_point_counts_once(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    let points = [Point::metric_at("x", 1, f64::NAN, at(1)), Point::metric_at("x", 1, 2.0, at(1))];
    for _ in 0..3 {
        subject.log(&run, &points).await.expect("valid");
    }
    subject.log(&run, &[points[1].clone(), points[1].clone()]).await.expect("valid");
    assert_eq!(history(&subject, &run, "x").await.len(), 2);
}

/// Clause 6.
pub async fn a_parameter_has_one_value(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    subject.log(&run, &[Point::param("l2", 1)]).await.expect("valid");
    subject.log(&run, &[Point::param("l2", 1)]).await.expect("the same again");
    for points in [
        vec![Point::metric("x", 0, 1.0), Point::tag("t", "v"), Point::param("l1", 0), Point::param("l2", 2)],
        vec![Point::param("l3", 0), Point::param("l3", 1)],
    ] {
        assert_eq!(subject.log(&run, &points).await.expect_err("another value").kind(), ErrorKind::Conflict);
    }
    let record = subject.run(&run).await.expect("it is there");
    assert_eq!(record.params.into_iter().collect::<Vec<_>>(), [("l2".to_owned(), "1".to_owned())]);
    assert!(record.metrics.is_empty() && record.tags.is_empty(), "nothing of a refused call is kept");
    assert!(history(&subject, &run, "x").await.is_empty());
}

/// Clause 7.
pub async fn the_last_tag_counts(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    subject.log(&run, &[Point::tag("t", "1"), Point::tag("t", "2")]).await.expect("valid");
    assert_eq!(subject.run(&run).await.expect("it is there").tags["t"], "2");
    subject.log(&run, &[Point::tag("t", "3")]).await.expect("valid");
    assert_eq!(subject.run(&run).await.expect("it is there").tags["t"], "3");
}

/// Clause 8.
pub async fn an_ended_run_stays_as_it_is(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    subject.finish(&run, RunOutcome::Finished).await.expect("it goes on");
    let ended = subject.run(&run).await.expect("it is there");
    assert!(ended.ended.is_some_and(|end| end.at >= ended.started));
    for outcome in [RunOutcome::Finished, RunOutcome::Killed] {
        assert_eq!(subject.finish(&run, outcome).await.expect_err("ended").kind(), ErrorKind::Conflict);
    }
    for point in [Point::metric("x", 0, 1.0), Point::param("p", 1), Point::tag("t", "v")] {
        assert_eq!(subject.log(&run, &[point]).await.expect_err("ended").kind(), ErrorKind::Conflict);
    }
    assert_eq!(subject.run(&run).await.expect("it is there"), ended);
}

/// Clause 9.
pub async fn an_unknown_run_is_not_found(subject: impl ExperimentTracker) {
    start(&subject, "e").await;
    let unknown = RunId::generate();
    assert_eq!(subject.run(&unknown).await.expect_err("unknown").kind(), ErrorKind::NotFound);
    let logged = subject.log(&unknown, &[Point::metric("x", 0, 1.0)]).await;
    assert_eq!(logged.expect_err("unknown").kind(), ErrorKind::NotFound);
    let finished = subject.finish(&unknown, RunOutcome::Finished).await;
    assert_eq!(finished.expect_err("unknown").kind(), ErrorKind::NotFound);
    let mut listing: Vec<_> = subject.metric_history(&unknown, "x").collect().await;
    assert_eq!(listing.len(), 1, "one error and nothing else");
    assert_eq!(listing.remove(0).expect_err("unknown").kind(), ErrorKind::NotFound);
}

/// Clause 10.
pub async fn listings_come_in_order(subject: impl ExperimentTracker) {
    // More than a page of any backend's listing.
    let names: BTreeSet<ExperimentName> = (0..70).map(|n| experiment(&format!("e{n}"))).collect();
    for name in names.iter().rev() {
        start(&subject, name.as_str()).await;
    }
    let found: Vec<_> = subject.experiments().try_collect().await.expect("all");
    assert_eq!(found, names.into_iter().collect::<Vec<_>>());

    let mut started = Vec::new();
    for _ in 0..70 {
        started.push(start(&subject, "many").await);
    }
    let runs: Vec<_> = subject.runs(&experiment("many")).try_collect().await.expect("all");
    assert!(runs.is_sorted_by_key(|run| (run.started, run.id)));
    let found: BTreeSet<_> = runs.iter().map(|run| run.id).collect();
    assert_eq!((runs.len(), found), (70, started.into_iter().collect()));
    assert!(subject.runs(&experiment("unknown")).next().await.is_none());
}

/// Clause 11.
pub async fn concurrent_logs_lose_nothing(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    let subject = Arc::new(subject);
    let tasks = (0..32_u32).map(|writer| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let points: Vec<_> = (0..10).map(|step| Point::metric_at("x", step, f64::from(writer), at(0))).collect();
            subject.log(&run, &points).await
        })
    });
    for logged in join_all(tasks).await {
        logged.expect("no panic").expect("valid");
    }
    assert_eq!(history(&*subject, &run, "x").await.len(), 320);
    let latest = subject.run(&run).await.expect("it is there").metrics["x"];
    assert_eq!((latest.step, latest.value), (9, 31.0));
}

/// Clause 12.
pub async fn points_beyond_the_limits_are_refused(subject: impl ExperimentTracker) {
    let run = start(&subject, "e").await;
    let long = "x".repeat(10_240);
    let good = Point::metric("good", 0, 1.0);
    for (what, bad) in [
        ("no key", vec![good.clone(), Point::metric("", 0, 1.0)]),
        ("long key", vec![good.clone(), Point::metric(&long, 0, 1.0)]),
        ("control character", vec![good.clone(), Point::param("a\nb", 0)]),
        ("long value", vec![good.clone(), Point::param("k", &long)]),
        ("NUL", vec![good.clone(), Point::tag("k", "a\0b")]),
        ("step beyond", vec![good.clone(), Point::metric("x", u64::MAX, 1.0)]),
        ("a million points", vec![good; 1_000_000]),
    ] {
        assert_eq!(subject.log(&run, &bad).await.expect_err(what).kind(), ErrorKind::InvalidInput, "{what}");
    }
    assert!(subject.run(&run).await.expect("it is there").metrics.is_empty());
    for bad in [NewRun::new(experiment("f"), ""), NewRun::new(experiment("f"), "ada").with_title(&long)] {
        assert_eq!(subject.start(bad).await.expect_err("bad text").kind(), ErrorKind::InvalidInput);
    }
    assert!(subject.runs(&experiment("f")).next().await.is_none());
}

fn experiment(text: &str) -> ExperimentName {
    text.parse().expect("a sound name")
}

fn at(micros: i64) -> EventTime {
    EventTime::from_micros(micros)
}

async fn start(subject: &impl ExperimentTracker, of: &str) -> RunId {
    subject.start(NewRun::new(experiment(of), "ada")).await.expect("a sound run")
}

async fn history(subject: &impl ExperimentTracker, run: &RunId, key: &str) -> Vec<MetricPoint> {
    subject.metric_history(run, key).try_collect().await.expect("the run is there")
}

/// Runs the suite of [`ExperimentTracker`](crate::ExperimentTracker) over a backend.
#[macro_export]
macro_rules! experiment_tracker_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::experiment_tracker, $factory, [$($($known),*)?];
            a_run_comes_back_as_logged,
            an_id_starts_one_run,
            metric_history_comes_in_order,
            every_number_is_kept,
            the_same_point_counts_once,
            a_parameter_has_one_value,
            the_last_tag_counts,
            an_ended_run_stays_as_it_is,
            an_unknown_run_is_not_found,
            listings_come_in_order,
            concurrent_logs_lose_nothing,
            points_beyond_the_limits_are_refused,
        }
    };
}
