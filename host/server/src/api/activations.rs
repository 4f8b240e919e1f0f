//! `GET /activations` and `POST /rollback`: what came into force when, and back.

use axum::{Json, extract::State};
use serde::Serialize;
use signalbox_policy::Activation;

use super::policies::blocking;
use crate::{App, error::ApiError};

/// Every change of the policies in force.
#[derive(Serialize)]
pub(super) struct List {
    activations: Vec<Activation>,
}

/// Lists the history, in the registry's order.
pub(super) async fn list(State(app): State<App>) -> Json<List> {
    Json(List { activations: app.policies().history() })
}

/// Undoes the last activation, whichever policy's it was.
pub(super) async fn rollback(State(app): State<App>) -> Result<Json<Activation>, ApiError> {
    Ok(Json(blocking(&app, |policies| policies.rollback(None)).await?))
}
