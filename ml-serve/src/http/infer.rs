use super::{App, error::Failure, target::Target};
use crate::{Request, Response};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderMap,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::IntoResponse,
};
use futures_util::TryStreamExt;
use ml_core::{
    Error, Result, Signature, Tensors,
    id::ModelName,
    tensor::json::{ReadTensor, WriteTensor},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::sync::Arc;

pub(super) async fn infer(
    State(app): State<Arc<App>>,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Failure> {
    check_headers(&headers, app.max_body_bytes)?;
    let signature = app.server.model(&target.name, target.version)?.signature;
    let bytes = read_body(body, app.max_body_bytes).await?;
    let response = app.server.predict(parse(&bytes, target, &signature)?).await?;
    Ok(([(CONTENT_TYPE, "application/json")], write(&response)?))
}

fn check_headers(headers: &HeaderMap, max_body_bytes: usize) -> Result<(), Failure> {
    if headers.contains_key(JSON_LENGTH) {
        return Err(Error::invalid_input("tensors in binary are not offered").with("header", JSON_LENGTH).into());
    }
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(Failure::encoded(encoding));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max_body_bytes as u64) {
        return Err(Failure::too_large(max_body_bytes));
    }
    Ok(())
}

/// Copies the body into one buffer as it comes: a body in millions of tiny chunks takes no more memory than another.
async fn read_body(body: Body, max_body_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = next(&mut stream).await? {
        if chunk.len() > max_body_bytes - bytes.len() {
            return Err(Failure::too_large(max_body_bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn next(stream: &mut axum::body::BodyDataStream) -> Result<Option<Bytes>> {
    let broken = |source| Error::invalid_input("the body ended before its end").with_source(source);
    stream.try_next().await.map_err(broken)
}

fn parse(bytes: &[u8], target: Target, signature: &Signature) -> Result<Request> {
    let json = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid_input("the body is not UTF-8").with("valid_up_to", error.valid_up_to()))?;
    let InferRequest { id, inputs, outputs } = serde_json::from_str(json)
        .map_err(|error| Error::invalid_input("the body is not an inference request in JSON").with("reason", error))?;

    // Counted before any is read: names are compared with each other, which a million of them would make slow.
    if inputs.len() > signature.inputs().len() {
        return Err(Error::invalid_input("more inputs than the model takes")
            .with("expected", signature.inputs().len())
            .with("got", inputs.len()));
    }
    let mut tensors = Tensors::new();
    for input in &inputs {
        tensors.insert(&input.name, input.to_tensor()?)?;
    }
    let mut wanted = Vec::new();
    for WantedOutput { name, parameters } in outputs.unwrap_or_default() {
        parameters.unwrap_or_default().check().map_err(|error| error.with("output", name.escape_debug()))?;
        wanted.push(name);
    }
    Ok(Request { version: target.version, id, outputs: wanted, ..Request::new(target.name, tensors) })
}

fn write(response: &Response) -> Result<Vec<u8>> {
    let outputs = response.outputs.iter().map(|(name, tensor)| WriteTensor { name, tensor }).collect();
    let body = InferResponse {
        model_name: &response.model,
        model_version: response.version.to_string(),
        id: &response.id,
        outputs,
    };
    serde_json::to_vec(&body)
        .map_err(|error| Error::unsupported("the outputs cannot be written as JSON").with("reason", error))
}

/// What a request holds. Members that are not named here are read over, and null is as good as not there: clients that
/// make the body of typed values write what is not set as null.
#[derive(Deserialize)]
#[serde(expecting = "an object with inputs")]
struct InferRequest<'a> {
    id: Option<String>,
    #[serde(borrow)]
    inputs: Vec<ReadTensor<'a>>,
    outputs: Option<Vec<WantedOutput>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with the name of an output")]
struct WantedOutput {
    name: String,
    parameters: Option<OutputParameters>,
}

/// The parameters that would give another output than the one named.
#[derive(Default, Deserialize)]
struct OutputParameters {
    classification: Option<IgnoredAny>,
    shared_memory_region: Option<IgnoredAny>,
}

impl OutputParameters {
    fn check(&self) -> Result<()> {
        for (name, given) in
            [("classification", &self.classification), ("shared_memory_region", &self.shared_memory_region)]
        {
            if given.is_some() {
                return Err(Error::invalid_input("a parameter of an output is not offered").with("parameter", name));
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct InferResponse<'a> {
    model_name: &'a ModelName,
    model_version: String,
    id: &'a str,
    outputs: Vec<WriteTensor<'a>>,
}

/// With this header of the binary extension, the body is JSON only up to the length it gives.
const JSON_LENGTH: &str = "inference-header-content-length";
