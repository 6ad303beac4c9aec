//! The client's end of the wire, without a connection: bring your own HTTP client.

use crate::{Request, Response};
use ml_core::{
    Error, Result, Tensors,
    id::{ModelName, Version},
    tensor::json::{ReadTensor, WriteTensor},
};
use serde::{Deserialize, Serialize};

/// The path to post a request to.
///
/// ```
/// use ml_core::{Tensor, Tensors};
/// use ml_serve::{Request, http::client};
///
/// let inputs = Tensors::new().with("distance", Tensor::column(vec![1400.0_f32]))?;
/// let request = Request::new("delay".parse()?, inputs).with_id("flight-1545");
/// assert_eq!(client::path(&request), "/v2/models/delay/infer");
/// assert_eq!(
///     client::body(&request)?,
///     r#"{"id":"flight-1545","inputs":[{"name":"distance","shape":[1,1],"datatype":"FP32","data":[1400.0]}]}"#
/// );
///
/// let answer = r#"{"model_name":"delay","model_version":"3","id":"flight-1545",
///     "outputs":[{"name":"probabilities","shape":[1,2],"datatype":"FP32","data":[0.75,0.25]}]}"#;
/// let response = client::read(answer)?;
/// assert_eq!(response.version.number(), 3);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[must_use]
pub fn path(request: &Request) -> String {
    match request.version {
        Some(version) => format!("/v2/models/{}/versions/{version}/infer", request.model),
        None => format!("/v2/models/{}/infer", request.model),
    }
}

/// The body of a request, in JSON.
///
/// # Errors
/// [`Unsupported`](ml_core::ErrorKind::Unsupported) when an element of bytes is not UTF-8, which JSON cannot carry.
pub fn body(request: &Request) -> Result<String> {
    let inputs = request.inputs.iter().map(|(name, tensor)| WriteTensor { name, tensor }).collect();
    let outputs = request.outputs.iter().map(|name| Wanted { name }).collect();
    serde_json::to_string(&Body { id: request.id.as_deref(), inputs, outputs })
        .map_err(|error| Error::unsupported("the inputs cannot be written as JSON").with("reason", error))
}

/// Reads the body of an answer with status 200. The id is empty when the server gives none.
///
/// # Errors
/// [`Corrupt`](ml_core::ErrorKind::Corrupt) when it is no answer of the protocol with a version that is a number.
pub fn read(body: &str) -> Result<Response> {
    let answer: Answer<'_> = serde_json::from_str(body)
        .map_err(|source| Error::corrupt("the body is not an answer in JSON").with_source(source))?;
    let outputs = answer.outputs.iter().try_fold(Tensors::new(), |all, one| all.with(&one.name, one.to_tensor()?));
    let outputs = outputs.map_err(|source| Error::corrupt("an output cannot be read").with_source(source))?;
    Ok(Response::new(answer.model_name, answer.model_version, answer.id.unwrap_or_default(), outputs))
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    inputs: Vec<WriteTensor<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<Wanted<'a>>,
}

#[derive(Serialize)]
struct Wanted<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct Answer<'a> {
    model_name: ModelName,
    #[serde(deserialize_with = "version")]
    model_version: Version,
    id: Option<String>,
    #[serde(borrow)]
    outputs: Vec<ReadTensor<'a>>,
}

/// On the wire a version is text.
fn version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Version, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
