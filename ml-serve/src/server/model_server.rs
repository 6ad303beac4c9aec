//! The server over a [`ModelSource`].

mod admission;
mod builder;
mod refresh;
mod slot;

pub use builder::ModelServerBuilder;
pub use refresh::{Change, Refreshed};

use super::Server;
use crate::{MAX_ID_BYTES, Readiness, Request, Response, ServedModel};
use admission::Admission;
use async_trait::async_trait;
use futures_util::future::{Either, select};
use ml_core::{
    Compute, Error, InferenceRuntime, Result, Signature, Tensors,
    id::{At, ModelName, Version},
    port::{ModelSource, PredictionSink, RequestGuard, RequestMeta, Verdict},
    runtime::LoadOptions,
    time::Clock,
};
use slot::{Loaded, Slot};
use std::{pin::pin, sync::Arc};
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;

/// Serves the models of a [`ModelSource`], and swaps a model when its alias moves.
///
/// Guards, model and sinks run on the host's [`Compute`] pool, never on the threads of the async runtime. The answer
/// leaves before the sinks hear of it.
///
/// A swap is one pointer: requests that have begun finish on the version they began with, later ones get the new one,
/// and the old version is freed when its last request is done. A new version serves only once it is loaded and has given
/// its golden outputs; if it cannot, the old one serves on.
///
/// The life of a server: [`build`](ModelServerBuilder::build), [`load`](ModelServer::load), serve, with
/// [`watch`](ModelServer::watch) on the side, [`drain`](Server::drain), [`close`](Server::close).
///
/// ```
/// # use ml_core::{onnx::graph::{Attribute, Domain, GraphBuilder}, signature::TensorSpec, tensor::DType};
/// # use ml_core::{Bundle, Compute, Result, Tensor, Tensors, id::Version, runtime::native::NativeRuntime};
/// # use std::{num::NonZeroUsize, sync::Arc};
/// use ml_serve::{MemorySource, ModelServer, Server};
///
/// # fn fares(price_of_a_mile: f32) -> Result<Bundle> {
/// #     let mut graph = GraphBuilder::new("fares");
/// #     let miles = graph.input(TensorSpec::batched("miles", DType::Fp32, [1]))?;
/// #     let weights = vec![Attribute::floats("coefficients", [price_of_a_mile]), Attribute::floats("intercepts", [3.0])];
/// #     let fare = graph.node(Domain::Ml, "LinearRegressor", &[miles], weights);
/// #     graph.output(fare, TensorSpec::batched("prediction", DType::Fp32, [1]))?;
/// #     Bundle::builder(graph.finish()?).build()
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let compute = Compute::new(NonZeroUsize::new(2).unwrap())?;
/// let source = Arc::new(MemorySource::new());
/// source.publish("fares".parse()?, Version::FIRST, fares(2.5)?)?;
/// source.point("fares".parse()?, "champion".parse()?, Version::FIRST)?;
/// let server = ModelServer::builder(source.clone(), compute)
///     .runtime(Arc::new(NativeRuntime))
///     .serve("fares@champion".parse()?)
///     .build()?;
/// server.load().await?;
///
/// let second = "2".parse()?;
/// source.publish("fares".parse()?, second, fares(2.75)?)?;
/// source.point("fares".parse()?, "champion".parse()?, second)?;
/// for refreshed in server.refresh().await {
///     assert!(refreshed.outcome?.is_swap());
/// }
/// assert_eq!(server.model(&"fares".parse()?, None)?.version, second);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ModelServer {
    slots: Vec<Slot>,
    source: Arc<dyn ModelSource>,
    runtimes: Arc<[Arc<dyn InferenceRuntime>]>,
    load_options: LoadOptions,
    compute: Compute,
    guards: Arc<[Arc<dyn RequestGuard>]>,
    sinks: Arc<[Arc<dyn PredictionSink>]>,
    clock: Arc<dyn Clock>,
    admission: Admission,
    /// Held while models are brought, so that one version is not loaded twice at once.
    loading: Mutex<()>,
}

impl ModelServer {
    /// Starts a server over a source, computing on the host's pool.
    pub fn builder(source: Arc<dyn ModelSource>, compute: Compute) -> ModelServerBuilder {
        ModelServerBuilder::new(source, compute)
    }

