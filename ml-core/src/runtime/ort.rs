//! ONNX Runtime, loaded from its shared library when asked for.

mod assignment;
mod environment;
mod provider;
mod value;

pub use provider::{
    Acl, ArmNn, Azure, Cann, ComputeUnits, CoreMl, CoreMlFormat, Cpu, Cuda, DirectMl, DirectMlDevices,
    DirectMlPreference, ExecutionProvider, MiGraphX, MoreOptions, Nnapi, NvTensorRtRtx, OneDnn, OpenVino, Qnn, Rknpu,
    Rocm, TensorRt, Tvm, VitisAi, Vsinpu, WebGpu, Xnnpack,
};

use super::{Declined, InferenceRuntime, LoadOptions, LoadReport, LoadedModel, Placement, no_rows};
use crate::{
    Error, ErrorKind, Model, Result, Signature, Tensors,
    onnx::{OnnxModel, check},
};
use ::ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, SessionInputValue, builder::AutoDevicePolicy},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Where the shared library of ONNX Runtime is, and what it may compute on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrtConfig {
    /// The path of the library, such as `/usr/lib/libonnxruntime.so`; what `ORT_DYLIB_PATH` says when there is none.
    pub library: Option<PathBuf>,
    /// The execution providers in order of preference; the processor alone by default.
    ///
    /// A node runs on the first provider of the list that has its operator. A provider that is not there, or fails when
    /// the model is loaded, declines, and the rest of the list is tried. Nodes run on the processor only when the list has
    /// [`Cpu`]; without it, a model that needs the processor is an error.
    pub providers: Vec<ExecutionProvider>,
}

impl Default for OrtConfig {
    fn default() -> Self {
        Self { library: None, providers: vec![ExecutionProvider::default()] }
    }
}

/// Runs any ONNX model on ONNX Runtime.
///
/// The library is loaded by [`OrtRuntime::new`], once a process; version 1.24 is the oldest that will do. Telemetry is off, and
/// threads do not spin. A graph that is well formed and still crashes the library crashes the process: load what you do
/// not trust in a process of its own.
///
/// The library is never downloaded: the binding downloads only what it links to when it is built, and a library that is
/// loaded at run time excludes that. Its releases and the Python packages `onnxruntime`, `onnxruntime-gpu` and
/// `onnxruntime-openvino` hold it.
///
/// ```no_run
/// use ml_core::{
///     InferenceRuntime,
///     onnx::OnnxModel,
///     runtime::{LoadOptions, ort::{Cpu, Cuda, OrtConfig, OrtRuntime}},
/// };
///
/// let runtime = OrtRuntime::new(OrtConfig {
///     library: Some("/opt/onnxruntime/lib/libonnxruntime.so".into()),
///     providers: vec![Cuda::default().into(), Cpu::default().into()],
/// })?;
/// let model = OnnxModel::from_bytes(std::fs::read("model.onnx").expect("a file"))?;
/// let report = runtime.load(&model, &LoadOptions::default())?.report;
/// println!("{report}"); // onnxruntime 1.32.0 on cpu, threads per call: 1; declined: cuda (…)
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Clone)]
pub struct OrtRuntime {
    environment: Environment,
    version: String,
    providers: Vec<ExecutionProvider>,
}

impl fmt::Debug for OrtRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrtRuntime")
            .field("version", &self.version)
            .field("providers", &self.providers)
            .finish_non_exhaustive()
    }
}

impl OrtRuntime {
    /// Loads the library, or takes the one that this process has loaded.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when the library is not named, not there, is no ONNX Runtime or too old a one.
    /// [`Conflict`](ErrorKind::Conflict) when the process uses another library already, or has made an environment without
    /// this type: pass that one to [`OrtRuntime::with_environment`].
    /// [`InvalidInput`](ErrorKind::InvalidInput) for a list of providers as [`OrtRuntime::with_providers`] refuses it.
    pub fn new(config: OrtConfig) -> Result<Self> {
        environment::load(config.library)
            .map(Self::with_environment)
            .and_then(|runtime| runtime.with_providers(config.providers))
            .map_err(|error| error.op("runtime.ort.new"))
    }

    /// Uses the environment of a host that calls ONNX Runtime itself: there is one a process.
    #[must_use]
    pub fn with_environment(environment: Environment) -> Self {
        Self { environment, version: environment::version(), providers: OrtConfig::default().providers }
    }

