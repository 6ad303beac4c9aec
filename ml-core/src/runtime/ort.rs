//! ONNX Runtime, loaded from its shared library when asked for.

mod environment;
mod value;

use super::{InferenceRuntime, LoadOptions, LoadReport, LoadedModel};
use crate::{
    Error, ErrorKind, Model, Result, Signature, Tensors,
    onnx::{OnnxModel, check},
};
use ::ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, SessionInputValue},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Where the shared library of ONNX Runtime is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrtConfig {
    /// The path of the library, such as `/usr/lib/libonnxruntime.so`; what `ORT_DYLIB_PATH` says when there is none.
    pub library: Option<PathBuf>,
}

/// Runs any ONNX model on ONNX Runtime, on the processor.
///
/// The library is loaded by [`OrtRuntime::new`], once a process; version 1.24 is the oldest that will do. Telemetry is off, and
/// threads do not spin. A graph that is well formed and still crashes the library crashes the process: load what you do
/// not trust in a process of its own.
///
/// ```no_run
/// use ml_core::{InferenceRuntime, onnx::OnnxModel, runtime::{LoadOptions, ort::{OrtConfig, OrtRuntime}}};
///
/// let runtime = OrtRuntime::new(OrtConfig { library: Some("/opt/onnxruntime/lib/libonnxruntime.so".into()) })?;
/// let model = OnnxModel::from_bytes(std::fs::read("model.onnx").expect("a file"))?;
/// println!("{}", runtime.load(&model, &LoadOptions::default())?.report);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Clone)]
pub struct OrtRuntime {
    environment: Environment,
    version: String,
}

impl fmt::Debug for OrtRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtRuntime").field("version", &self.version).finish_non_exhaustive()
    }
}

impl OrtRuntime {
    /// Loads the library, or takes the one that this process has loaded.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when the library is not named, not there, is no ONNX Runtime or too old a one.
    /// [`Conflict`](ErrorKind::Conflict) when the process uses another library already, or has made an environment without
    /// this type: pass that one to [`OrtRuntime::with_environment`].
    pub fn new(config: OrtConfig) -> Result<Self> {
        environment::load(config.library).map(Self::with_environment).map_err(|error| error.op("runtime.ort.new"))
    }

    /// Uses the environment of a host that calls ONNX Runtime itself: there is one a process.
    #[must_use]
    pub fn with_environment(environment: Environment) -> Self {
        Self { environment, version: environment::version() }
    }

    #[expect(clippy::result_large_err, reason = "the builder comes back in the errors of its own methods")]
    fn session(&self, bytes: &[u8], options: &LoadOptions) -> Result<Session> {
        let failed = |message: String| {
            Error::unsupported("the model cannot run on ONNX Runtime")
                .with("version", &self.version)
                .with_source(message)
        };
        // The errors of the builder carry the builder, which is not `Sync`: only their text is kept.
        Session::builder(&self.environment)
            .map_err(|error| failed(error.to_string()))?
            .with_intra_threads(options.threads.get())
            .and_then(|builder| builder.with_inter_threads(1))
            .and_then(|builder| builder.with_intra_op_spinning(false))
            // Some exporters declare wrong output shapes, for which the library warns on every call.
            .and_then(|builder| builder.with_log_level(LogLevel::Error))
            .map_err(|error| failed(error.to_string()))?
            .commit_from_memory(bytes)
            .map_err(|error| failed(error.to_string()))
    }
}

impl InferenceRuntime for OrtRuntime {
    fn supports(&self, model: &OnnxModel) -> bool {
        check::decode(&model.bytes)
            .and_then(|graph| super::check_signature(&graph, &model.signature))
            .map_or_else(|error| error.kind() != ErrorKind::Unsupported, |()| true)
    }

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        let session = check::decode(&model.bytes)
            .and_then(|graph| super::check_signature(&graph, &model.signature))
            .and_then(|()| self.session(&model.bytes, options))
            .map_err(|error| error.op("runtime.ort.load"))?;
        let report = LoadReport::cpu("onnxruntime", &self.version).with_threads(options.threads);
        let model = OrtModel {
            runtime: self.clone(),
            model: model.clone(),
            options: options.clone(),
            idle: Mutex::new(vec![session]),
        };
        Ok(LoadedModel { model: Arc::new(model), report })
    }
}

/// A model and its sessions. A session serves one call at a time, so there are as many as there were calls at once.
struct OrtModel {
    runtime: OrtRuntime,
    model: OnnxModel,
    options: LoadOptions,
    idle: Mutex<Vec<Session>>,
}

impl fmt::Debug for OrtModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtModel").field("signature", &self.model.signature).finish_non_exhaustive()
    }
}

impl OrtModel {
    fn run(&self, session: &mut Session, inputs: &Tensors) -> Result<Tensors> {
        let values = inputs
            .iter()
            .map(|(name, tensor)| Ok((name, value::to_ort(tensor).map_err(|error| error.with("tensor", name))?)))
            .collect::<Result<Vec<(&str, SessionInputValue<'_>)>>>()?;
        let given = session.run(values).map_err(|source| {
            Error::invalid_input("the model cannot run on these inputs").with_source(source.to_string())
        })?;
        let mut outputs = Tensors::new();
        for spec in self.model.signature.outputs() {
            let value = given
                .get(&spec.name)
                .ok_or_else(|| Error::internal("an output is missing").with("tensor", spec.name.escape_debug()))?;
            outputs.insert(spec.name.as_str(), value::from_ort(value, spec)?)?;
        }
        self.model.signature.check_outputs(&outputs).map_err(|error| {
            Error::corrupt("the model gives other outputs than its graph declares").with_source(error)
        })?;
        Ok(outputs)
    }
}

impl Model for OrtModel {
    fn signature(&self) -> &Signature {
        &self.model.signature
    }

    fn predict(&self, inputs: &Tensors) -> Result<Tensors> {
        self.model.signature.check_inputs(inputs)?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let mut session = match waiting {
            Some(session) => session,
            None => self.runtime.session(&self.model.bytes, &self.options)?,
        };
        let outputs = self.run(&mut session, inputs);
        idle().push(session);
        outputs
    }
}
