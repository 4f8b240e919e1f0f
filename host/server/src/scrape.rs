//! What a scrape of `/metrics` reads from its owners: experts, policies, memory, limits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{counter, gauge};
use signalbox_engine::{ExpertState, ExpertStatus};
use signalbox_policy::{FeedbackStatus, Hook, HookCounters, PolicyStatus, ShadowStatus};

use crate::{App, telemetry::LOG_LINES_DROPPED};

/// Of the text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything there is to know of a server, as Prometheus text.
pub(crate) fn render(app: &App) -> String {
    app.pipeline().telemetry.render(|| {
        server(app);
        app.fleet().menu().iter().for_each(expert);
        app.policies().list().iter().for_each(service);
        for (policy, hooks) in app.policies().totals() {
            hooks.iter().for_each(|(hook, done)| self::policy(&policy, *hook, done));
        }
        app.policies().feedback().iter().for_each(feedback);
        app.policies().shadows().iter().for_each(shadow);
        for (policy, why, count) in app.policies().canaries_ended() {
            let labels = [("policy", policy), ("why", why.to_owned())];
            counter!("signalbox_policy_canaries_ended_total", &labels).absolute(count);
        }
        for ((policy, hook), count) in app.policies().openings() {
            let labels = [("policy", policy), ("hook", hook.to_string())];
            counter!("signalbox_policy_openings_total", &labels).absolute(count);
        }
    })
}

fn server(app: &App) {
    counter!("signalbox_log_lines_dropped_total").absolute(LOG_LINES_DROPPED.load(Relaxed));
    gauge!("signalbox_requests_in_flight").set(count(app.pipeline().admission.in_flight()));
    for (plane, bodies) in [("data", app.bodies()), ("admin", app.uploads())] {
        gauge!("signalbox_body_bytes_held", "plane" => plane).set(bytes(bodies.held_bytes()));
    }
    let (kept, held) = app.responses().held();
    gauge!("signalbox_responses_kept").set(count(kept));
    gauge!("signalbox_responses_bytes").set(bytes(held as u64));
    ask_cache(app);
    decision_log(app);
    traces(app);
    let (memory, prefetches) = (app.fleet().memory(), app.fleet().prefetches());
    counter!("signalbox_prefetch_hits_total").absolute(prefetches.hits);
    counter!("signalbox_prefetch_wastes_total").absolute(prefetches.wastes);
    gauge!("signalbox_memory_bytes_max").set(bytes(memory.max_bytes));
    gauge!("signalbox_memory_bytes_reserved").set(bytes(memory.reserved_bytes));
    let unreadable = app.policies().unreadable().is_some();
    gauge!("signalbox_policies_unreadable").set(f64::from(u8::from(unreadable)));
    for (limit, value) in app.limits() {
        gauge!("signalbox_limit", "name" => limit.name, "unit" => limit.unit).set(bytes(value));
    }
}

/// What experts said to policies and is kept.
fn ask_cache(app: &App) {
    let kept = app.pipeline().ask_cache.counts();
    gauge!("signalbox_ask_cache_bytes").set(count(kept.bytes));
    gauge!("signalbox_ask_cache_entries").set(count(kept.entries));
    for (outcome, number) in [("hit", kept.hits), ("miss", kept.misses)] {
        counter!("signalbox_ask_cache_total", "outcome" => outcome).absolute(number);
    }
}

fn decision_log(app: &App) {
    let Some(counts) = app.pipeline().decisions.counts() else { return };
    let dropped = |why: &'static str, of: &AtomicU64| {
        counter!("signalbox_decisions_dropped_total", "why" => why).absolute(of.load(Relaxed));
    };
    dropped("queue", &counts.dropped_waiting);
    dropped("disk", &counts.dropped_by_disk);
    counter!("signalbox_decisions_written_total").absolute(counts.written.load(Relaxed));
    gauge!("signalbox_decision_log_bytes").set(bytes(counts.bytes.load(Relaxed)));
}

/// Calls whose traces are lost, where traces go anywhere.
fn traces(app: &App) {
    let Some((dropped, failed)) = app.pipeline().decisions.tracer().lost() else { return };
    for (why, lost) in [("queue", dropped), ("send", failed)] {
        counter!("signalbox_traces_dropped_total", "why" => why).absolute(lost);
    }
}

fn expert(expert: &ExpertStatus) {
    let id = || [("expert", expert.id.clone())];
    let resident = if expert.weights_address.is_some() { expert.weight_bytes } else { 0 };
    gauge!("signalbox_expert_resident_bytes", &id()).set(bytes(resident));
    gauge!("signalbox_expert_kv_bytes", &id()).set(bytes(expert.kv_bytes));
    gauge!("signalbox_expert_queue_depth", &id()).set(count(expert.queue_depth));
    gauge!("signalbox_expert_running", &id()).set(count(expert.running));
    gauge!("signalbox_expert_up", &id()).set(f64::from(up(&expert.state)));
    counter!("signalbox_expert_loads_total", &id()).absolute(expert.load_count);
    counter!("signalbox_expert_unloads_total", &id()).absolute(expert.unload_count);
}

