//! `/policies`: what is uploaded, and the levers of one policy. The registry writes to disk, so it
//! works on threads that may block.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use signalbox_policy::{Policies, PolicyError};

use super::{
    fields::Fields,
    input::{Asked, Document, Named, Upload},
};
use crate::{
    App,
    bodies::Whole,
    error::ApiError,
    wire::policies::{Activation, Policy, PolicyList, Uploaded},
};

/// `?activate=true&allow_new_imports=true`
#[derive(Deserialize)]
pub(super) struct Uploading {
    #[serde(default)]
    activate: bool,
    #[serde(default)]
    allow_new_imports: bool,
}

/// Lists all policies.
pub(super) async fn list(State(app): State<App>) -> Json<PolicyList> {
    let policies = app.policies().list().into_iter().map(Policy::from);
    Json(PolicyList { policies: policies.collect() })
}

/// Shows one policy.
pub(super) async fn show(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Json<Policy>, ApiError> {
    let status = app.policies().show(&name);
    Ok(Json(status.ok_or(PolicyError::UnknownPolicy { name })?.into()))
}

/// Takes a component in; whatever its content type says, its bytes decide.
pub(super) async fn upload(
    State(app): State<App>,
    Named(name): Named<String>,
    Asked(asked): Asked<Uploading>,
    Upload(Whole { bytes, held: _held }): Upload,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let uploaded = app.policies().upload(&name, bytes.into()).await?;
    let revision = uploaded.revision.clone();
    let activation = match asked.activate {
        true => {
            let new_imports = asked.allow_new_imports.into();
            Some(blocking(&app, move |p| p.activate(&name, &revision, new_imports)).await?)
        }
        false => None,
    };
    Ok((StatusCode::CREATED, Json(Uploaded::of(uploaded, activation))))
}

/// Puts a revision in force; a unique prefix of it will do.
pub(super) async fn activate(
    State(app): State<App>,
    Named(name): Named<String>,
    Document(body): Document,
) -> Result<Json<Activation>, ApiError> {
    let reading = |mut fields: Fields<'_>| -> Result<(String, Option<bool>), ApiError> {
        let revision = fields.read("revision")?.ok_or_else(|| fields.missing("revision"))?;
        Ok((revision, fields.read("allow_new_imports")?))
    };
    let ((revision, allowed), _) =
        body.read(&app, &[&["revision", "allow_new_imports"]], reading).await?;
    let new_imports = allowed.unwrap_or_default().into();
    Ok(Json(blocking(&app, move |p| p.activate(&name, &revision, new_imports)).await?.into()))
}

/// Takes a policy out of the pipeline.
pub(super) async fn deactivate(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Json<Activation>, ApiError> {
    Ok(Json(blocking(&app, move |p| p.deactivate(&name)).await?.into()))
}

/// Undoes the last activation of one policy.
pub(super) async fn rollback(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Json<Activation>, ApiError> {
    Ok(Json(blocking(&app, move |p| p.rollback(Some(&name))).await?.into()))
}

/// Forgets a revision that nothing needs.
pub(super) async fn remove(
    State(app): State<App>,
    Named((name, revision)): Named<(String, String)>,
) -> Result<StatusCode, ApiError> {
    blocking(&app, move |p| p.remove_revision(&name, &revision)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a command of the registry on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    app: &App,
    command: impl FnOnce(&Policies) -> Result<T, PolicyError> + Send + 'static,
) -> Result<T, ApiError> {
    let policies = app.policies().clone();
    match tokio::task::spawn_blocking(move || command(&policies)).await {
        Ok(done) => Ok(done?),
        Err(panic) => {
            let message = format!("the policy registry stopped in the middle: {panic}");
            Err(ApiError::host(StatusCode::INTERNAL_SERVER_ERROR, "internal_panic", message))
        }
    }
}
