//! `GET /activations` and `POST /rollback`: what came into force when, and back.

use super::policies::blocking;
use crate::{
    App,
    error::ApiError,
    wire::policies::{Activation, ActivationList},
};
use axum::{Json, extract::State};

/// Lists the history, in the registry's order.
pub(super) async fn list(State(app): State<App>) -> Json<ActivationList> {
    let activations = app.policies().history().into_iter().map(Activation::from);
    Json(ActivationList { activations: activations.collect() })
}

/// Undoes the last activation, whichever policy's it was.
pub(super) async fn rollback(State(app): State<App>) -> Result<Json<Activation>, ApiError> {
    Ok(Json(blocking(&app, |policies| policies.rollback(None)).await?.into()))
}
