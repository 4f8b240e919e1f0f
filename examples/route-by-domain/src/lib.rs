//! The default router. It scores a call's newest message by whole words, phrases and signs of code
//! or foreign script, in English and Spanish, and asks the expert of the domain that stands out;
//! when none does, it abstains to the general one. A call with images goes to experts that can see
//! them. An expert that failed is never chosen.

mod signals;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, State, config, export};

/// What is read of a message, in bytes: what a text is about shows at its beginning.
const READ_BYTES: usize = 64 << 10;
/// Signals named in a reason.
const GROUNDS_MAX: usize = 8;

struct RouteByDomain;

impl Route for RouteByDomain {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let images = request.has_images();
        let refuge = config::get("abstain-to").unwrap_or_else(|| "general".to_owned());
        let verdict = if images { images_verdict() } else { judge(request, &refuge) };
        let suits =
            |e: &Expert| if images { e.can("images") } else { e.domain() == verdict.domain };
        let mut plan = most_ready(experts, suits);
        let missing = if plan.is_empty() { "; its expert is not available" } else { "" };
        if !images || plan.is_empty() {
            plan.extend(most_ready(experts, |e| e.domain() == refuge && !suits(e)));
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

/// What a call is about, as far as its text says.
struct Verdict {
    domain: String,
    confidence: f32,
    why: String,
}

fn images_verdict() -> Verdict {
    Verdict { domain: "images".to_owned(), confidence: 1.0, why: "the call has images".to_owned() }
}

/// The domain with the most points, or `refuge` when none stands out.
fn judge(request: &Request, refuge: &str) -> Verdict {
    let text = request.last_user_text();
    let found = signals::evidence(&text[..text.floor_char_boundary(READ_BYTES)]);
    let points = |domain: &str| {
        let own = found.iter().filter(|signal| signal.domain == domain);
        own.fold(0.0, |points, signal| points + signal.points)
    };
    let total = found.iter().fold(0.0, |points, signal| points + signal.points);
    let domains = found.iter().map(|signal| signal.domain);
    let best = domains.max_by(|a, b| points(a).total_cmp(&points(b))).unwrap_or(refuge);
    // One point stands for everything that the tables do not know.
    let confidence = points(best) / (total + 1.0);
    if confidence < config::parse("confidence-min", 0.5) {
        let why = "no domain stands out".to_owned();
        return Verdict { domain: refuge.to_owned(), confidence, why };
    }
    let grounds = found.iter().filter(|signal| signal.domain == best).map(|s| &*s.name);
    let grounds: Vec<_> = grounds.take(GROUNDS_MAX).collect();
    Verdict { domain: best.to_owned(), confidence, why: grounds.join(", ") }
}

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
