//! `/policies`: what is uploaded, and the levers of one policy. The registry writes to disk, so it
//! works on threads that may block.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use signalbox_policy::{NewImports, Policies, PolicyError};

use super::{
    fields::{Fields, Names},
    input::{Asked, Document, Named, Upload},
};
use crate::{
    App,
    bodies::Whole,
    error::ApiError,
    wire::{
        policies::{Activation, Policy, PolicyList, Uploaded},
        requests::Share,
    },
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
    Upload { component: Whole { bytes, held: _held }, signature }: Upload,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let uploaded = app.policies().upload(&name, bytes.into(), signature.provenance()).await?;
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
    let (asked, _) = body.read(&app, ACTIVATE, Activating::read).await?;
    let Activating { revision, new_imports, permille, percent } = asked;
    let activate = move |policies: &Policies| {
        if let Some(permille) = permille {
            policies.check_agreement(&name, &revision, permille)?;
        }
        match percent {
            Some(percent) => policies.begin_canary(&name, &revision, percent, new_imports),
            None => policies.activate(&name, &revision, new_imports),
        }
    };
    Ok(Json(blocking(&app, activate).await?.into()))
}

/// Fields of what is to be activated.
const ACTIVATE: Names = &[&["revision", "allow_new_imports", "min_agreement", "canary"]];

/// What is to be activated, and on which terms.
struct Activating {
    revision: String,
    new_imports: NewImports,
    permille: Option<u32>,
    /// Of the calls; all where absent.
    percent: Option<u32>,
}

impl Activating {
    fn read(mut fields: Fields<'_>) -> Result<Self, ApiError> {
        let revision = fields.read("revision")?.ok_or_else(|| fields.missing("revision"))?;
        let new_imports = fields.read("allow_new_imports")?.unwrap_or(false).into();
        let share: Option<f64> = fields.read("min_agreement")?;
        if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(ApiError::value("min_agreement", "it is a share of calls, 0 to 1"));
        }
        let permille = share.map(|share| (share * 1000.0).ceil() as u32);
        let percent = fields.read("canary")?.map(|Share { percent }| percent);
        if percent.is_some_and(|percent| !(1..=99).contains(&percent)) {
            return Err(ApiError::value("canary", "'percent' is a share of calls, 1 to 99"));
        }
        Ok(Self { revision, new_imports, permille, percent })
    }
}

/// Puts a canary in force for all calls.
pub(super) async fn promote(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Json<Activation>, ApiError> {
    Ok(Json(blocking(&app, move |p| p.promote(&name)).await?.into()))
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
