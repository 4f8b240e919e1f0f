//! `GET /openapi.json` of both planes.

use axum::Json;
use serde_json::Value;

use crate::openapi::document;

/// What clients use.
pub(super) async fn data() -> Json<Value> {
    Json(document("data", &super::data_table()))
}

/// What operators use.
pub(super) async fn admin() -> Json<Value> {
    Json(document("admin", &super::admin_table()))
}
