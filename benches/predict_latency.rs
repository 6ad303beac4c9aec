//! How long one prediction takes, and what each layer adds to it: the native runtime alone, the server around it, and the
//! protocol around the server (JSON read and written, no network). The model is linear, of twelve columns.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request as HttpRequest, StatusCode},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ml_core::{
    Bundle, Compute, Result, Tensor, Tensors,
    id::Version,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    runtime::{InferenceRuntime, LoadOptions, native::NativeRuntime},
    signature::TensorSpec,
    tensor::{DType, json::WriteTensor},
};
use ml_serve::{MemorySource, ModelServer, Request, Server, http::router};
use std::{hint::black_box, num::NonZeroUsize, sync::Arc};
use tokio::runtime::Runtime;
use tower::ServiceExt;

const COLUMNS: u8 = 12;
const BATCHES: [usize; 2] = [1, 64];

/// The graph of a logistic regression as the trainers export it: one input a column.
fn model() -> Result<OnnxModel> {
    let mut graph = GraphBuilder::new("delays");
    let columns = (0..COLUMNS)
        .map(|column| graph.input(TensorSpec::batched(format!("column_{column}"), DType::Fp32, [1])))
        .collect::<Result<Vec<_>>>()?;
    let matrix = graph.node(Domain::Onnx, "Concat", &columns, vec![Attribute::int("axis", 1)]);
    let weight = |column: u8| f32::from(column) / 10.0 - 0.5;
    let coefficients = (0..COLUMNS).map(|column| -weight(column)).chain((0..COLUMNS).map(weight));
    let [label, probabilities] = graph.node_of(
        Domain::Ml,
        "LinearClassifier",
        &[matrix],
        vec![
            Attribute::ints("classlabels_ints", [0, 1]),
            Attribute::floats("coefficients", coefficients),
            Attribute::floats("intercepts", [0.25, -0.25]),
            Attribute::string("post_transform", "LOGISTIC"),
        ],
    );
    graph.output(label, TensorSpec::batched("label", DType::Int64, []))?;
    graph.output(probabilities, TensorSpec::batched("probabilities", DType::Fp32, [2]))?;
    graph.finish()
}

fn inputs(rows: usize) -> Result<Tensors> {
    let mut inputs = Tensors::new();
    for column in 0..COLUMNS {
        let values = (0..rows).map(|row| f32::from(column) + (row % 7) as f32 / 7.0).collect();
        inputs.insert(format!("column_{column}"), Tensor::column::<f32>(values))?;
    }
    Ok(inputs)
}

fn body(inputs: &Tensors) -> String {
    let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| WriteTensor { name, tensor }).collect();
    serde_json::json!({ "inputs": inputs }).to_string()
}

async fn serve(model: OnnxModel) -> Result<Arc<ModelServer>> {
    let source = MemorySource::new();
    source.publish("delays".parse()?, Version::FIRST, Bundle::builder(model).build()?)?;
    let server = ModelServer::builder(Arc::new(source), Compute::new(NonZeroUsize::MIN)?)
        .runtime(Arc::new(NativeRuntime))
        .serve("delays@1".parse()?)
        .build()?;
    server.load().await?;
    Ok(Arc::new(server))
}

async fn infer(router: Router, body: String) -> usize {
    let request = HttpRequest::post("/v2/models/delays/infer").body(Body::from(body)).expect("valid");
    let response = router.oneshot(request).await.expect("a router does not fail");
    assert_eq!(response.status(), StatusCode::OK);
    to_bytes(response.into_body(), usize::MAX).await.expect("whole").len()
}

fn predict_latency(criterion: &mut Criterion) {
    let model = model().expect("a valid graph");
    let native = NativeRuntime.load(&model, &LoadOptions::default()).expect("native operators").model;
    let tokio = Runtime::new().expect("threads");
    let server = tokio.block_on(serve(model)).expect("loaded");
    let router = router(Arc::<ModelServer>::clone(&server));

    let mut group = criterion.benchmark_group("predict_latency");
    for rows in BATCHES {
        let inputs = inputs(rows).expect("columns differ");
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("native", rows), |bencher| {
            bencher.iter(|| native.predict(black_box(&inputs)).expect("valid"));
        });
        group.bench_function(BenchmarkId::new("server", rows), |bencher| {
            let request = Request::new("delays".parse().expect("a name"), inputs.clone());
            bencher.iter(|| tokio.block_on(server.predict(request.clone())).expect("valid"));
        });
        group.bench_function(BenchmarkId::new("router", rows), |bencher| {
            let body = body(&inputs);
            bencher.iter(|| tokio.block_on(infer(router.clone(), body.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, predict_latency);
criterion_main!(benches);
