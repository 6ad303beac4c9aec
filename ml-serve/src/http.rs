//! The Open Inference Protocol v2 over REST, as a router that the host mounts.
//!
//! | verb | path | answer |
//! |---|---|---|
//! | GET | `/v2/health/live` | `{"live": true}`; 503 once closed |
//! | GET | `/v2/health/ready` | `{"ready": true}`; 503 while starting, draining or closed |
//! | GET | `/v2` | name and version of the server, and the extensions it has: none yet |
//! | GET | `/v2/models/{model}[/versions/{version}]` | inputs, outputs and versions; a named dimension is -1 |
//! | GET | `/v2/models/{model}[/versions/{version}]/ready` | `{"name": "…", "ready": true}`; 503 until it is loaded, and once closed |
//! | POST | `/v2/models/{model}[/versions/{version}]/infer` | outputs as JSON tensors |
//!
//! The body of `infer` is read as JSON whatever its content type, since common clients send none. Tensors in binary after
//! the JSON are not offered and are refused; a request that asks for binary *outputs* is answered in JSON, which the
//! protocol leaves to the server. Parameters that would change what an output means (classification, shared memory) are
//! refused; others are read over.
//!
//! Every fault is answered as `{"error": "…"}`: 400 for a request that cannot be right, 403 when a guard refuses it, 404
//! for a model, version or path that is not there, 405 for another verb, 413 for a body over the limit, 415 for a
//! compressed one, 429 when too many are under way, 500 with an id that is found in the log and nothing else, 501 for what
//! a runtime cannot do, 503 when the model is not loaded or the server closed, 504 when time is up. 429 and 503 carry
//! `Retry-After`.
//!
//! Time limits for headers and bodies, TLS and who may connect belong to the listener of the host.

pub mod client;
mod error;
mod health;
mod infer;
mod metadata;
mod target;

use crate::Server;
use axum::{
    Router,
    http::{Method, Uri},
    routing::{any, get, post},
};
use error::Failure;
use ml_core::Error;
use std::sync::Arc;

/// How the router behaves.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The longest body that is read, in bytes: 8 MiB by default, room for some 400,000 numbers in JSON.
    pub max_body_bytes: usize,
    /// The name that the server gives itself in its metadata.
    pub server_name: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { max_body_bytes: 8 << 20, server_name: "ml-platform".into() }
    }
}

impl HttpOptions {
    /// Reads bodies up to this many bytes.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Gives the server this name in its metadata.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = name.into();
        self
    }
}

/// Puts a server on the wire with the default options.
///
/// All of its paths begin with `/v2`, and so does every path it answers with 404: the rest is the host's.
///
/// ```
/// # use ml_core::{onnx::graph::{Attribute, Domain, GraphBuilder}, signature::TensorSpec, tensor::DType};
/// # use ml_core::{Bundle, Compute, id::Version, runtime::native::NativeRuntime};
/// # use ml_serve::{MemorySource, ModelServer};
/// # use std::{num::NonZeroUsize, sync::Arc};
/// use axum::{Router, body::{Body, to_bytes}, http::Request};
/// use ml_serve::http::router;
/// use tower::ServiceExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let mut graph = GraphBuilder::new("fares");
/// # let miles = graph.input(TensorSpec::batched("miles", DType::Fp32, [1]))?;
/// # let weights = vec![Attribute::floats("coefficients", [2.5]), Attribute::floats("intercepts", [3.0])];
/// # let fare = graph.node(Domain::Ml, "LinearRegressor", &[miles], weights);
/// # graph.output(fare, TensorSpec::batched("prediction", DType::Fp32, [1]))?;
/// # let model = graph.finish()?;
/// # let source = MemorySource::new();
/// # source.publish("fares".parse()?, Version::FIRST, Bundle::builder(model).build()?)?;
/// # let server = ModelServer::builder(Arc::new(source), Compute::new(NonZeroUsize::MIN)?)
/// #     .runtime(Arc::new(NativeRuntime))
/// #     .serve("fares@1".parse()?)
/// #     .build()?;
/// # server.load().await?;
/// # let server = Arc::new(server);
/// // The host adds its own routes and gives all of them to `axum::serve`.
/// let app: Router = Router::new().merge(router(server));
///
/// let body = r#"{"inputs": [{"name": "miles", "shape": [1, 1], "datatype": "FP32", "data": [10]}]}"#;
/// let request = Request::post("/v2/models/fares/infer").body(Body::from(body)).unwrap();
/// let response = app.oneshot(request).await.unwrap();
/// let answer: serde_json::Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
/// assert_eq!(answer["outputs"][0]["data"][0], 28.0);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
pub fn router(server: Arc<dyn Server>) -> Router {
    router_with(server, HttpOptions::default())
}

/// Puts a server on the wire.
pub fn router_with(server: Arc<dyn Server>, options: HttpOptions) -> Router {
    let HttpOptions { max_body_bytes, server_name } = options;
    Router::new()
        .route("/v2", get(metadata::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/{model}", get(metadata::model))
        .route("/v2/models/{model}/ready", get(health::model))
        .route("/v2/models/{model}/infer", post(infer::infer))
        .route("/v2/models/{model}/versions/{version}", get(metadata::model))
        .route("/v2/models/{model}/versions/{version}/ready", get(health::model))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer::infer))
        .method_not_allowed_fallback(wrong_verb)
        // Routes rather than a fallback, of which a host can have only one: its own.
        .route("/v2/", any(no_such_path))
        .route("/v2/{*rest}", any(no_such_path))
        .with_state(Arc::new(App { server, max_body_bytes, server_name }))
}

/// What the handlers share.
#[derive(Debug)]
struct App {
    server: Arc<dyn Server>,
    max_body_bytes: usize,
    server_name: String,
}

async fn no_such_path(uri: Uri) -> Failure {
    Error::not_found("no such path").with("path", uri.path().escape_debug()).into()
}

async fn wrong_verb(method: Method) -> Failure {
    Failure::wrong_verb(&method)
}
