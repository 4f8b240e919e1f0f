//! The default router. A small classifier, trained on the prompts in `prompts/`, says which domain a call's newest
//! message is about; the operator's own words about an expert add domains that it was never taught. What stands on
//! the message before it stays with the expert of the conversation, and so does the result of a tool. A call with images goes to experts that can see
//! them. When nothing stands out, the general expert answers. An expert that failed is never chosen.

mod candidate;
mod classifier;
mod code;
mod domains;
mod features;
mod judge;
mod operator;
mod stems;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod training;
mod verdict;
mod words;

use candidate::{Candidate, most_ready};
use judge::judge;
use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, config, export};
use verdict::Verdict;

struct RouteByDomain;

impl Route for RouteByDomain {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let images = request.has_images();
        let refuge = config::get("abstain-to").unwrap_or_else(|| "general".to_owned());
        let experts: Vec<_> = experts.iter().map(Candidate::of).collect();
        if !images && let Some(candidate) = caller_of_tool(request, &experts) {
            let others = most_ready(&experts, |c| {
                c.is_of(&refuge) && c.expert.id() != candidate.expert.id()
            });
            let plan = std::iter::once(candidate.expert.id()).chain(others);
            let reason = "the result of a tool goes to the expert that called it";
            let decision = Decision::first_of(plan).because(reason);
            return Ok(decision.tag("domain", candidate.domain.as_str()));
        }
        let verdict = if images { Verdict::images() } else { judge(request, &experts, &refuge) };
        let suits = |candidate: &Candidate| match images {
            true => candidate.expert.can("images"),
            false => candidate.is_of(&verdict.domain),
        };
        let mut plan = most_ready(&experts, suits);
        let missing = if plan.is_empty() { "; its expert is not available" } else { "" };
        if !images || plan.is_empty() {
            plan.extend(most_ready(&experts, |c| c.is_of(&refuge) && !suits(c)));
        }
        if plan.is_empty() {
            plan = most_ready(&experts, |_| true);
        }
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

/// The expert that waits for the result of a tool, unless it failed meanwhile.
fn caller_of_tool<'a>(
    request: &Request,
    experts: &'a [Candidate<'a>],
) -> Option<&'a Candidate<'a>> {
    let previous = request.previous_expert().filter(|_| request.tool_loop_open())?;
    experts.iter().find(|candidate| candidate.can_answer() && candidate.expert.id() == previous)
}
