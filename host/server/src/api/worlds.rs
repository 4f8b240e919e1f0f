//! `GET /worlds`: what a policy may be built against.

use axum::Json;

use crate::wire::worlds::Worlds;

/// The contract of this host.
pub(super) async fn show() -> Json<Worlds> {
    Json(signalbox_policy::contract().into())
}
