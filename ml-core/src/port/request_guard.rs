use super::{RequestMeta, Verdict};
use crate::Tensors;
use std::{fmt, sync::Arc};

/// Looks at every request before the model does, on the request path: an implementation does not block.
pub trait RequestGuard: fmt::Debug + Send + Sync + 'static {
    /// Says whether the model may answer.
    fn inspect(&self, meta: &RequestMeta, inputs: &Tensors) -> Verdict;
}

impl<G: RequestGuard + ?Sized> RequestGuard for Arc<G> {
    fn inspect(&self, meta: &RequestMeta, inputs: &Tensors) -> Verdict {
        (**self).inspect(meta, inputs)
    }
}
