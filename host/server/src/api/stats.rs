//! `GET /stats`: the server at a glance. Details are in `/experts` and `/metrics`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::Serialize;
use signalbox_engine::{ExpertState, ExpertStatus};
use signalbox_policy::{OutOfService, PipelineStatus};

use super::experts::FAILED;
use crate::App;

/// The server at a glance.
#[derive(Serialize)]
pub(super) struct Stats {
    name: &'static str,
    version: &'static str,
    uptime_s: f64,
    ready: bool,
    draining: bool,
    models_loaded: Vec<String>,
    models_available: Vec<String>,
    models_failed: BTreeMap<String, &'static str>,
    requests_in_flight: usize,
    total_requests: u64,
    prompt_tokens_total: u64,
    completion_tokens_total: u64,
    memory: Memory,
    lazy_loading: Loads,
    /// The policies in force.
    policies: PipelineStatus,
    /// Hooks of policies that are out of service.
    policies_out_of_service: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    policies_unreadable: Option<String>,
    /// Every bound of this server and of its policies.
    limits: BTreeMap<&'static str, LimitView>,
}

#[derive(Serialize)]
struct Memory {
    max_bytes: u64,
    reserved_bytes: u64,
}

#[derive(Serialize)]
struct Loads {
    total_experts: usize,
    loaded_experts: usize,
    total_loads: u64,
    total_unloads: u64,
}

#[derive(Serialize)]
struct LimitView {
    value: u64,
    unit: &'static str,
}

/// Counts what there is.
pub(super) async fn show(State(app): State<App>) -> Json<Stats> {
    let menu = app.fleet().menu();
    let memory = app.fleet().memory();
    let models_loaded = ids(&menu, |expert| expert.state == ExpertState::Resident);
    let sum = |of: fn(&ExpertStatus) -> u64| menu.iter().map(of).sum();
    Json(Stats {
        name: "signalbox",
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started().0.elapsed().as_secs_f64(),
        ready: app.is_warm() && !app.is_draining(),
        draining: app.is_draining(),
        models_available: ids(&menu, |expert| !matches!(expert.state, ExpertState::Failed(_))),
        models_failed: menu.iter().filter_map(failed).collect(),
        requests_in_flight: app.pipeline().admission.in_flight(),
        total_requests: sum(|expert| expert.requests_total),
        prompt_tokens_total: sum(|expert| expert.prompt_tokens_total),
        completion_tokens_total: sum(|expert| expert.completion_tokens_total),
        memory: Memory { max_bytes: memory.max_bytes, reserved_bytes: memory.reserved_bytes },
        lazy_loading: Loads {
            total_experts: menu.len(),
            loaded_experts: models_loaded.len(),
            total_loads: sum(|expert| expert.load_count),
            total_unloads: sum(|expert| expert.unload_count),
        },
        models_loaded,
        policies: app.policies().pipeline(),
        policies_out_of_service: app.policies().out_of_service(),
        policies_unreadable: app.policies().unreadable(),
        limits: limits(&app),
    })
}

fn ids(menu: &[ExpertStatus], which: fn(&ExpertStatus) -> bool) -> Vec<String> {
    menu.iter().filter(|expert| which(expert)).map(|expert| expert.id.clone()).collect()
}

fn failed(expert: &ExpertStatus) -> Option<(String, &'static str)> {
    match &expert.state {
        ExpertState::Failed(_) => Some((expert.id.clone(), FAILED)),
        _ => None,
    }
}

fn limits(app: &App) -> BTreeMap<&'static str, LimitView> {
    let limits = app.limits().into_iter();
    limits.map(|(limit, value)| (limit.name, LimitView { value, unit: limit.unit })).collect()
}
