//! `GET` and `PUT /pipeline`: which policies run, and in which order.

use axum::{Json, extract::State};

use super::{input::Document, policies::blocking};
use crate::{
    App,
    error::ApiError,
    wire::policies::{Activation, Pipeline, PipelineStatus},
};

/// The pipeline in force.
pub(super) async fn show(State(app): State<App>) -> Json<PipelineStatus> {
    Json(app.policies().pipeline().into())
}

/// Sets the whole pipeline: `{"pre": [names], "route": name, "post": [names]}`.
pub(super) async fn set(
    State(app): State<App>,
    Document(body): Document,
) -> Result<Json<Activation>, ApiError> {
    let pipeline: Pipeline = body.whole("pipeline")?;
    Ok(Json(blocking(&app, move |policies| policies.set_pipeline(pipeline.into())).await?.into()))
}
