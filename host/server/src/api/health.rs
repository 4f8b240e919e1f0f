//! `GET /health` and `GET /ready`: alive, and able to take calls.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use signalbox_engine::ExpertState;

use super::root::{self, Models};
use crate::App;

/// Alive; 200 for as long as the process serves.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    #[serde(flatten)]
    models: Models,
}

/// Able to take calls; 503 until the warm pool is done, and while draining.
#[derive(Serialize)]
pub(super) struct Ready {
    ready: bool,
    draining: bool,
    /// Experts of the warm pool that are still loading.
    waiting_for: Vec<String>,
    /// Experts that can't be served; they don't keep the others from being ready.
    failed: Vec<String>,
}

/// Says that the process lives.
pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    Json(Health { status: "healthy", models: root::models(&app.fleet().menu()) })
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
    let ready = app.is_warm() && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, draining, waiting_for, failed }))
}
