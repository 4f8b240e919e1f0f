//! Routes by meaning: each expert is known by what its operator says it is for, and the one goes first whose purpose is nearest
//! to the newest message. Among those that are nearly as near the readiest goes first, so that no expert is loaded for a
//! hair's breadth. What is near to nothing goes to the expert of the conversation, or else to a general one.

mod near;
mod ready;
#[cfg(test)]
mod tests;

use near::Near;
use ready::{able, abstained, first, most_ready};
use signalbox_sdk::{Decision, Expert, Refusal, Request, Route, config, export};

/// The cosine below which a purpose is not near, when the operator sets no `threshold`.
const THRESHOLD: f32 = 0.35;
/// What is as good as nearest, when the operator sets no `margin`.
const MARGIN: f32 = 0.03;

struct SemanticRouter;

impl Route for SemanticRouter {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let sees = |expert: &&Expert| !request.has_images() || expert.can("images");
        let able: Vec<&Expert> = able(experts).filter(sees).collect();
        let previous = request.previous_expert();
        let before = able.iter().copied().find(|expert| Some(expert.id()) == previous);
        if let Some(expert) = before.filter(|_| request.tool_loop_open()) {
            let reason = "the result of a tool goes to the expert that called it";
            return Ok(first(expert.id(), &abstained(&able)).because(reason));
        }
        let (found, why) = match near::of(&request.last_user_text(), &able) {
            Ok(found) => (found, "near to nothing".to_owned()),
            Err(error) => (Vec::new(), format!("no vectors ({error})")),
        };
        let nearest = found.iter().max_by(|a, b| a.cosine.total_cmp(&b.cosine));
        let threshold = config::parse("threshold", THRESHOLD);
        match (nearest.filter(|near| near.cosine >= threshold), before) {
            (Some(nearest), _) => Ok(near_enough(nearest, &found, &able)),
            (None, Some(expert)) => Ok(first(expert.id(), &abstained(&able))
                .because(why + "; it stays with the expert of the conversation")
                .confidence(0.0)),
            (None, None) => match abstained(&able).split_first() {
                Some((expert, rest)) => Ok(first(expert.clone(), rest)
                    .because(why + "; a general expert")
                    .confidence(0.0)),
                None => Err(Refusal::other("no-expert", "no expert can answer this call")),
            },
        }
    }
}

export!(SemanticRouter: route);

/// The readiest of those that are as good as nearest, the others of them behind it, and then a general one.
fn near_enough(nearest: &Near, found: &[Near], able: &[&Expert]) -> Decision {
    let margin = config::parse("margin", MARGIN);
    let close = found.iter().filter(|near| nearest.cosine - near.cosine <= margin);
    let plan = most_ready(close.map(|near| near.expert));
    let (expert, others) =
        plan.split_first().map_or((nearest.expert.id(), &[][..]), |(a, b)| (a.clone(), b));
    let chosen = found.iter().find(|near| near.expert.id() == expert).unwrap_or(nearest);
    let reason = format!("near to '{}' ({:.2})", chosen.purpose, chosen.cosine);
    let rest: Vec<String> = others.iter().cloned().chain(abstained(able)).collect();
    first(expert, &rest)
        .because(reason)
        .confidence(chosen.cosine.clamp(0.0, 1.0))
        .tag("nearest", nearest.expert.id())
}
