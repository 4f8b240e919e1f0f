//! Which experts can answer, and which of them at the least cost.

use std::cmp::Reverse;

use signalbox_sdk::{Decision, Expert, State, config};

/// Those that did not fail.
pub(crate) fn able(experts: &[Expert]) -> impl Iterator<Item = &Expert> {
    experts.iter().filter(|expert| !expert.is_failed())
}

/// Their ids: those in memory first, and of these the one that has computed most of the prompt; then by the wait
/// that was measured, by their queue, and by the operator's preference.
pub(crate) fn most_ready<'e>(experts: impl Iterator<Item = &'e Expert>) -> Vec<String> {
    let mut experts: Vec<&Expert> = experts.collect();
    let alone = experts.len() < 2;
    experts.sort_by_cached_key(|expert| {
        let state = match expert.state() {
            State::Resident => 0,
            State::Loading => 1,
            _ => 2,
        };
        // The host reads the prompt for it, so it is asked only where it decides something.
        let cached = if alone || state > 0 { None } else { expert.cached_tokens() };
        let (wait, queue) = (expert.estimated_wait(), expert.queue_depth());
        (state, Reverse(cached.unwrap_or(0)), wait, queue, Reverse(expert.priority()))
    });
    experts.iter().map(|expert| expert.id()).collect()
}

/// Who answers what is near to nothing: experts of the domain `abstain-to`, or any.
pub(crate) fn abstained(able: &[&Expert]) -> Vec<String> {
    let refuge = config::get("abstain-to").unwrap_or_else(|| "general".to_owned());
    let general = most_ready(able.iter().copied().filter(|expert| expert.domain() == refuge));
    if general.is_empty() { most_ready(able.iter().copied()) } else { general }
}

/// This expert, or the first of the rest that can answer; each once.
pub(crate) fn first(expert: String, rest: &[String]) -> Decision {
    let mut plan = vec![expert];
    for other in rest {
        if !plan.contains(other) {
            plan.push(other.clone());
        }
    }
    Decision::first_of(plan)
}
