//! Learns who answers which kind of question best: a discounted UCB bandit over kinds and experts. What a decision was worth
//! comes from the caller's rating, or else from whether there was an answer and how soon. Who is little known and in memory is
//! tried now and then; what was long ago counts less and less, so an expert that became better is found.

mod arms;
mod kind;
mod reward;
#[cfg(test)]
mod tests;

use arms::Arms;
use signalbox_sdk::{
    CallOutcome, Decided, Decision, Expert, Feedback, Refusal, Request, Route, State, config,
    export, keyvalue, log,
};

/// How much is tried where little is known, when the operator sets no `explore`; 0 tries nobody.
const EXPLORE: f64 = 0.3;
/// How many outcomes of a kind count, when the operator sets no `memory`.
const MEMORY: f64 = 100.0;
/// The label under which a decision keeps its kind until it is known what came of it.
const KIND: &str = "kind";

struct LearningRouter;

impl Route for LearningRouter {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let sees = |expert: &&Expert| !request.has_images() || expert.can("images");
        let able = experts.iter().filter(|expert| !expert.is_failed()).filter(sees);
        let (kind, explore) = (kind::of(request), config::parse("explore", EXPLORE).max(0.0));
        let arms = keyvalue::open().and_then(|bucket| bucket.get(kind));
        let arms = Arms::read(arms.unwrap_or_default().as_deref());
        let waits = request.tool_loop_open().then(|| request.previous_expert()).flatten();
        let mut ranked: Vec<(f64, i32, String)> = able
            .map(|expert| {
                let (id, resident) = (expert.id(), expert.state() == State::Resident);
                let bonus = if resident { explore * arms.doubt(&id) } else { 0.0 };
                let called = if waits.as_ref() == Some(&id) { f64::INFINITY } else { 0.0 };
                (arms.mean(&id) + bonus + called, expert.priority(), id)
            })
            .collect();
        // The sort is stable: of equals the operator's preference decides, then the order of the menu.
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let Some((_, _, best)) = ranked.first() else {
            return Err(Refusal::other("no-expert", "no expert can answer this call"));
        };
        let (mean, known) = (arms.mean(best), arms.known(best));
        let reason = format!("{kind}: {best} is worth {mean:.2} after {known:.0} answers");
        Ok(Decision::first_of(ranked.into_iter().map(|(_, _, id)| id))
            .because(reason)
            .confidence(mean.clamp(0.0, 1.0) as f32)
            .tag(KIND, kind))
    }
}

impl Feedback for LearningRouter {
    fn learn(_request: &Request, decision: &Decided, outcome: &CallOutcome) {
        let Some((worth, weight)) = reward::of(outcome) else { return };
        // Where nobody began to answer, it was the choice of who should have that was worth nothing.
        let expert = outcome.expert().or_else(|| decision.experts.first().cloned());
        let (Some(expert), Some(kind)) = (expert, decision.tag(KIND)) else { return };
        let memory = config::parse("memory", MEMORY).max(1.0);
        let learned = keyvalue::open().and_then(|bucket| {
            bucket.update(kind, |before| {
                let mut arms = Arms::read(before.as_deref());
                arms.learn(&expert, worth, weight, memory);
                arms.written()
            })
        });
        if let Err(error) = learned {
            log::warn(format_args!("nothing was learned of {expert}: {error}"));
        }
    }
}

export!(LearningRouter: route, feedback);