/// Whether an expert can answer, now or after loading.
fn up(state: &ExpertState) -> u8 {
    match state {
        ExpertState::Failed(_) => 0,
        ExpertState::Resident | ExpertState::Loading | ExpertState::Cold => 1,
    }
}

/// Whether its hooks are in service, the share of its canary, and what it keeps.
fn service(policy: &PolicyStatus) {
    let share = policy.canary.as_ref().map_or(0, |canary| canary.percent);
    gauge!("signalbox_policy_canary_percent", "policy" => policy.name.clone())
        .set(f64::from(share));
    if let Some(bucket) = &policy.bucket {
        let label = || [("policy", policy.name.clone())];
        gauge!("signalbox_policy_bucket_bytes", &label()).set(bytes(bucket.bytes));
        gauge!("signalbox_policy_bucket_entries", &label()).set(bytes(bucket.entries));
        counter!("signalbox_policy_bucket_refused_total", &label()).absolute(bucket.refused);
    }
    for hook in Hook::ALL {
        let out = policy.out_of_service.iter().any(|out| out.hook == hook && !out.on_trial);
        let labels = [("policy", policy.name.clone()), ("hook", hook.to_string())];
        gauge!("signalbox_policy_out_of_service", &labels).set(f64::from(u8::from(out)));
    }
}

/// What the revision in the shadow of a policy has shown; it begins anew with another one.
fn shadow((policy, shadow): &(String, ShadowStatus)) {
    for (hook, seen) in &shadow.hooks {
        let labels = || [("policy", policy.clone()), ("hook", hook.to_string())];
        let failed: u64 = seen.failures.values().sum();
        let verdicts = [
            ("agreed", seen.agreed),
            ("flipped", seen.compared - seen.agreed - failed),
            ("failed", failed),
            ("dropped", seen.dropped),
        ];
        for (verdict, calls) in verdicts {
            let labels: Vec<_> =
                labels().into_iter().chain([("verdict", verdict.to_owned())]).collect();
            gauge!("signalbox_policy_shadow_calls", &labels).set(bytes(calls));
        }
        let added = bytes(seen.candidate_us) - bytes(seen.active_us);
        gauge!("signalbox_policy_shadow_added_seconds", &labels()).set(added / 1e6);
    }
}

/// Over all its revisions: what failed stays counted when the breaker has put another in force.
fn policy(name: &str, hook: Hook, done: &HookCounters) {
    let labels = || [("policy", name.to_owned()), ("hook", hook.to_string())];
    counter!("signalbox_policy_calls_total", &labels()).absolute(done.calls);
    counter!("signalbox_policy_refusals_total", &labels()).absolute(done.refusals);
    // Counters hold whole numbers; these only grow as well.
    gauge!("signalbox_policy_seconds", &labels()).set(bytes(done.total_us) / 1e6);
    gauge!("signalbox_policy_guest_seconds", &labels()).set(bytes(done.guest_us) / 1e6);
    gauge!("signalbox_policy_host_seconds", &labels()).set(bytes(done.host_us) / 1e6);
    counter!("signalbox_policy_asks_total", &labels()).absolute(done.asks);
    counter!("signalbox_policy_asked_tokens_total", &labels()).absolute(done.asked_tokens);
    for (code, failures) in &done.failures {
        let kind = [("kind", (*code).to_owned())];
        let labels: Vec<_> = labels().into_iter().chain(kind).collect();
        counter!("signalbox_policy_failures_total", &labels).absolute(*failures);
    }
    for (result, requests) in &done.http_requests {
        let result = [("result", (*result).to_owned())];
        let labels: Vec<_> = labels().into_iter().chain(result).collect();
        counter!("signalbox_policy_http_requests_total", &labels).absolute(*requests);
    }
}

/// What a policy was told of its decisions, and what it was not.
fn feedback((policy, of): (&String, &FeedbackStatus)) {
    let label = || [("policy", policy.clone())];
    counter!("signalbox_policy_feedback_total", &label()).absolute(of.told);
    gauge!("signalbox_policy_feedback_seconds", &label()).set(bytes(of.total_us) / 1e6);
    gauge!("signalbox_policy_feedback_guest_seconds", &label()).set(bytes(of.guest_us) / 1e6);
    for (code, failures) in &of.failures {
        let labels = [("policy", policy.clone()), ("kind", (*code).to_owned())];
        counter!("signalbox_policy_feedback_failures_total", &labels).absolute(*failures);
    }
    for (why, dropped) in &of.dropped {
        let labels = [("policy", policy.clone()), ("why", (*why).to_owned())];
        counter!("signalbox_policy_feedback_dropped_total", &labels).absolute(*dropped);
    }
}

/// Prometheus knows one number type; exact up to 2^53.
fn bytes(n: u64) -> f64 {
    n as f64
}

fn count(n: usize) -> f64 {
    bytes(n as u64)
}
