//! What answers requests.

mod model_server;

pub use model_server::{Change, ModelServer, ModelServerBuilder, Refreshed};

use crate::{Readiness, Request, Response, ServedModel};
use async_trait::async_trait;
use ml_core::{
    Result,
    id::{ModelName, Version},
};
use std::{fmt, sync::Arc};

/// Answers requests from the models it serves. It knows no protocol: front ends such as `http::router` bring one.
///
/// # Contract
/// 1. `predict` gives every output of the signature, from the version that the response names. (check: `outputs_fit_the_signature`)
/// 2. Outputs that are asked for come alone and in the order asked. (check: `requested_outputs_come_in_the_order_asked`)
/// 3. The id of a request is that of its response; a request without one gets one of its own. (check: `ids_come_back`)
/// 4. A version that is asked for answers itself. (check: `a_named_version_answers`)
/// 5. Inputs that do not fit the signature, and outputs that it lacks or that are asked for twice, are
///    [`InvalidInput`](ml_core::ErrorKind::InvalidInput), and the next request is answered. (check: `wrong_requests_are_refused`)
/// 6. A model or version that is not served is [`NotFound`](ml_core::ErrorKind::NotFound). (check: `unknown_models_are_not_found`)
/// 7. `models` lists what `model` finds. (check: `listed_models_are_found`)
/// 8. After `drain` the server is not ready and still answers. (check: `draining_still_answers`)
/// 9. After `close` requests are [`Unavailable`](ml_core::ErrorKind::Unavailable), and `drain` opens nothing again. (check: `closed_refuses`)
/// 10. A request that was begun before `close` is answered. (check: `what_was_begun_before_closing_is_answered`)
///
/// ```
/// # use ml_core::{onnx::graph::{Attribute, Domain, GraphBuilder}, signature::TensorSpec, tensor::DType};
/// use ml_core::{Bundle, Compute, Tensor, Tensors, id::Version, runtime::native::NativeRuntime};
/// use ml_serve::{MemorySource, ModelServer, Request, Server};
/// use std::{num::NonZeroUsize, sync::Arc};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let mut graph = GraphBuilder::new("fares");
/// # let miles = graph.input(TensorSpec::batched("miles", DType::Fp32, [1]))?;
/// # let weights = vec![Attribute::floats("coefficients", [2.5]), Attribute::floats("intercepts", [3.0])];
/// # let fare = graph.node(Domain::Ml, "LinearRegressor", &[miles], weights);
/// # graph.output(fare, TensorSpec::batched("prediction", DType::Fp32, [1]))?;
/// # let model = graph.finish()?;
/// let source = MemorySource::new();
/// source.publish("fares".parse()?, Version::FIRST, Bundle::builder(model).build()?)?;
///
/// let compute = Compute::new(NonZeroUsize::new(2).unwrap())?;
/// let server = ModelServer::builder(Arc::new(source), compute)
///     .runtime(Arc::new(NativeRuntime))
///     .serve("fares@1".parse()?)
///     .build()?;
/// server.load().await?;
/// assert!(server.readiness().is_ready());
///
/// let inputs = Tensors::new().with("miles", Tensor::column(vec![10.0_f32]))?;
/// let response = server.predict(Request::new("fares".parse()?, inputs)).await?;
/// assert_eq!(response.outputs.require("prediction")?.values::<f32>()?, [28.0]);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Server: fmt::Debug + Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    /// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) and [`NotFound`](ml_core::ErrorKind::NotFound) as the contract says;
    /// [`PermissionDenied`](ml_core::ErrorKind::PermissionDenied) when a guard refuses the request;
    /// [`ResourceExhausted`](ml_core::ErrorKind::ResourceExhausted) when too many are under way;
    /// [`Unavailable`](ml_core::ErrorKind::Unavailable) when the model is not loaded yet or the server is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the answer; the model may still compute it.
    async fn predict(&self, request: Request) -> Result<Response>;

    /// Whether requests are welcome now.
    fn readiness(&self) -> Readiness;

    /// Tells about one model: the version named, or the one that answers when none is.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when it is not served, [`Unavailable`](ml_core::ErrorKind::Unavailable) when it is not loaded yet.
    fn model(&self, name: &ModelName, version: Option<Version>) -> Result<ServedModel>;

    /// Lists every version that is loaded, the one that answers by default first among those of its name.
    fn models(&self) -> Vec<ServedModel>;

    /// Says that the end is near: the server is not ready from now on, and still answers.
    fn drain(&self);

    /// Refuses new requests from now on, and waits until those under way are answered.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait; the server stays closed.
    async fn close(&self);
}

#[async_trait]
impl<S: Server + ?Sized> Server for Arc<S> {
    async fn predict(&self, request: Request) -> Result<Response> {
        (**self).predict(request).await
    }

    fn readiness(&self) -> Readiness {
        (**self).readiness()
    }

    fn model(&self, name: &ModelName, version: Option<Version>) -> Result<ServedModel> {
        (**self).model(name, version)
    }

    fn models(&self) -> Vec<ServedModel> {
        (**self).models()
    }

    fn drain(&self) {
        (**self).drain();
    }

    async fn close(&self) {
        (**self).close().await;
    }
}
