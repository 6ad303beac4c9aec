use crate::support::{ask, builder, hold, matrix, name, point, scale, scale_that_promises, scaled, source, version};
use async_trait::async_trait;
use ml_core::{
    Bundle, Error, ErrorKind, Result,
    id::{ModelName, ModelRef, Version},
    port::ModelSource,
};
use ml_serve::{MemorySource, ModelServer, Readiness, Response, Server, server::Refreshed};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

const ROWS: [[f32; 2]; 3] = [[1.0, -2.0], [3.5, 4.0], [0.0, 1e6]];

async fn champion(source: &Arc<MemorySource>) -> Arc<ModelServer> {
    let server = builder(source).serve("scale@champion".parse().expect("a reference")).build().expect("valid");
    server.load().await.expect("published");
    Arc::new(server)
}

async fn ask_version(server: &ModelServer) -> u32 {
    server.predict(ask(&ROWS)).await.expect("served").version.number()
}

/// Every output must be the one that the version named would give.
fn assert_of_one_version(response: &Response) {
    let expected = scaled(&matrix(&ROWS), response.version.number() as f32);
    assert_eq!(response.outputs, expected, "{}", response.version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_fail_no_request_and_mix_no_answer() {
    let source = source();
    let server = champion(&source).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (server, stop, answered) = (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    assert_of_one_version(&server.predict(ask(&ROWS)).await.expect("no request fails"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for swap in 0..60 {
        let to = swap % 3 + 1;
        point(&source, "scale", to);
        for Refreshed { outcome, .. } in server.refresh().await {
            outcome.expect("a good version");
        }
        assert_eq!(ask_version(&server).await, to, "a request after the swap is answered by the new version");
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 4 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no assertion failed");
    }
}

#[tokio::test]
async fn a_request_finishes_on_the_version_it_began_with() {
    let source = source();
    let (guard, mut holder) = hold();
    let server = builder(&source).guard(guard).serve("scale@champion".parse().expect("a reference")).build();
    let server = Arc::new(server.expect("valid"));
    server.load().await.expect("published");

    let begun = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.predict(ask(&ROWS)).await }
    });
    assert_eq!(holder.arrival().await.version, version(1));
    point(&source, "scale", 2);
    server.load().await.expect("published");
    assert_eq!(server.model(&name("scale"), None).expect("served").version, version(2));

    drop(holder);
    let response = begun.await.expect("no panic").expect("answered");
    assert_eq!(response.version, version(1));
    assert_of_one_version(&response);
    assert_eq!(ask_version(&server).await, 2);
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_leaves_the_one_before_serving() {
    let source = source();
    let server = champion(&source).await;
    source.publish(name("scale"), version(4), scale_that_promises(4.0, 5.0)).expect("new");
    point(&source, "scale", 4);

    let refreshed = server.refresh().await.remove(0);
    assert_eq!(refreshed.at.to_string(), "scale@champion");
    let error = refreshed.outcome.expect_err("its golden outputs differ");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let told = error.to_string();
    let expected = "serve.load: the loaded model does not give the golden outputs (output: y, expected: 5, got: 4, ";
    assert!(told.starts_with(expected) && told.ends_with("reference: scale@champion)"), "{told}");
    assert_eq!((server.readiness(), ask_version(&server).await), (Readiness::Ready, 1));

    point(&source, "scale", 3);
    let change = server.refresh().await.remove(0).outcome.expect("a good version");
    assert_eq!((change.from, change.to, change.is_swap()), (Some(version(1)), version(3), true));
    let again = server.refresh().await.remove(0).outcome.expect("a good version");
    assert!(!again.is_swap());
    assert_eq!(ask_version(&server).await, 3);
}

#[tokio::test]
async fn the_first_reference_of_a_name_is_its_default_and_the_others_answer_by_version() {
    let server = builder(&source())
        .serve("scale@champion".parse().expect("a reference"))
        .serve("scale@3".parse().expect("a reference"))
        .build()
        .expect("valid");
    server.load().await.expect("published");
    assert_eq!(ask_version(&server).await, 1);
    let response = server.predict(ask(&ROWS).with_version(version(3))).await.expect("served");
    assert_eq!(response.version, version(3));
    assert_of_one_version(&response);
    let error = server.predict(ask(&ROWS).with_version(version(2))).await.expect_err("published and not served");
    assert_eq!(error.to_string(), "serve.predict: the model is not served (model: scale, version: 2)");
}

#[tokio::test]
async fn what_is_missing_is_named_and_the_rest_is_served() {
    let source = source();
    let server = builder(&source)
        .serve("late@champion".parse().expect("a reference"))
        .serve("scale@champion".parse().expect("a reference"))
        .build()
        .expect("valid");
    assert_eq!(server.readiness(), Readiness::Starting);
    let error = server.predict(ask(&ROWS)).await.expect_err("nothing is loaded");
    assert_eq!(error.to_string(), "serve.predict: the model is not loaded yet (model: scale)");

    let error = server.load().await.expect_err("not published");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().ends_with("reference: late@champion)"), "{error}");
    assert_eq!((server.readiness(), ask_version(&server).await), (Readiness::Starting, 1));

    source.publish(name("late"), version(1), scale(9.0)).expect("new");
    point(&source, "late", 1);
    server.load().await.expect("published now");
    assert_eq!(server.readiness(), Readiness::Ready);
}

/// Counts what is fetched, and can be down.
#[derive(Debug)]
struct Watched {
    source: Arc<MemorySource>,
    resolves: AtomicU32,
    fetches: AtomicU32,
    is_down: AtomicBool,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            source: source(),
            resolves: AtomicU32::new(0),
            fetches: AtomicU32::new(0),
            is_down: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl ModelSource for Watched {
    async fn resolve(&self, at: &ModelRef) -> Result<Version> {
        self.resolves.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the registry does not answer"));
        }
        self.source.resolve(at).await
    }

    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Bundle> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.source.fetch(name, version).await
    }
}

#[tokio::test]
async fn a_version_is_loaded_once_for_all_references_and_callers() {
    let source = Watched::new();
    let server = builder(&source)
        .serve("scale@champion".parse().expect("a reference"))
        .serve("scale@1".parse().expect("a reference"))
        .build()
        .expect("valid");
    let (one, other) = tokio::join!(server.load(), server.load());
    one.and(other).expect("published");
    assert_eq!(source.fetches.load(Ordering::Relaxed), 1);
    assert_eq!(server.models().len(), 1);
}

#[tokio::test]
async fn a_source_that_is_down_leaves_every_version_serving() {
    let source = Watched::new();
    let server = builder(&source).serve("scale@champion".parse().expect("a reference")).build().expect("valid");
    server.load().await.expect("published");
    point(&source.source, "scale", 2);
    source.is_down.store(true, Ordering::Relaxed);
    let error = server.refresh().await.remove(0).outcome.expect_err("down");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!((server.readiness(), ask_version(&server).await), (Readiness::Ready, 1));

    source.is_down.store(false, Ordering::Relaxed);
    server.load().await.expect("up again");
    assert_eq!(ask_version(&server).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_follows_the_alias_and_ends_when_told() {
    let source = source();
    let server = champion(&source).await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let end = async { stopped.await.unwrap_or(()) };
    let watch = tokio::spawn(Arc::clone(&server).watch(Duration::from_secs(30), end));

    for to in [2, 3, 1] {
        point(&source, "scale", to);
        // Time is paused: it runs ahead to the next timer whenever nothing else is to do.
        while ask_version(&server).await != to {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    stop.send(()).expect("watching");
    watch.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_watch_does_not_fetch_a_broken_version_at_each_round() {
    let source = Watched::new();
    let server = builder(&source).serve("scale@champion".parse().expect("a reference")).build().expect("valid");
    server.load().await.expect("published");
    let server = Arc::new(server);
    source.source.publish(name("scale"), version(4), scale_that_promises(4.0, 5.0)).expect("new");
    point(&source.source, "scale", 4);
    let watch = tokio::spawn(Arc::clone(&server).watch(Duration::from_secs(30), std::future::pending()));

    while source.resolves.load(Ordering::Relaxed) < 100 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The first load, then one at the rounds 1, 3, 6, 11, 20, 37, 54, 71 and 88.
    assert_eq!(source.fetches.load(Ordering::Relaxed), 10);
    assert_eq!((server.readiness(), ask_version(&server).await), (Readiness::Ready, 1));
    server.refresh().await.remove(0).outcome.expect_err("asked for by hand, it is tried at once");

    point(&source.source, "scale", 3);
    while ask_version(&server).await != 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    watch.abort();
}

#[tokio::test]
async fn a_server_that_could_serve_nothing_is_not_built() {
    let at = || "scale@1".parse().expect("a reference");
    let twice = builder(&source()).serve(at()).serve(at()).build();
    assert_eq!(twice.expect_err("twice").to_string(), "a model is served twice (model: scale@1)");
    assert_eq!(builder(&source()).build().expect_err("none").to_string(), "a server without models");
    let compute = ml_core::Compute::new(std::num::NonZeroUsize::MIN).expect("threads");
    let without = ModelServer::builder(source(), compute).serve(at()).build();
    assert_eq!(without.expect_err("none").to_string(), "a server without runtimes");
}
