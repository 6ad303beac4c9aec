//! The host's list of runtimes.

use super::{Declined, InferenceRuntime, LoadOptions, LoadedModel};
use crate::{Error, ErrorKind, Result, onnx::OnnxModel};
use std::sync::Arc;

/// Runtimes in the host's order of preference, which are one runtime themselves.
///
/// A model is loaded by the first that takes it. One that does not support the model, or whose library or device is not
/// there, declines: [`LoadReport::declined`](super::LoadReport::declined) of the loaded model says which and why. Any other
/// error ends the search, since damaged bytes are damaged for every runtime.
///
/// ```
/// use ml_core::{
///     InferenceRuntime,
///     onnx::graph::{Domain, GraphBuilder},
///     runtime::{LoadOptions, Runtimes, native::NativeRuntime},
///     signature::TensorSpec,
///     tensor::DType,
/// };
/// use std::sync::Arc;
///
/// let mut graph = GraphBuilder::new("spectrum");
/// let x = graph.input(TensorSpec::batched("x", DType::Fp32, [16, 1]))?;
/// let y = graph.node(Domain::Onnx, "DFT", &[x], vec![]);
/// graph.output(y, TensorSpec::batched("y", DType::Fp32, [16, 2]))?;
///
/// let runtimes = Runtimes::new(vec![Arc::new(NativeRuntime)]);
/// let error = runtimes.load(&graph.finish()?, &LoadOptions::default()).unwrap_err();
/// assert!(error.to_string().contains("native (runtime.native.load: the native runtime does not know this operator"));
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Runtimes(Vec<Arc<dyn InferenceRuntime>>);

impl Runtimes {
    /// Keeps the list; the first is preferred.
    #[must_use]
    pub fn new(runtimes: Vec<Arc<dyn InferenceRuntime>>) -> Self {
        Self(runtimes)
    }

    /// The runtimes, the preferred one first.
    #[must_use]
    pub fn list(&self) -> &[Arc<dyn InferenceRuntime>] {
        &self.0
    }
}

impl From<&[Arc<dyn InferenceRuntime>]> for Runtimes {
    fn from(runtimes: &[Arc<dyn InferenceRuntime>]) -> Self {
        Self(runtimes.to_vec())
    }
}

impl FromIterator<Arc<dyn InferenceRuntime>> for Runtimes {
    fn from_iter<I: IntoIterator<Item = Arc<dyn InferenceRuntime>>>(runtimes: I) -> Self {
        Self(runtimes.into_iter().collect())
    }
}

impl InferenceRuntime for Runtimes {
    fn name(&self) -> &'static str {
        "runtimes"
    }

    fn supports(&self, model: &OnnxModel) -> bool {
        self.0.iter().any(|runtime| runtime.supports(model))
    }

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        let mut declined = Vec::new();
        let mut kind = ErrorKind::Unavailable;
        for runtime in &self.0 {
            match runtime.load(model, options) {
                Ok(mut loaded) => {
                    declined.append(&mut loaded.report.declined);
                    loaded.report.declined = declined;
                    return Ok(loaded);
                }
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Unavailable) => {
                    if error.kind() == ErrorKind::Unsupported {
                        kind = ErrorKind::Unsupported;
                    }
                    declined.push(Declined { candidate: runtime.name().into(), reason: reason(&error) });
                }
                Err(error) => return Err(error.with("runtime", runtime.name())),
            }
        }
        if declined.is_empty() {
            return Err(Error::unsupported("the list of runtimes is empty").op("runtime.load"));
        }
        let error = Error::new(kind, "no runtime of the list takes this model").op("runtime.load");
        Err(declined.iter().fold(error, |error, declined| error.with("declined", declined)))
    }
}

/// What an error says, with what it says about its cause.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
