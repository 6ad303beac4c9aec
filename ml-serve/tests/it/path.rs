use crate::support::{ask, builder, hold, matrix, name, scaled, source, version};
use ml_core::{
    ErrorKind, Tensors,
    port::{PredictionSink, RequestGuard, RequestMeta, Verdict},
    time::{CreatedTime, ManualClock},
};
use ml_serve::{MAX_ID_BYTES, ModelServer, Readiness, Server, server::ModelServerBuilder};
use std::{num::NonZeroU16, sync::Arc};

const ROWS: [[f32; 2]; 2] = [[1.0, 2.0], [3.0, 4.0]];

/// Says of every request what its id says.
#[derive(Debug)]
struct ById;

impl RequestGuard for ById {
    fn inspect(&self, meta: &RequestMeta, inputs: &Tensors) -> Verdict {
        match meta.id.as_str() {
            "flag" => Verdict::Flag(vec!["looks odd".into()]),
            "refuse" => Verdict::Refuse(vec![format!("{} rows", inputs.rows()), "of no use".into()]),
            "panic" => panic!("the guard is broken"),
            _ => Verdict::Allow,
        }
    }
}

#[derive(Debug)]
struct Broken;

impl PredictionSink for Broken {
    fn record(&self, _meta: &RequestMeta, _inputs: &Tensors, _outputs: &Tensors) {
        panic!("the sink is broken");
    }
}

async fn loaded(with: impl FnOnce(ModelServerBuilder) -> ModelServerBuilder) -> Arc<ModelServer> {
    let builder = with(builder(&source())).serve("scale@2".parse().expect("a reference"));
    let server = builder.build().expect("valid");
    server.load().await.expect("published");
    Arc::new(server)
}

#[tokio::test]
async fn a_guard_refuses_before_the_model_and_the_sink() {
    let (sink, _) = hold();
    let server = loaded(|b| b.guard(Arc::new(ById)).sink(sink.clone())).await;
    server.predict(ask(&ROWS).with_id("flag")).await.expect("flagged and answered");
    let error = server.predict(ask(&ROWS).with_id("refuse")).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "serve.predict: a guard refused the request (reasons: 2 rows; of no use)");

    let error = server.predict(ask(&ROWS).with_id("panic")).await.expect_err("a broken guard lets nothing pass");
    assert_eq!(error.kind(), ErrorKind::Internal);
    server.predict(ask(&ROWS)).await.expect("the next is answered");

    server.close().await;
    let heard = sink.heard.lock().expect("no panic");
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].0.id, "flag");
}

#[tokio::test]
async fn the_answer_does_not_wait_for_the_sink_and_closing_does() {
    let (sink, mut holder) = hold();
    let clock = Arc::new(ManualClock::new(CreatedTime::from_micros(1_000)));
    let server = loaded(|b| b.sink(sink.clone()).clock(clock)).await;

    let response = server.predict(ask(&ROWS).with_id("a").with_outputs(["factor"])).await.expect("answered");
    assert_eq!(response.outputs.len(), 1);
    holder.arrival().await;
    assert!(sink.heard.lock().expect("no panic").is_empty(), "the answer came while the sink was held");

    let closing = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.close().await }
    });
    while server.readiness() != Readiness::Closed {
        tokio::task::yield_now().await;
    }
    assert!(!closing.is_finished());
    holder.let_go();
    closing.await.expect("no panic");

    let heard = sink.heard.lock().expect("no panic");
    let (meta, inputs, outputs) = &heard[0];
    let expected = RequestMeta::new("a", name("scale"), version(2), CreatedTime::from_micros(1_000));
    assert_eq!(meta, &expected);
    assert_eq!(inputs.require("x").expect("heard"), &matrix(&ROWS));
    assert_eq!(outputs, &scaled(&matrix(&ROWS), 2.0), "all outputs, whatever was asked for");
}

#[tokio::test]
async fn a_broken_sink_spoils_no_answer() {
    let server = loaded(|b| b.sink(Arc::new(Broken))).await;
    for _ in 0..100 {
        server.predict(ask(&ROWS)).await.expect("answered");
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_until_one_is_done() {
    let (guard, mut holder) = hold();
    let server = loaded(|b| b.guard(guard).max_in_flight(NonZeroU16::MIN)).await;
    let begun = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.predict(ask(&ROWS)).await }
    });
    holder.arrival().await;
    let error = server.predict(ask(&ROWS)).await.expect_err("one is under way");
    assert_eq!(error.to_string(), "serve.predict: too many requests are under way (max_in_flight: 1)");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    drop(holder);
    begun.await.expect("no panic").expect("answered");
    server.close().await;
}

#[tokio::test]
async fn a_request_given_up_does_not_hold_up_closing() {
    let (guard, mut holder) = hold();
    let server = loaded(|b| b.guard(guard)).await;
    let begun = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.predict(ask(&ROWS)).await }
    });
    holder.arrival().await;
    begun.abort();
    assert!(begun.await.expect_err("aborted").is_cancelled());
    drop(holder);
    server.close().await;
}

#[tokio::test]
async fn a_long_id_is_refused() {
    let server = loaded(|b| b).await;
    let id = "x".repeat(MAX_ID_BYTES);
    assert_eq!(server.predict(ask(&ROWS).with_id(&id)).await.expect("fits").id, id);
    let error = server.predict(ask(&ROWS).with_id(id + "x")).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
