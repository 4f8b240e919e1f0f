//! `GET /stats`: the server at a glance. Details are in `/experts` and `/metrics`.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use signalbox_confine::Limit;
use signalbox_engine::{ExpertState, ExpertStatus};

use super::{experts::FAILED, health::out_of_service};
use crate::{
    App,
    wire::{
        Word,
        stats::{Feedback, LimitValue, Loads, Memory, Stats},
    },
};

/// Counts what there is.
pub(super) async fn show(State(app): State<App>) -> Json<Stats> {
    let menu = app.fleet().menu();
    let (memory, prefetches) = (app.fleet().memory(), app.fleet().prefetches());
    let models_loaded = ids(&menu, |expert| expert.state == ExpertState::Resident);
    let sum = |of: fn(&ExpertStatus) -> u64| menu.iter().map(of).sum();
    Json(Stats {
        name: "signalbox".into(),
        version: env!("CARGO_PKG_VERSION").into(),
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
            prefetch_hits: prefetches.hits,
            prefetch_wastes: prefetches.wastes,
        },
        models_loaded,
        policies: app.policies().pipeline().into(),
        policies_out_of_service: out_of_service(&app),
        policies_unreadable: app.policies().unreadable(),
        feedback: feedback(&app),
        limits: limits(&app),
    })
}

fn feedback(app: &App) -> BTreeMap<String, Feedback> {
    app.policies().feedback().into_iter().map(|(name, of)| (name, of.into())).collect()
}

fn ids(menu: &[ExpertStatus], which: fn(&ExpertStatus) -> bool) -> Vec<String> {
    menu.iter().filter(|expert| which(expert)).map(|expert| expert.id.clone()).collect()
}

fn failed(expert: &ExpertStatus) -> Option<(String, Word)> {
    match &expert.state {
        ExpertState::Failed(_) => Some((expert.id.clone(), FAILED.into())),
        _ => None,
    }
}

fn limits(app: &App) -> BTreeMap<Word, LimitValue> {
    let limits = app.limits().into_iter();
    let named = |(limit, value): (&'static Limit, u64)| {
        (limit.name.into(), LimitValue { value, unit: limit.unit.into() })
    };
    limits.map(named).collect()
}
