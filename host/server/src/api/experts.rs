//! `GET /experts` on both planes, and the levers of the admin plane: load, unload, pin, unpin.

use std::time::Duration;

use axum::{Json, extract::State};
use signalbox_confine::{LINE_BYTES, clean};
use signalbox_engine::{EngineError, ExpertState, ExpertStatus, Finding as Noticed};

use super::input::Named;
use crate::{
    App,
    error::ApiError,
    wire::{
        Word,
        experts::{Expert, ExpertList, Finding},
    },
};

/// What clients read of an expert that failed.
pub(super) const FAILED: &str =
    "it can't be served; the operator finds why in the log and in /experts of the admin plane";

/// All experts, for clients.
pub(super) async fn list(State(app): State<App>) -> Json<ExpertList> {
    let experts = app.fleet().menu().into_iter().map(|status| outer(view(status)));
    Json(ExpertList { experts: experts.collect() })
}

/// All experts, for operators.
pub(super) async fn list_with_addresses(State(app): State<App>) -> Json<ExpertList> {
    let experts = app.fleet().menu().into_iter().map(view_with_address);
    Json(ExpertList { experts: experts.collect() })
}

/// Loads an expert; answers when it is in memory.
pub(super) async fn load(
    State(app): State<App>,
    Named(id): Named<String>,
) -> Result<Json<Expert>, ApiError> {
    app.fleet().load(&id).await?;
    shown(&app, id)
}

/// Unloads an idle expert.
pub(super) async fn unload(
    State(app): State<App>,
    Named(id): Named<String>,
) -> Result<Json<Expert>, ApiError> {
    app.fleet().unload(&id).await?;
    shown(&app, id)
}

/// Keeps an expert in memory, whatever else is loaded.
pub(super) async fn pin(
    State(app): State<App>,
    Named(id): Named<String>,
) -> Result<Json<Expert>, ApiError> {
    app.fleet().pin(&id, true)?;
    shown(&app, id)
}

/// Ends that.
pub(super) async fn unpin(
    State(app): State<App>,
    Named(id): Named<String>,
) -> Result<Json<Expert>, ApiError> {
    app.fleet().pin(&id, false)?;
    shown(&app, id)
}

fn shown(app: &App, expert: String) -> Result<Json<Expert>, ApiError> {
    let status = app.fleet().status(&expert);
    Ok(Json(view_with_address(status.ok_or(EngineError::UnknownExpert { expert })?)))
}

fn view_with_address(status: ExpertStatus) -> Expert {
    let weights_address = status.weights_address.map(|address| format!("{address:#x}"));
    Expert { weights_address, ..view(status) }
}

/// What clients may know of it.
fn outer(expert: Expert) -> Expert {
    let findings = expert.findings.into_iter();
    Expert {
        reason: expert.reason.map(|_| FAILED.to_owned()),
        findings: findings.map(|f| Finding { message: None, mend: None, ..f }).collect(),
        ..expert
    }
}

fn view(status: ExpertStatus) -> Expert {
    let (state, reason) = state(status.state);
    Expert {
        expert_id: status.id,
        domain: status.domain,
        description: status.description,
        use_cases: status.use_cases,
        priority: status.priority,
        capabilities: status.capabilities,
        architecture: status.architecture.as_deref().map(line),
        quantization: status.quantization.as_deref().map(line),
        context_length: status.context_length,
        is_loaded: state == "resident",
        state,
        reason,
        pinned: status.pinned,
        weight_bytes: status.weight_bytes,
        kv_bytes: status.kv_bytes,
        queue_depth: status.queue_depth,
        running: status.running,
        estimated_wait_s: seconds(status.estimated_wait),
        load_percent: status.loading.as_ref().and_then(|loading| loading.percent),
        waits_for: status.loading.map(|loading| loading.waits_for).unwrap_or_default(),
        last_load_s: seconds(status.last_load),
        load_count: status.load_count,
        unload_count: status.unload_count,
        total_requests: status.requests_total,
        prompt_tokens_total: status.prompt_tokens_total,
        cached_tokens_total: status.cached_tokens_total,
        completion_tokens_total: status.completion_tokens_total,
        guessed_tokens_total: status.guessed_tokens_total,
        accepted_tokens_total: status.accepted_tokens_total,
        yields_total: status.yields_total,
        tokens_per_second: status.tokens_per_second,
        idle_time_s: seconds(status.idle),
        weights_address: None,
        findings: status.findings.into_iter().map(finding).collect(),
    }
}

fn state(state: ExpertState) -> (Word, Option<String>) {
    match state {
        ExpertState::Resident => ("resident".into(), None),
        ExpertState::Loading => ("loading".into(), None),
        ExpertState::Cold => ("cold".into(), None),
        ExpertState::Failed(reason) => ("failed".into(), Some(line(&reason))),
    }
}

fn finding(noticed: Noticed) -> Finding {
    let severity = noticed.severity.to_string();
    let Noticed { code, message, mend, .. } = noticed;
    Finding { severity, code: code.into(), message: Some(line(&message)), mend: Some(line(&mend)) }
}

/// Words that may come out of a checkpoint.
fn line(text: &str) -> String {
    clean(text, 4 * LINE_BYTES)
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
