//! The default router. It scores a call's newest message by whole words, phrases and signs of code
//! or foreign script, in English and Spanish, and asks the expert of the domain that stands out;
//! when none does, it abstains to the general one. An expert that failed is never chosen.

mod signals;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::time::Duration;

use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, State, config, export};
use signals::{Signal, evidence};

struct RouteByDomain;

impl Route for RouteByDomain {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let verdict = match request.hint("has-images") {
            Some(_) => Verdict::images(),
            None => Verdict::on(&request.last_user_text()),
        };
        let mut plan = most_ready(experts, |expert| verdict.wants(expert));
        let best = plan.first().cloned();
        let refuge = config::get("abstain-to").unwrap_or_else(|| "general".into());
        plan.extend(most_ready(experts, |expert| expert.domain() == refuge));
        plan.extend(most_ready(experts, |_| true).into_iter().take(usize::from(plan.is_empty())));
        let mut seen = Vec::new();
        plan.retain(|id| !seen.contains(id) && { seen.push(id.clone()); true });
        if plan.is_empty() {
            return Err(Refusal::other("no-expert", "no expert can answer: all of them failed"));
        }
        let missing = if best.is_none() { " (its expert is not available)" } else { "" };
        Ok(Decision::first_of(plan)
            .because(format!("{}{missing}", verdict.reason))
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
    fn on(text: &str) -> Self {
        let found = evidence(text);
        let points = |domain: &str| -> f32 {
            found.iter().filter(|signal| signal.domain == domain).map(|signal| signal.weight).sum()
        };
        let best = found.iter().map(|s| s.domain).max_by(|a, b| points(a).total_cmp(&points(b)));
        let total: f32 = found.iter().map(|signal| signal.weight).sum();
        // One point stands for everything that the tables do not know.
        let confidence = best.map_or(0.0, |domain| points(domain) / (total + 1.0));
        match best {
            Some(domain) if confidence >= config::parse("confidence-min", 0.5) => {
                Self::because(domain, confidence, &found)
            }
            _ => Self::abstain(confidence),
        }
    }
}
