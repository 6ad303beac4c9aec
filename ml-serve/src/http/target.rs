use super::error::Failure;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use ml_core::{
    Error,
    id::{ModelName, Version},
};
use serde::Deserialize;

/// The model that a path names.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: ModelName,
    pub(super) version: Option<Version>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Segments {
            model: String,
            version: Option<String>,
        }

        let Path(Segments { model, version }) = Path::from_request_parts(parts, state)
            .await
            .map_err(|source| Error::invalid_input("the path cannot be read").with_source(source))?;
        // What cannot be a name names nothing.
        let name = ModelName::new(&model)
            .map_err(|_| Error::not_found("the model is not served").with("model", model.escape_debug()))?;
        let version = version.as_deref().map(str::parse).transpose()?;
        Ok(Self { name, version })
    }
}
