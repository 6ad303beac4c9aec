//! Models, and parts that can be held and watched, for the tests.

use ml_core::{
    Bundle, Compute, Error, InferenceRuntime, Model, Result, Signature, Tensor, Tensors,
    bundle::BundleBuilder,
    id::{ModelName, Version},
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    port::{ModelSource, PredictionSink, RequestGuard, RequestMeta, Verdict},
    runtime::{LoadOptions, LoadReport, LoadedModel, native::NativeRuntime},
    signature::TensorSpec,
    tensor::DType,
};
use ml_serve::{MemorySource, ModelServer, Request, server::ModelServerBuilder};
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) const CHAMPION: &str = "champion";

pub(crate) fn name(text: &str) -> ModelName {
    text.parse().expect("a name")
}

pub(crate) fn version(number: u32) -> Version {
    Version::new(number).expect("not zero")
}

/// A source with `scale` at versions 1 to 3, where version `k` multiplies by `k`, and `sum` and `latin1` at version 1.
pub(crate) fn source() -> Arc<MemorySource> {
    let source = MemorySource::new();
    for k in 1..=3 {
        source.publish(name("scale"), version(k), scale(k as f32)).expect("new");
    }
    source.publish(name("sum"), version(1), sum()).expect("new");
    source.publish(name("latin1"), version(1), latin1()).expect("new");
    point(&source, "scale", 1);
    Arc::new(source)
}

pub(crate) fn point(source: &MemorySource, model: &str, to: u32) {
    source.point(name(model), CHAMPION.parse().expect("an alias"), version(to)).expect("published");
}

pub(crate) fn builder<S: ModelSource>(source: &Arc<S>) -> ModelServerBuilder {
    let compute = Compute::new(NonZeroUsize::new(2).expect("not zero")).expect("threads");
    ModelServer::builder(Arc::<S>::clone(source), compute)
        .runtime(Arc::new(Latin1Runtime))
        .runtime(Arc::new(NativeRuntime))
}

/// A server of `scale@champion`, `scale@3`, `sum@1` and `latin1@1`, loaded.
pub(crate) async fn ready() -> Arc<ModelServer> {
    let mut builder = builder(&source());
    for at in ["scale@champion", "scale@3", "sum@1", "latin1@1"] {
        builder = builder.serve(at.parse().expect("a reference"));
    }
    let server = builder.build().expect("valid");
    server.load().await.expect("published");
    Arc::new(server)
}

/// Asks `scale` about rows of two numbers.
pub(crate) fn ask(rows: &[[f32; 2]]) -> Request {
    Request::new(name("scale"), Tensors::new().with("x", matrix(rows)).expect("one name"))
}

pub(crate) fn matrix(rows: &[[f32; 2]]) -> Tensor {
    Tensor::new([rows.len(), 2], rows.concat()).expect("rows of two")
}

/// `y = k·x` and `factor = k`, in ONNX.
pub(crate) fn scale(k: f32) -> Bundle {
    scale_that_promises(k, k)
}

/// A model that multiplies by `k`, in a bundle whose golden outputs are those of another factor.
pub(crate) fn scale_that_promises(k: f32, promised: f32) -> Bundle {
    let mut graph = GraphBuilder::new("scale");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("the first");
    let scaling = vec![Attribute::floats("offset", [0.0, 0.0]), Attribute::floats("scale", [k, k])];
    let y = graph.node(Domain::Ml, "Scaler", &[x], scaling);
    let constant = vec![Attribute::floats("coefficients", [0.0, 0.0]), Attribute::floats("intercepts", [k])];
    let factor = graph.node(Domain::Ml, "LinearRegressor", &[x], constant);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [2])).expect("a new name");
    graph.output(factor, TensorSpec::batched("factor", DType::Fp32, [1])).expect("a new name");

    let x = matrix(&[[1.0, 2.0], [3.0, -4.0]]);
    let golden = scaled(&x, promised);
    Bundle::builder(graph.finish().expect("valid"))
        .golden(Tensors::new().with("x", x).expect("one name"), golden)
        .and_then(BundleBuilder::build)
        .expect("fits")
}

/// What `scale` must give.
pub(crate) fn scaled(x: &Tensor, k: f32) -> Tensors {
    let y = x.values::<f32>().expect("floats").iter().map(|x| k * x).collect();
    Tensors::new()
        .with("y", Tensor::new(x.shape(), y).expect("the shape of x"))
        .and_then(|outputs| outputs.with("factor", Tensor::column(vec![k; x.rows()])))
        .expect("two names")
}