    async fn answer(&self, request: Request) -> Result<Response> {
        let received = self.clock.now();
        let permit = self.admission.enter()?;
        let loaded = self.find(&request.model, request.version)?;
        let Request { model, id, inputs, outputs: wanted, .. } = request;
        check_id(id.as_deref())?;
        loaded.signature.check_inputs(&inputs)?;
        check_wanted(&loaded.signature, &wanted)?;

        let id = id.unwrap_or_else(|| Uuid::now_v7().simple().to_string());
        let meta = RequestMeta::new(id, model, loaded.version, received);
        let (guards, sinks) = (Arc::clone(&self.guards), Arc::clone(&self.sinks));
        let (answer, answered) = oneshot::channel();
        let job = self.compute.run(move || {
            // Held to the end of the job, so that closing also waits for the sinks.
            let _permit = permit;
            if answer.is_closed() {
                return; // The caller has gone while the request waited for a thread.
            }
            let outputs = match inspect(&guards, &meta, &inputs).and_then(|()| loaded.model.predict(&inputs)) {
                Ok(outputs) => outputs,
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return;
                }
            };
            let heard = (!sinks.is_empty()).then(|| outputs.clone());
            let _ = answer.send(
                pick(outputs, &wanted)
                    .map(|outputs| Response::new(meta.model.clone(), meta.version, meta.id.clone(), outputs)),
            );
            if let Some(outputs) = heard {
                for sink in sinks.iter() {
                    sink.record(&meta, &inputs, &outputs);
                }
            }
        });
        // The job goes on behind the answer; it is waited for only when it ends without one, that is, when it panics.
        match select(answered, pin!(job)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), job)) => Err(job.await.err().unwrap_or_else(no_answer)),
            Either::Right((ended, mut answered)) => {
                answered.try_recv().unwrap_or_else(|_| Err(ended.err().unwrap_or_else(no_answer)))
            }
        }
    }

    /// The version asked for, or the first that serves the name.
    fn find(&self, name: &ModelName, version: Option<Version>) -> Result<Arc<Loaded>> {
        let mut may_come = false;
        for slot in self.slots.iter().filter(|slot| slot.at.name == *name) {
            match (slot.current(), version) {
                (Some(loaded), None) => return Ok(loaded),
                (Some(loaded), Some(version)) if loaded.version == version => return Ok(loaded),
                (Some(_), Some(_)) => {}
                // The first slot of a name is its default: another does not stand in for it.
                (None, None) => return Err(not_loaded(name, version)),
                (None, Some(version)) => may_come |= slot.at.at == At::Version(version),
            }
        }
        Err(if may_come {
            not_loaded(name, version)
        } else {
            let error = Error::not_found("the model is not served").with("model", name);
            if let Some(version) = version { error.with("version", version) } else { error }
        })
    }
}

#[async_trait]
impl Server for ModelServer {
    async fn predict(&self, request: Request) -> Result<Response> {
        self.answer(request).await.map_err(|error| error.op("serve.predict"))
    }

    fn readiness(&self) -> Readiness {
        match self.admission.readiness() {
            Readiness::Ready if self.slots.iter().any(|slot| slot.current().is_none()) => Readiness::Starting,
            readiness => readiness,
        }
    }

    fn model(&self, name: &ModelName, version: Option<Version>) -> Result<ServedModel> {
        self.find(name, version).map(|loaded| loaded.describe()).map_err(|error| error.op("serve.model"))
    }

    fn models(&self) -> Vec<ServedModel> {
        let mut models: Vec<ServedModel> = Vec::with_capacity(self.slots.len());
        for loaded in self.slots.iter().filter_map(Slot::current) {
            if !models.iter().any(|model| model.name == loaded.name && model.version == loaded.version) {
                models.push(loaded.describe());
            }
        }
        models
    }

    fn drain(&self) {
        self.admission.drain();
    }

    async fn close(&self) {
        self.admission.close().await;
    }
}

fn check_id(id: Option<&str>) -> Result<()> {
    match id.map(str::len) {
        Some(got) if got > MAX_ID_BYTES => Err(Error::invalid_input("the id of the request is too long")
            .with("max_bytes", MAX_ID_BYTES)
            .with("got", got)),
        _ => Ok(()),
    }
}

fn check_wanted(signature: &Signature, wanted: &[String]) -> Result<()> {
    // Each name once is at most as many as there are, so a long list costs no more than the model's own.
    if wanted.len() > signature.outputs().len() {
        return Err(Error::invalid_input("more outputs are asked for than the model has")
            .with("expected", signature.outputs().len())
            .with("got", wanted.len()));
    }
    for (i, name) in wanted.iter().enumerate() {
        if signature.outputs().iter().all(|spec| spec.name != *name) {
            return Err(Error::invalid_input("the model has no such output").with("output", name.escape_debug()).with(
                "expected",
                signature.outputs().iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", "),
            ));
        }
        if wanted[..i].contains(name) {
            return Err(Error::invalid_input("an output is asked for twice").with("output", name.escape_debug()));
        }
    }
    Ok(())
}

fn inspect(guards: &[Arc<dyn RequestGuard>], meta: &RequestMeta, inputs: &Tensors) -> Result<()> {
    let verdict = guards.iter().fold(Verdict::Allow, |verdict, guard| verdict.and(guard.inspect(meta, inputs)));
    match verdict {
        Verdict::Allow => Ok(()),
        Verdict::Flag(reasons) => {
            tracing::warn!(request = %meta.id, model = %meta.model, version = %meta.version, ?reasons, "request flagged");
            Ok(())
        }
        Verdict::Refuse(reasons) => {
            Err(Error::permission_denied("a guard refused the request").with("reasons", reasons.join("; ")))
        }
    }
}

fn pick(mut outputs: Tensors, wanted: &[String]) -> Result<Tensors> {
    if wanted.is_empty() {
        return Ok(outputs);
    }
    let mut picked = Tensors::new();
    for name in wanted {
        let tensor = outputs
            .remove(name)
            .ok_or_else(|| Error::internal("the model did not give an output of its signature").with("output", name))?;
        picked.insert(name, tensor)?;
    }
    Ok(picked)
}

fn not_loaded(name: &ModelName, version: Option<Version>) -> Error {
    let error = Error::unavailable("the model is not loaded yet").with("model", name);
    if let Some(version) = version { error.with("version", version) } else { error }
}

fn no_answer() -> Error {
    Error::internal("the job ended without an answer")
}
