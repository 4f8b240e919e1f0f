//! The default router. It scores a call's newest message by whole words, phrases and signs of code
//! or foreign script, in English and Spanish, and asks the expert of the domain that stands out;
//! when none does, it abstains to the general one. An expert that failed is never chosen.

mod signals;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, time::Duration};

use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, State, config, export};
use signals::{Signal, evidence};

struct RouteByDomain;

impl Route for RouteByDomain {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let refuge = config::get("abstain-to").unwrap_or_else(|| "general".into());
        let sees = request.hint("has-images").is_some();
        let verdict = Verdict::on(&request.last_user_text(), &refuge);
        let mut plan = most_ready(experts, |expert| match sees {
            true => expert.can("images"),
            false => expert.domain() == verdict.domain,
        });
        let missing = if plan.is_empty() { " (no expert of that kind is available)" } else { "" };
        plan.extend(most_ready(experts, |expert| expert.domain() == refuge));
        plan.extend(most_ready(experts, |_| plan.is_empty()));
        let mut seen = Vec::new();
        plan.retain(|id| {
            !seen.contains(id) && {
                seen.push(id.clone());
                true
            }
        });
        if plan.is_empty() {
            return Err(Refusal::other("no-expert", "no expert can answer: all of them failed"));
        }
        let reason = if sees { "the call has images".into() } else { verdict.reason };
        Ok(Decision::first_of(plan)
            .because(format!("{reason}{missing}"))
            .confidence(verdict.confidence)
            .tag("domain", verdict.domain))
    }
}

export!(RouteByDomain: route);

/// What a call is about, as far as its text tells.
struct Verdict {
    domain: String,
    confidence: f32,
    reason: String,
}

impl Verdict {
    /// The domain with the most points, or the refuge when no domain stands out.
    fn on(text: &str, refuge: &str) -> Self {
        let found = evidence(text);
        let points = |domain: &str| -> f32 { of(&found, domain).map(|signal| signal.weight).sum() };
        let best = found.iter().map(|s| s.domain).max_by(|a, b| points(a).total_cmp(&points(b)));
        let total: f32 = found.iter().map(|signal| signal.weight).sum();
        // One point stands for everything that the tables do not know.
        let confidence = best.map_or(0.0, |domain| points(domain) / (total + 1.0));
        match best.filter(|_| confidence >= config::parse("confidence-min", 0.5)) {
            Some(domain) => {
                let signs: Vec<_> = of(&found, domain).map(|signal| signal.sign).take(3).collect();
                let reason = format!("{domain}: {}", signs.join(", "));
                Self { domain: domain.into(), confidence, reason }
            }
            None => {
                Self { domain: refuge.into(), confidence, reason: "no domain stands out".into() }
            }
        }
    }
}

fn of<'a>(found: &'a [Signal], domain: &str) -> impl Iterator<Item = &'a Signal> {
    found.iter().filter(move |signal| signal.domain == domain)
}

/// The ids of fitting experts: resident before cold, short waits before long, preferred ones first.
fn most_ready(experts: &[Expert], fits: impl Fn(&Expert) -> bool) -> Vec<String> {
    let mut able: Vec<_> = experts.iter().filter(|e| !e.is_failed() && fits(e)).collect();
    able.sort_by_key(|expert| {
        let cold = !matches!(expert.state(), State::Resident);
        (cold, expert.estimated_wait().unwrap_or(Duration::ZERO), Reverse(expert.priority()))
    });
    able.into_iter().map(|expert| expert.id()).collect()
}