    /// The same with other providers; see [`OrtConfig::providers`]. Whether they are there shows when a model is loaded.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) when there are none, when one is listed twice, or when an option is of a form
    /// that no library takes.
    pub fn with_providers(self, providers: Vec<ExecutionProvider>) -> Result<Self> {
        if providers.is_empty() {
            return Err(Error::invalid_input("the list of execution providers is empty"));
        }
        for (at, provider) in providers.iter().enumerate() {
            if providers[..at].iter().any(|earlier| earlier.name() == provider.name()) {
                return Err(Error::invalid_input("an execution provider is listed twice").with("provider", provider));
            }
            provider.dispatch(LoadOptions::default().threads)?;
        }
        Ok(Self { providers, ..self })
    }

    /// Opens a session on the providers of the host's list that will take the model.
    fn open(&self, bytes: &[u8], options: &LoadOptions) -> Result<Opened> {
        let mut list = self.providers.clone();
        let mut declined = Vec::new();
        // Registering fails where the provider is not there; loading fails for reasons of the model too.
        let mut kind = ErrorKind::Unavailable;
        loop {
            let last = list.iter().position(is_cpu).map_or(list.len(), |cpu| cpu + 1);
            let chain = &list[..last];
            let refusal = match self.session(bytes, options, chain) {
                Ok(session) => match placements(&session, chain) {
                    Ok(placements) => {
                        let idle = chain.iter().filter(|provider| !is_cpu(provider) && !runs(&placements, provider));
                        declined.extend(idle.map(|provider| Declined {
                            candidate: provider.name().into(),
                            reason: "it takes none of the nodes of the model".into(),
                        }));
                        return Ok(Opened { session, chain: chain.to_vec(), placements, declined });
                    }
                    Err(refusal) => refusal,
                },
                Err(refusal) => refusal,
            };
            if refusal.kind != ErrorKind::Unavailable {
                kind = refusal.kind;
            }
            let provider = list.remove(refusal.provider);
            declined.push(Declined { candidate: provider.name().into(), reason: refusal.reason });
            if list.is_empty() {
                let message = match kind {
                    ErrorKind::Unavailable => "no execution provider of the list is there",
                    _ => "the model cannot run on ONNX Runtime with the providers of the list",
                };
                let error = Error::new(kind, message).with("version", &self.version);
                return Err(declined.iter().fold(error, |error, declined| error.with("declined", declined)));
            }
        }
    }

    #[expect(clippy::result_large_err, reason = "the builder comes back in the errors of its own methods")]
    fn session(&self, bytes: &[u8], options: &LoadOptions, chain: &[ExecutionProvider]) -> Result<Session, Refusal> {
        // The errors of the builder carry the builder, which is not `Sync`: only their text is kept.
        let failed =
            |error: &str| Refusal { provider: 0, kind: kind(error, ErrorKind::Unsupported), reason: plain(error) };
        let mut builder = Session::builder(&self.environment)
            .map_err(|error| failed(&error.to_string()))?
            .with_intra_threads(options.threads.get())
            .and_then(|builder| builder.with_inter_threads(1))
            .and_then(|builder| builder.with_intra_op_spinning(false))
            // Some exporters declare wrong output shapes, for which the library warns on every call.
            .and_then(|builder| builder.with_log_level(LogLevel::Error))
            // The binding would let the library choose among its devices when no provider is registered.
            .and_then(|builder| builder.with_auto_device(AutoDevicePolicy::Default))
            .and_then(|builder| builder.with_config_entry(assignment::RECORD, "1"))
            .map_err(|error| failed(&error.to_string()))?;
        if !chain.iter().any(is_cpu) {
            builder = builder.with_disable_cpu_fallback().map_err(|error| failed(&error.to_string()))?;
        }
        for (at, provider) in chain.iter().enumerate() {
            let refused = |error: &str| Refusal { provider: at, kind: ErrorKind::Unavailable, reason: plain(error) };
            let dispatch = provider.dispatch(options.threads).map_err(|error| refused(&error.to_string()))?;
            builder = builder.with_execution_providers([dispatch]).map_err(|error| refused(&error.to_string()))?;
        }
        builder.commit_from_memory(bytes).map_err(|error| failed(&error.to_string()))
    }
}

/// A session, the providers that it was opened with, and what became of the others.
struct Opened {
    session: Session,
    chain: Vec<ExecutionProvider>,
    placements: Vec<Placement>,
    declined: Vec<Declined>,
}

