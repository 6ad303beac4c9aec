use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use ml_core::{Error, ErrorKind};
use serde::Serialize;
use std::fmt::Write as _;
use uuid::Uuid;

/// A fault as the protocol tells it: a status and `{"error": "…"}`.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(super) fn wrong_verb(method: &Method) -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, message: format!("the path does not answer {method}") }
    }

    pub(super) fn too_large(max_body_bytes: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: format!("the body is over the limit of {max_body_bytes} bytes"),
        }
    }

    pub(super) fn encoded(encoding: &HeaderValue) -> Self {
        Self {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            message: format!("the body is read as it is, and not with the encoding {encoding:?}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = status(error.kind());
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            let id = Uuid::now_v7().simple();
            tracing::error!(%id, ?error, "request failed");
            return Self { status, message: format!("internal error {id}") };
        }
        Self { status, message: text(&error) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }

        let mut response = (self.status, Json(Body { error: self.message })).into_response();
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, SOON);
        }
        response
    }
}

/// In seconds. Models load and queues empty within seconds; a client with many retries backs off by itself.
pub(super) const SOON: HeaderValue = HeaderValue::from_static("1");

/// The one place where a kind becomes a status.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        // As the reference server of the protocol has it for a request that its caller gave up.
        ErrorKind::Cancelled | ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Message and facts, without the operation and the source: those are for the log.
fn text(error: &Error) -> String {
    let mut text = error.message().to_owned();
    for (i, (key, value)) in error.context().enumerate() {
        let _ = write!(text, "{}{key}: {value}", if i == 0 { " (" } else { ", " });
    }
    if error.context().next().is_some() {
        text.push(')');
    }
    text
}
