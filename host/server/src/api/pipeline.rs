//! `GET` and `PUT /pipeline`: which policies run, and in which order.

use axum::{Json, extract::State};
use signalbox_policy::{Activation, PipelineStatus};

use super::{input::Document, policies::blocking};
use crate::{App, error::ApiError};

/// The pipeline in force.
pub(super) async fn show(State(app): State<App>) -> Json<PipelineStatus> {
    Json(app.policies().pipeline())
}

/// Sets the whole pipeline: `{"pre": [names], "route": name, "post": [names]}`.
pub(super) async fn set(
    State(app): State<App>,
    Document(body): Document,
) -> Result<Json<Activation>, ApiError> {
    let pipeline = body.whole("pipeline")?;
    Ok(Json(blocking(&app, move |policies| policies.set_pipeline(pipeline)).await?))
}
