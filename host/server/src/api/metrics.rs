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
    ([(header::CONTENT_TYPE, scrape::CONTENT_TYPE)], text).into_response()
}