/// `sum = a + b`, in ONNX.
fn sum() -> Bundle {
    let mut graph = GraphBuilder::new("sum");
    let columns = ["a", "b"].map(|name| graph.input(TensorSpec::batched(name, DType::Fp32, [1])).expect("a new name"));
    let matrix = graph.node(Domain::Onnx, "Concat", &columns, vec![Attribute::int("axis", 1)]);
    let ones = vec![Attribute::floats("coefficients", [1.0, 1.0]), Attribute::floats("intercepts", [0.0])];
    let sum = graph.node(Domain::Ml, "LinearRegressor", &[matrix], ones);
    graph.output(sum, TensorSpec::batched("sum", DType::Fp32, [1])).expect("a new name");
    Bundle::builder(graph.finish().expect("valid")).build().expect("valid")
}

/// Text in Latin-1: bytes that are not always UTF-8, which no graph of the native runtime gives.
fn latin1() -> Bundle {
    let signature = Signature::new(
        vec![TensorSpec::batched("text", DType::Bytes, [])],
        vec![TensorSpec::batched("latin1", DType::Bytes, [])],
    )
    .expect("valid");
    Bundle::builder(OnnxModel { bytes: "latin1".into(), signature }).build().expect("valid")
}

/// Runs `latin1`, which is no ONNX.
#[derive(Debug)]
struct Latin1Runtime;

impl InferenceRuntime for Latin1Runtime {
    fn name(&self) -> &'static str {
        "latin1"
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        model.bytes == "latin1"
    }

    fn load(&self, model: &OnnxModel, _options: &LoadOptions) -> Result<LoadedModel> {
        if !self.supports(model) {
            return Err(Error::unsupported("this is not Latin-1"));
        }
        let model = Arc::new(Latin1(model.signature.clone()));
        Ok(LoadedModel { model, report: LoadReport::cpu("latin1", "1") })
    }
}

#[derive(Debug)]
struct Latin1(Signature);

impl Model for Latin1 {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.0.check_inputs(inputs)?;
        let encode = |text: &bytes::Bytes| {
            let text = std::str::from_utf8(text).map_err(|e| Error::invalid_input("not UTF-8").with_source(e))?;
            let byte = |c: char| u8::try_from(u32::from(c)).map_err(|_| Error::invalid_input("not in Latin-1"));
            Ok(text.chars().map(byte).collect::<Result<Vec<u8>>>()?.into())
        };
        let encoded = inputs.require("text")?.values()?.iter().map(encode).collect::<Result<_>>()?;
        Tensors::new().with("latin1", Tensor::vector::<bytes::Bytes>(encoded))
    }
}

/// Holds a pool thread until it is let go: a guard that lets the request pass then, and a sink that keeps what it heard.
#[derive(Debug)]
pub(crate) struct Hold {
    arrived: UnboundedSender<RequestMeta>,
    go: Mutex<std::sync::mpsc::Receiver<()>>,
    pub(crate) heard: Mutex<Vec<(RequestMeta, Tensors, Tensors)>>,
}

/// The other side of a [`Hold`]. Once it is dropped, nothing is held any more.
pub(crate) struct Holder {
    arrived: UnboundedReceiver<RequestMeta>,
    go: std::sync::mpsc::Sender<()>,
}

pub(crate) fn hold() -> (Arc<Hold>, Holder) {
    let (arrived, arrivals) = unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel();
    let hold = Hold { arrived, go: Mutex::new(gone), heard: Mutex::default() };
    (Arc::new(hold), Holder { arrived: arrivals, go })
}

impl Hold {
    fn wait(&self, meta: &RequestMeta) {
        // Without a holder, both fail at once.
        let _ = self.arrived.send(meta.clone());
        let _ = self.go.lock().expect("no panic under the lock").recv();
    }
}

impl Holder {
    pub(crate) async fn arrival(&mut self) -> RequestMeta {
        self.arrived.recv().await.expect("the hold is alive")
    }

    pub(crate) fn let_go(&self) {
        self.go.send(()).expect("the hold is alive");
    }
}

impl RequestGuard for Hold {
    fn inspect(&self, meta: &RequestMeta, _inputs: &Tensors) -> Verdict {
        self.wait(meta);
        Verdict::Allow
    }
}

impl PredictionSink for Hold {
    fn record(&self, meta: &RequestMeta, inputs: &Tensors, outputs: &Tensors) {
        self.wait(meta);
        self.heard.lock().expect("no panic under the lock").push((meta.clone(), inputs.clone(), outputs.clone()));
    }
}
