//! `GET /metrics`: Prometheus text.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{App, scrape};

/// Everything that is counted.
pub(super) async fn show(State(app): State<App>) -> Response {
    let text = scrape::render(&app);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
