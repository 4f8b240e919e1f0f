//! `GET /health` and `GET /ready`: alive, and able to take calls.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use signalbox_engine::ExpertState;
use signalbox_policy::OutOfService;

use super::root::{self, Models};
use crate::App;

/// Alive; 200 for as long as the process serves.
#[derive(Serialize)]
pub(super) struct Health {
    /// `healthy`, or `degraded` when a policy is out of service.
    status: &'static str,
    #[serde(flatten)]
    models: Models,
    /// Hooks of policies that are out of service.
    degraded: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    policies_unreadable: Option<String>,
}

/// Able to take calls; 503 until the warm pool is done, while draining, and while policies turn every
/// call away because they are out of service.
#[derive(Serialize)]
pub(super) struct Ready {
    ready: bool,
    draining: bool,
    /// Experts of the warm pool that are still loading.
    waiting_for: Vec<String>,
    /// Experts that can't be served; they don't keep the others from being ready.
    failed: Vec<String>,
    /// Hooks of policies that are out of service. Those that refuse keep this server from being
    /// ready.
    degraded: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    policies_unreadable: Option<String>,
}

/// Says that the process lives.
pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    let degraded = app.policies().out_of_service();
    let policies_unreadable = app.policies().unreadable();
    let well = degraded.is_empty() && policies_unreadable.is_none();
    let status = if well { "healthy" } else { "degraded" };
    let models = root::models(&app.fleet().menu());
    Json(Health { status, models, degraded, policies_unreadable })
}

/// Says whether calls should be sent here.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    let (mut waiting_for, mut failed) = (vec![], vec![]);
    for expert in app.fleet().menu() {
        match expert.state {
            ExpertState::Loading if !app.is_warm() => waiting_for.push(expert.id),
            ExpertState::Failed(_) => failed.push(expert.id),
            _ => {}
        }
    }
    let draining = app.is_draining();
    let degraded = app.policies().out_of_service();
    let policies_unreadable = app.policies().unreadable();
    let refuses = policies_unreadable.is_some() || degraded.iter().any(|out| out.refuses);
    let ready = app.is_warm() && !draining && !refuses;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, draining, waiting_for, failed, degraded, policies_unreadable }))
}
