//! `GET /health` and `GET /ready`: alive, and able to take calls.

use axum::{Json, extract::State, http::StatusCode};
use signalbox_engine::ExpertState;

use super::root;
use crate::{
    App,
    wire::{
        health::{Health, Ready},
        policies::OutOfService,
    },
};

/// Says that the process lives.
pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    let degraded = out_of_service(&app);
    let policies_unreadable = app.policies().unreadable();
    let menu = app.fleet().menu();
    let models = root::models(&menu);
    let failed = root::failed(&menu);
    let well = degraded.is_empty() && policies_unreadable.is_none();
    let status = match well {
        _ if models.models_available == 0 => "unhealthy",
        true => "healthy",
        false => "degraded",
    };
    let experts_ready = models.models_available;
    Json(Health {
        status: status.into(),
        models,
        failed,
        orchestrator_ready: experts_ready > 0,
        experts_ready,
        streaming_enabled: true,
        degraded,
        policies_unreadable,
    })
}

/// Says whether calls should be sent here.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    let menu = app.fleet().menu();
    let loading = menu.iter().filter(|expert| expert.state == ExpertState::Loading);
    let waiting_for = loading.filter(|_| !app.is_warm()).map(|expert| expert.id.clone()).collect();
    let failed = root::failed(&menu);
    let none_able = root::models(&menu).models_available == 0;
    let draining = app.is_draining();
    let degraded = out_of_service(&app);
    let policies_unreadable = app.policies().unreadable();
    let refuses = policies_unreadable.is_some() || degraded.iter().any(|out| out.refuses);
    let ready = app.is_warm() && !draining && !refuses && !none_able;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, draining, waiting_for, failed, degraded, policies_unreadable }))
}

/// Hooks of policies that are out of service.
pub(super) fn out_of_service(app: &App) -> Vec<OutOfService> {
    app.policies().out_of_service().into_iter().map(Into::into).collect()
}
