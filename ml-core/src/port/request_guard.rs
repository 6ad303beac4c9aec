use super::{RequestMeta, Verdict};
use crate::Tensors;
use std::{fmt, sync::Arc};

/// Looks at every request before the model does, on the request path: an implementation does not block. The inputs fit the
/// signature of the model.
///
/// ```
/// use ml_core::{Tensors, port::{RequestGuard, RequestMeta, Verdict}};
///
/// #[derive(Debug)]
/// struct Adults;
///
/// impl RequestGuard for Adults {
///     fn inspect(&self, _meta: &RequestMeta, inputs: &Tensors) -> Verdict {
///         match inputs.require("age").and_then(|age| age.values::<f32>()) {
///             Ok(ages) if ages.iter().any(|&age| age < 18.0) => Verdict::Refuse(vec!["the model is for adults".into()]),
///             _ => Verdict::Allow,
///         }
///     }
/// }
/// ```
pub trait RequestGuard: fmt::Debug + Send + Sync + 'static {
    /// Says whether the model may answer.
    fn inspect(&self, meta: &RequestMeta, inputs: &Tensors) -> Verdict;
}

impl<G: RequestGuard + ?Sized> RequestGuard for Arc<G> {
    fn inspect(&self, meta: &RequestMeta, inputs: &Tensors) -> Verdict {
        (**self).inspect(meta, inputs)
    }
}
