//! The life of a model over all crates: trained, gated, served, swapped, watched.

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use ml_platform::{
    Model, Platform, Result, Trainer,
    core::{
        Bundle, Dataset, Table, Tensors,
        arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray},
        bundle,
        id::{ModelName, Version},
        model::positive_probabilities,
        trainer::{self, FitContext, logistic::Logistic},
        transform,
    },
    govern::{EvidenceGate, GateParams},
    monitor::{DriftMonitor, PopulationStability, Reference, Sample, WindowSink},
    registry::{AliasMove, GatedRegistry, NewVersion, Promotion},
    serve::{Request as Question, Server, http},
};
use std::sync::Arc;
use tower::ServiceExt as _;

pub(crate) fn name() -> ModelName {
    "late".parse().expect("a name")
}

/// Flights whose delay depends on wind and carrier; `shift` moves the wind.
pub(crate) fn rows(shift: f64) -> RecordBatch {
    let n = 600_u32;
    let wind: Vec<Option<f64>> = (0..n).map(|i| (i % 17 != 0).then(|| f64::from(i * 7 % 40) + shift)).collect();
    let carrier: Vec<&str> = (0..n).map(|i| ["AA", "B6", "UA"][i as usize % 3]).collect();
    let late: BooleanArray = (0..n).map(|i| Some((i * 7 % 40) + 9 * (i % 3) + (i * 13 % 11) > 34)).collect();
    RecordBatch::try_from_iter([
        ("wind", Arc::new(Float64Array::from(wind)) as ArrayRef),
        ("carrier", Arc::new(StringArray::from(carrier))),
        ("late", Arc::new(late)),
    ])
    .expect("columns of one length")
}

pub(crate) fn model(rows: &RecordBatch) -> Result<impl trainer::TrainedModel + use<>> {
    let data = Dataset::new(Table::from(rows.clone())).features(["wind", "carrier"])?.label("late")?;
    Logistic::new(Default::default())?.fit(&data, &FitContext::default())
}

pub(crate) fn bundle(model: &impl trainer::TrainedModel, rows: &RecordBatch) -> Result<Bundle> {
    let seen = Sample::from_tensors(&transform::inputs(model.signature(), rows)?)?;
    trainer::bundle(model, rows)?
        .json(bundle::METRICS, &serde_json::json!({ "roc_auc": 0.9 }))?
        .json(bundle::REFERENCE, &Reference::freeze(&seen, &Default::default())?)?
        .build()
}

/// Asks over HTTP, and tells the version that answered.
async fn ask(app: &axum::Router, inputs: Tensors) -> Result<(Version, Vec<f64>)> {
    let question = Question::new(name(), inputs);
    let request = Request::post(http::client::path(&question)).body(Body::from(http::client::body(&question)?));
    let response = app.clone().oneshot(request.expect("a request")).await.expect("a router does not fail");
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a short body");
    let answer = http::client::read(std::str::from_utf8(&body).expect("JSON is UTF-8"))?;
    Ok((answer.version, positive_probabilities(&answer.outputs)?))
}

#[tokio::test]
async fn an_alias_that_moves_swaps_what_is_served_and_both_predict_as_in_process() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Platform::open(folder.path()).await?;
    let (calm, windy) = (rows(0.0), rows(15.0));
    let server = Arc::new(platform.server().serve("late@champion".parse()?).build()?);
    let app = http::router(server.clone());

    let mut serving = None;
    for trained_on in [&calm, &windy] {
        let model = model(trained_on)?;
        let bundle = bundle(&model, trained_on)?;
        let version = platform.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "test")).await?;
        let change = AliasMove::set("champion".parse()?, version, "test").expecting(serving);
        platform.registry.set_alias(&name(), change).await?;
        server.load().await?;

        let inputs = transform::inputs(model.signature(), &calm)?;
        let (answered, served) = ask(&app, inputs.clone()).await?;
        assert_eq!(answered, version);
        for (served, expected) in served.iter().zip(positive_probabilities(&model.predict(&inputs)?)?) {
            assert!((served - expected).abs() <= 1e-6, "{served} {expected}");
        }
        serving = Some(version);
    }
    Ok(())
}

#[tokio::test]
async fn a_gate_that_refuses_leaves_the_champion_serving() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Platform::open(folder.path()).await?;
    let model = model(&rows(0.0))?;
    let good = bundle(&model, &rows(0.0))?;
    let bad =
        trainer::bundle(&model, &rows(0.0))?.json(bundle::METRICS, &serde_json::json!({ "roc_auc": 0.5 }))?.build()?;
    let gate = GateParams { minimum_metrics: [("roc_auc".into(), 0.7)].into(), ..Default::default() };
    let gated = GatedRegistry::new(
        platform.registry.clone(),
        platform.artifacts.clone(),
        EvidenceGate::new(gate)?,
        ["champion".parse()?],
    );

    let first = platform.publish(&name(), &good, NewVersion::new(good.digest(), "test")).await?;
    let second = platform.publish(&name(), &bad, NewVersion::new(bad.digest(), "test")).await?;
    let moved = gated.promote(&name(), AliasMove::set("champion".parse()?, first, "test")).await?;
    assert!(matches!(moved, Promotion::Moved(_)), "{moved:?}");

    let change = AliasMove::set("champion".parse()?, second, "test").expecting(first);
    let Promotion::Refused(verdict) = gated.promote(&name(), change).await? else { panic!("promoted a bad version") };
    assert_eq!(verdict.reasons(), ["metric roc_auc is 0.5, asked for at least 0.7"]);

    let server = platform.server().serve("late@champion".parse()?).build()?;
    server.load().await?;
    assert_eq!(server.model(&name(), None)?.version, first);
    Ok(())
}

#[tokio::test]
async fn what_is_served_is_watched_against_the_reference_of_its_bundle() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Platform::open(folder.path()).await?;
    let model = model(&rows(0.0))?;
    let bundle = bundle(&model, &rows(0.0))?;
    let version = platform.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "test")).await?;

    for (shift, moved) in [(0.0, vec![]), (15.0, vec!["wind"])] {
        let sink = Arc::new(WindowSink::new(Default::default())?);
        let monitor = DriftMonitor::new(sink.clone(), PopulationStability::new(Default::default())?);
        monitor.watch(&name(), version, &bundle)?;
        let server = Arc::new(platform.server().serve("late@1".parse()?).sink(sink).build()?);
        server.load().await?;
        ask(&http::router(server.clone()), transform::inputs(model.signature(), &rows(shift))?).await?;
        server.close().await; // waits for the sink

        let report = monitor.report(&name(), version)?.drift;
        assert_eq!(report.current_rows, 600);
        assert_eq!(report.moved().map(|column| column.name.as_str()).collect::<Vec<_>>(), moved);
    }
    Ok(())
}
