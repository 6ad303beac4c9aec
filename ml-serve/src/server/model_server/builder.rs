use super::{ModelServer, admission::Admission, slot::Slot};
use ml_core::{
    Compute, Error, InferenceRuntime, Result,
    id::ModelRef,
    port::{ModelSource, PredictionSink, RequestGuard},
    runtime::LoadOptions,
    time::{Clock, SystemClock},
};
use std::{num::NonZeroU16, sync::Arc};
use tokio::sync::Mutex;

/// Collects the parts of a [`ModelServer`].
#[must_use]
#[derive(Debug)]
pub struct ModelServerBuilder {
    source: Arc<dyn ModelSource>,
    compute: Compute,
    models: Vec<ModelRef>,
    runtimes: Vec<Arc<dyn InferenceRuntime>>,
    load_options: LoadOptions,
    guards: Vec<Arc<dyn RequestGuard>>,
    sinks: Vec<Arc<dyn PredictionSink>>,
    clock: Arc<dyn Clock>,
    max_in_flight: NonZeroU16,
}

impl ModelServerBuilder {
    pub(super) fn new(source: Arc<dyn ModelSource>, compute: Compute) -> Self {
        Self {
            source,
            compute,
            models: Vec::new(),
            runtimes: Vec::new(),
            load_options: LoadOptions::default(),
            guards: Vec::new(),
            sinks: Vec::new(),
            clock: Arc::new(SystemClock),
            max_in_flight: const { NonZeroU16::new(1024).expect("1024 is not zero") },
        }
    }

    /// Serves a model. The first reference to a name answers requests that name no version.
    pub fn serve(mut self, at: ModelRef) -> Self {
        self.models.push(at);
        self
    }

    /// Adds a runtime. A model is loaded by the first that supports it.
    pub fn runtime(mut self, runtime: Arc<dyn InferenceRuntime>) -> Self {
        self.runtimes.push(runtime);
        self
    }

    /// Loads models in this way. One thread a call by default.
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.load_options = options;
        self
    }

    /// Adds a guard. Every guard sees every request, and the strictest verdict counts.
    pub fn guard(mut self, guard: Arc<dyn RequestGuard>) -> Self {
        self.guards.push(guard);
        self
    }

    /// Adds a sink, which hears of every prediction with all of its outputs, after the answer has left.
    pub fn sink(mut self, sink: Arc<dyn PredictionSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Takes the time from this clock. The system's by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses requests as [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) beyond this many at once, so that
    /// waiting ones cannot fill the memory. 1024 by default: far more than a pool has threads.
    pub fn max_in_flight(mut self, requests: NonZeroU16) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Makes the server. Nothing is loaded yet.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when there is no model or no runtime, or a model is given twice.
    pub fn build(self) -> Result<ModelServer> {
        if self.models.is_empty() {
            return Err(Error::invalid_input("a server without models"));
        }
        if self.runtimes.is_empty() {
            return Err(Error::invalid_input("a server without runtimes"));
        }
        for (i, at) in self.models.iter().enumerate() {
            if self.models[..i].contains(at) {
                return Err(Error::invalid_input("a model is served twice").with("model", at));
            }
        }
        Ok(ModelServer {
            slots: self.models.into_iter().map(Slot::new).collect(),
            source: self.source,
            runtimes: self.runtimes.into(),
            load_options: self.load_options,
            compute: self.compute,
            guards: self.guards.into(),
            sinks: self.sinks.into(),
            clock: self.clock,
            admission: Admission::new(self.max_in_flight),
            loading: Mutex::new(()),
        })
    }
}
