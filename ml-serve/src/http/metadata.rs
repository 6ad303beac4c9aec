use super::{App, error::Failure, target::Target};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use ml_core::{
    id::ModelName,
    signature::{Dim, TensorSpec},
    tensor::DType,
};
use serde::Serialize;
use std::sync::Arc;

pub(super) async fn server(State(app): State<Arc<App>>) -> Response {
    #[derive(Serialize)]
    struct ServerMetadata<'a> {
        name: &'a str,
        version: &'a str,
        extensions: [&'a str; 0],
    }

    Json(ServerMetadata { name: &app.server_name, version: env!("CARGO_PKG_VERSION"), extensions: [] }).into_response()
}

pub(super) async fn model(State(app): State<Arc<App>>, target: Target) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct ModelMetadata<'a> {
        name: &'a ModelName,
        versions: Vec<String>,
        platform: &'a str,
        inputs: Vec<TensorMetadata<'a>>,
        outputs: Vec<TensorMetadata<'a>>,
    }

    let model = app.server.model(&target.name, target.version)?;
    let versions = app.server.models().into_iter().filter(|served| served.name == model.name);
    let metadata = ModelMetadata {
        name: &model.name,
        versions: versions.map(|served| served.version.to_string()).collect(),
        platform: PLATFORM,
        inputs: model.signature.inputs().iter().map(TensorMetadata::new).collect(),
        outputs: model.signature.outputs().iter().map(TensorMetadata::new).collect(),
    };
    Ok(Json(metadata).into_response())
}

#[derive(Serialize)]
struct TensorMetadata<'a> {
    name: &'a str,
    datatype: DType,
    shape: Vec<i64>,
}

impl<'a> TensorMetadata<'a> {
    fn new(spec: &'a TensorSpec) -> Self {
        let length = |dim: &Dim| match dim {
            Dim::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
            Dim::Named(_) => -1,
        };
        Self { name: &spec.name, datatype: spec.dtype, shape: spec.shape.iter().map(length).collect() }
    }
}

/// The protocol's name for a model in ONNX, whatever runs it.
const PLATFORM: &str = "onnx_onnxv1";
