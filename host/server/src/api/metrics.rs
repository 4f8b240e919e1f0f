//! `GET /metrics`: Prometheus text.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::App;

/// Everything that is counted.
pub(super) async fn show(State(app): State<App>) -> Response {
    let text = app.pipeline().telemetry.render(&app);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