/// Why a session was not opened, and which provider of the chain is given up for it.
struct Refusal {
    provider: usize,
    kind: ErrorKind,
    reason: String,
}

fn is_cpu(provider: &ExecutionProvider) -> bool {
    matches!(provider, ExecutionProvider::Cpu(_))
}

fn runs(placements: &[Placement], provider: &ExecutionProvider) -> bool {
    placements.iter().any(|placement| placement.provider == provider.name())
}

/// Which provider runs how many nodes. The library is asked, since it falls back to the processor without a word.
fn placements(session: &Session, chain: &[ExecutionProvider]) -> Result<Vec<Placement>, Refusal> {
    let refused = |reason| Refusal { provider: 0, kind: ErrorKind::Unsupported, reason };
    let placements = assignment::placements(session).map_err(|error| refused(plain(&error.to_string())))?;
    match placements.iter().find(|placement| chain.iter().all(|provider| provider.name() != placement.provider)) {
        Some(stray) => Err(refused(format!("{stray}, which the list does not have"))),
        None => Ok(placements),
    }
}

impl InferenceRuntime for OrtRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        check::decode(&model.bytes)
            .and_then(|graph| super::check_signature(&graph, &model.signature))
            .map_or_else(|error| error.kind() != ErrorKind::Unsupported, |()| true)
    }

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        let Opened { session, chain, placements, declined } = check::decode(&model.bytes)
            .and_then(|graph| super::check_signature(&graph, &model.signature))
            .and_then(|()| self.open(&model.bytes, options))
            .map_err(|error| error.op("runtime.ort.load"))?;
        let mut report = LoadReport::cpu(NAME, &self.version).with_threads(options.threads);
        // The first of those with the most nodes; a graph without nodes is nobody's work but the processor's.
        if let Some(most) = placements.iter().rev().max_by_key(|placement| placement.nodes) {
            report.provider.clone_from(&most.provider);
        }
        report.memory_bytes = assignment::allocated_bytes(&session);
        (report.placements, report.declined) = (placements, declined);
        let model = OrtModel {
            runtime: self.clone(),
            chain,
            model: model.clone(),
            options: options.clone(),
            idle: Mutex::new(vec![session]),
        };
        Ok(LoadedModel { model: Arc::new(model), report })
    }
}

const NAME: &str = "onnxruntime";

/// A model and its sessions. A session serves one call at a time, so there are as many as there were calls at once.
struct OrtModel {
    runtime: OrtRuntime,
    chain: Vec<ExecutionProvider>,
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
        let given = session.run(values).map_err(|source| failure(&source))?;
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
        // The library is not asked: accelerators refuse, and `FeatureVectorizer` on the processor ends the process.
        if let Some(nothing) = no_rows::outputs(&self.model.signature, inputs) {
            return nothing;
        }
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let mut session = match waiting {
            Some(session) => session,
            None => self.runtime.session(&self.model.bytes, &self.options, &self.chain).map_err(|refusal| {
                Error::unavailable("ONNX Runtime opens no further session for a call at the same time")
                    .with_source(refusal.reason)
            })?,
        };
        let outputs = self.run(&mut session, inputs);
        idle().push(session);
        outputs
    }
}

fn failure(source: &::ort::Error) -> Error {
    let message = source.to_string();
    let kind = kind(&message, ErrorKind::InvalidInput);
    Error::new(kind, "the model cannot run on these inputs").with_source(plain(&message))
}

/// The library has no code of its own for memory that is not there.
fn kind(message: &str, otherwise: ErrorKind) -> ErrorKind {
    let exhausted = ["Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory", "overflow"];
    if exhausted.iter().any(|said| message.contains(said)) { ErrorKind::ResourceExhausted } else { otherwise }
}

/// What the library says, without the place in its source that some messages begin with.
fn plain(message: &str) -> String {
    let parts = message.split_once("[ONNXRuntimeError] : ").and_then(|(_, rest)| rest.splitn(3, " : ").nth(2));
    parts.unwrap_or(message).trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_without_its_place_in_the_source() {
        let whole = "/src/a.cc:20 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load x.so : no such file\n";
        assert_eq!(plain(whole), "Failed to load x.so : no such file");
        assert_eq!(plain("Some message : 1 : 2 : 3"), "Some message : 1 : 2 : 3");
    }
}
