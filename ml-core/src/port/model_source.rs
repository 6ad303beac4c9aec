use crate::{
    Bundle, Result,
    id::{ModelName, ModelRef, Version},
};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// Where a server gets its models.
///
/// A source that has one model, baked into a device:
///
/// ```
/// use ml_core::{Bundle, Error, Result, id::{ModelName, ModelRef, Version}, port::ModelSource};
///
/// #[derive(Debug)]
/// struct Baked(Bundle);
///
/// #[async_trait::async_trait]
/// impl ModelSource for Baked {
///     async fn resolve(&self, at: &ModelRef) -> Result<Version> {
///         if at.name.as_str() == "pump" { Ok(Version::FIRST) } else { Err(Error::not_found("no such model").with("model", at)) }
///     }
///     async fn fetch(&self, _name: &ModelName, _version: Version) -> Result<Bundle> {
///         Ok(self.0.clone())
///     }
/// }
/// ```
#[async_trait]
pub trait ModelSource: fmt::Debug + Send + Sync + 'static {
    /// Tells which version the reference means now. Cheap: servers ask again and again to see an alias move.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such model, version or alias.
    async fn resolve(&self, at: &ModelRef) -> Result<Version>;

    /// Brings the bundle of a version, verified.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), or [`Corrupt`](crate::ErrorKind::Corrupt) when a byte differs from what was published.
    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Bundle>;
}

#[async_trait]
impl<S: ModelSource + ?Sized> ModelSource for Arc<S> {
    async fn resolve(&self, at: &ModelRef) -> Result<Version> {
        (**self).resolve(at).await
    }

    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Bundle> {
        (**self).fetch(name, version).await
    }
}
