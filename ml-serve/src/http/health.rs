use super::{
    App,
    error::{Failure, SOON},
    target::Target,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use ml_core::id::ModelName;
use serde::Serialize;
use std::sync::Arc;

pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    #[derive(Serialize)]
    struct Live {
        live: bool,
    }

    let live = app.server.readiness().is_live();
    answer(live, Live { live })
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    #[derive(Serialize)]
    struct Ready {
        ready: bool,
    }

    let ready = app.server.readiness().is_ready();
    answer(ready, Ready { ready })
}

pub(super) async fn model(State(app): State<Arc<App>>, target: Target) -> Result<Response, Failure> {
    #[derive(Serialize)]
    struct ModelReady {
        name: ModelName,
        ready: bool,
    }

    let model = app.server.model(&target.name, target.version)?;
    let ready = app.server.readiness().is_live();
    Ok(answer(ready, ModelReady { name: model.name, ready }))
}

fn answer(healthy: bool, body: impl Serialize) -> Response {
    if healthy {
        Json(body).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, SOON)], Json(body)).into_response()
    }
}
