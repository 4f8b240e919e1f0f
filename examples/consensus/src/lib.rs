//! Several experts answer a hard question, and a judge makes one answer of theirs. A question is hard when an expert says so
//! with some probability, which costs it a look at the prompt and no token of reply. Everything else goes to one expert,
//! and so does what several would take too long for: nobody is loaded for this, or waited for longer than the operator
//! wants.

mod members;
#[cfg(test)]
mod tests;

use members::{Candidate, able, members};
use signalbox_sdk::{
    Decision, Expert, Mode, Plan, Refusal, Request, Route, config,
    decide::{self, Question},
    export,
};

/// How probable it has to be that a question is hard, when the operator sets no `hard`.
const HARD: f64 = 0.6;
/// Bytes of the question that are judged.
const JUDGED_BYTES: usize = 4000;
const QUESTION: &str =
    "To answer this well takes several steps of reasoning or knowledge that few have.";

struct Consensus;

impl Route for Consensus {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let able = able(request, experts);
        let Some(best) = able.first() else {
            return Err(Refusal::other("no-expert", "no expert can answer this call"));
        };
        let single = |why: &str| Decision::first_of(able.iter().map(|c| c.id.clone())).because(why);
        if !request.tools().is_empty() || request.tool_loop_open() {
            return Ok(single("several experts can't call tools together"));
        }
        let members = members(&able);
        if members.len() < 2 {
            return Ok(single("fewer than two experts are ready"));
        }
        match hard(request, best) {
            Ok(hard) if hard >= config::parse("hard", HARD) => Ok(together(members, hard)),
            Ok(hard) => Ok(single(&format!("not hard enough ({hard:.2})"))),
            Err(error) => Ok(single(&format!("nobody says whether it is hard: {error}"))),
        }
    }
}

export!(Consensus: route);

/// How probable it is that the newest message is hard to answer, in the opinion of the best expert.
fn hard(request: &Request, best: &Candidate) -> Result<f64, decide::Error> {
    let text = request.last_user_text();
    let text = &text[..text.floor_char_boundary(JUDGED_BYTES)];
    let weights = decide::decide(text, &[Question::predicate(QUESTION)], Some(&best.id))?;
    let yes = weights.first().and_then(|weights| weights.probabilities.first());
    Ok(yes.copied().unwrap_or(0.0))
}

fn together(members: Vec<String>, hard: f64) -> Decision {
    let mode = match config::get("mode").as_deref() {
        Some("turns") => Mode::Turns,
        _ => Mode::Parallel,
    };
    let judge = config::get("judge").filter(|judge| members.contains(judge));
    let reason = format!("hard ({hard:.2}), so {} answer it", members.join(", "));
    Decision::plan(Plan::Consensus { members, judge, mode }).because(reason).confidence(hard as f32)
}
