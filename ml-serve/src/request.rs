//! What goes into a server and what comes out.

use ml_core::{
    Tensors,
    id::{ModelName, Version},
};

/// A question to one model.
///
/// ```
/// use ml_core::{Tensor, Tensors};
/// use ml_serve::Request;
///
/// let inputs = Tensors::new().with("distance", Tensor::column(vec![1400.0_f32]))?;
/// let request = Request::new("delay".parse()?, inputs).with_id("flight-1545").with_outputs(["probabilities"]);
/// assert_eq!(request.version, None);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The model that is asked.
    pub model: ModelName,
    /// The version that is asked; the one the server gives by default if there is none.
    pub version: Option<Version>,
    /// The caller's id of the request, at most [`MAX_ID_BYTES`] long; the server makes one if there is none.
    pub id: Option<String>,
    /// One tensor for each input of the model's signature.
    pub inputs: Tensors,
    /// The outputs wanted, in the order wanted; all of them if there are none.
    pub outputs: Vec<String>,
}

/// The longest id of a request, in bytes. Ids are kept with the predictions, so they must not carry a payload.
pub const MAX_ID_BYTES: usize = 256;

impl Request {
    /// Asks for all outputs of the model's default version.
    #[must_use]
    pub fn new(model: ModelName, inputs: Tensors) -> Self {
        Self { model, version: None, id: None, inputs, outputs: Vec::new() }
    }

    /// Asks this version.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Gives the request an id, by which its prediction can be found again.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Asks for these outputs alone, in this order.
    #[must_use]
    pub fn with_outputs(mut self, outputs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.outputs = outputs.into_iter().map(Into::into).collect();
        self
    }
}

/// The answer of one version of a model.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The model that answered.
    pub model: ModelName,
    /// The version that answered.
    pub version: Version,
    /// The id of the request.
    pub id: String,
    /// The outputs asked for, in the order asked.
    pub outputs: Tensors,
}

impl Response {
    /// Keeps an answer.
    #[must_use]
    pub fn new(model: ModelName, version: Version, id: impl Into<String>, outputs: Tensors) -> Self {
        Self { model, version, id: id.into(), outputs }
    }
}
