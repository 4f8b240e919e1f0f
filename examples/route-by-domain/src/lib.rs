//! The default router. A small classifier, trained on the prompts in `prompts/`, says which domain a call's newest
//! message is about; the operator's own words about an expert add domains that it was never taught. What stands on
//! the message before it stays with the expert of the conversation. A call with images goes to experts that can see
//! them. When nothing stands out, the general expert answers. An expert that failed is never chosen.

mod classifier;
mod domains;
mod features;
mod judge;
mod operator;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod training;
mod verdict;

use std::cmp::Reverse;

use domains::is_of;
use judge::judge;
use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, State, config, export};
use verdict::Verdict;

struct RouteByDomain;

impl Route for RouteByDomain {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let images = request.has_images();
        let refuge = config::get("abstain-to").unwrap_or_else(|| "general".to_owned());
        let verdict = if images { Verdict::images() } else { judge(request, experts, &refuge) };
        let suits =
            |e: &Expert| if images { e.can("images") } else { is_of(&e.domain(), &verdict.domain) };
        let mut plan = most_ready(experts, suits);
        let missing = if plan.is_empty() { "; its expert is not available" } else { "" };
        if !images || plan.is_empty() {
            plan.extend(most_ready(experts, |e| is_of(&e.domain(), &refuge) && !suits(e)));
        }
        plan.extend(most_ready(experts, |_| plan.is_empty()));
        if plan.is_empty() {
            return Err(Refusal::other("no-expert", "no expert can answer: all of them failed"));
        }
        let Verdict { domain, confidence, why } = verdict;
        let percent = (confidence * 100.0).round() as u32;
        let reason = format!("{domain}: {why}; {percent} %{missing}");
        Ok(Decision::first_of(plan).because(reason).confidence(confidence).tag("domain", domain))
    }
}

export!(RouteByDomain: route);

/// The ids of those that suit and did not fail: loaded ones first, then by the wait that was
/// measured, by their queue, and by the operator's preference.
fn most_ready(experts: &[Expert], suits: impl Fn(&Expert) -> bool) -> Vec<String> {
    let mut able: Vec<_> = experts.iter().filter(|e| !e.is_failed() && suits(e)).collect();
    able.sort_by_cached_key(|expert| {
        let state = match expert.state() {
            State::Resident => 0,
            State::Loading => 1,
            _ => 2,
        };
        (state, expert.estimated_wait(), expert.queue_depth(), Reverse(expert.priority()))
    });
    able.into_iter().map(Expert::id).collect()
}
