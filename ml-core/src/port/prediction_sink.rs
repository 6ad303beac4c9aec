use crate::{
    Tensors,
    id::{ModelName, Version},
    time::CreatedTime,
};
use std::{fmt, sync::Arc};

/// What is known about a request besides its tensors.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMeta {
    /// The caller's id of the request, or one made by the server.
    pub id: String,
    /// The model that answers.
    pub model: ModelName,
    /// The version that answers.
    pub version: Version,
    /// When the server took the request.
    pub received: CreatedTime,
}

impl RequestMeta {
    /// Keeps the facts of a request.
    #[must_use]
    pub fn new(id: impl Into<String>, model: ModelName, version: Version, received: CreatedTime) -> Self {
        Self { id: id.into(), model, version, received }
    }
}

/// Hears of every prediction, on the request path: an implementation neither blocks nor fails.
///
/// ```
/// use ml_core::{Tensors, port::{PredictionSink, RequestMeta}};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Debug, Default)]
/// struct Rows(AtomicUsize);
///
/// impl PredictionSink for Rows {
///     fn record(&self, _meta: &RequestMeta, inputs: &Tensors, _outputs: &Tensors) {
///         self.0.fetch_add(inputs.rows(), Ordering::Relaxed);
///     }
/// }
/// ```
pub trait PredictionSink: fmt::Debug + Send + Sync + 'static {
    /// Takes note of a prediction. What cannot be kept is dropped and counted.
    fn record(&self, meta: &RequestMeta, inputs: &Tensors, outputs: &Tensors);
}

impl<S: PredictionSink + ?Sized> PredictionSink for Arc<S> {
    fn record(&self, meta: &RequestMeta, inputs: &Tensors, outputs: &Tensors) {
        (**self).record(meta, inputs, outputs);
    }
}
