//! What a call is about: its newest message, or the conversation that the message goes on with.

use signalbox_sdk::{Request, config};

use crate::candidate::Candidate;
use crate::classifier::{FOLLOW_UP, Scores, grounds, scores};
use crate::domains::DOMAINS;
use crate::features::Seen;
use crate::operator::{Operator, Own};
use crate::stems::{Stems, is_empty};
use crate::verdict::Verdict;

/// Messages that are looked back at.
const LOOK_BACK: usize = 24;
/// Words named in a reason.
const GROUNDS_MAX: usize = 3;
/// Less than this and a domain does not stand out, unless the operator says `confidence-min`.
const CONFIDENCE_MIN: f32 = 0.25;
/// How many times as probable as that it goes on must it be that a message changes the subject: another expert has
/// the whole conversation to read.
const TO_CHANGE: f32 = 1.5;

/// The domain of the newest message of the user, or of the conversation when the message stands on it; `refuge`
/// when none stands out.
pub(crate) fn judge(request: &Request, experts: &[Candidate], refuge: &str) -> Verdict {
    let operator = Operator::of(experts);
    let least = config::parse("confidence-min", CONFIDENCE_MIN);
    let newest = Reading::of(&request.last_user_text(), &operator);
    let goes_on = newest.follow_up * TO_CHANGE >= newest.verdict.confidence;
    if (goes_on || newest.verdict.confidence < least)
        && let Some(about) = subject(request, &operator, least)
    {
        let confidence =
            newest.follow_up.max(about.confidence.min(1.0 - newest.verdict.confidence));
        return Verdict { why: format!("goes on with {}", about.why), confidence, ..about };
    }
    let Reading { verdict, follow_up, is_empty } = newest;
    match verdict.confidence >= least && verdict.confidence > follow_up && !is_empty {
        true => verdict,
        false => Verdict::none(refuge, if is_empty { 0.0 } else { verdict.confidence }),
    }
}

/// What the conversation is about: the last message before the newest that says so by itself.
fn subject(request: &Request, operator: &Operator, least: f32) -> Option<Verdict> {
    let earlier = (0..request.message_count()).rev().take(LOOK_BACK);
    let earlier = earlier.filter_map(|at| request.message(at)).filter(|m| m.role == "user");
    let mut readings = earlier.skip(1).map(|message| Reading::of(&message.content, operator));
    let stands = |r: &Reading| r.verdict.confidence >= least.max(r.follow_up) && !r.is_empty;
    readings.find(stands).map(|reading| reading.verdict)
}

/// One message by itself.
struct Reading {
    verdict: Verdict,
    /// How probable it is that it stands on the message before it.
    follow_up: f32,
    is_empty: bool,
}

impl Reading {
    fn of(text: &str, operator: &Operator) -> Self {
        let seen = Seen::of(text);
        let found = scores(&seen);
        let stems = Stems::of([&seen.words]);
        let taught = best(&operator.nudged(&found, &stems));
        let own = operator.own(&seen.words, &stems).filter(|own| own.outweighs(taught));
        let verdict = own.map_or_else(|| verdict(&seen, taught), Own::into_verdict);
        let is_empty = !seen.words.iter().any(|word| word.starts_with(char::is_alphanumeric));
        let follow_up = if is_empty { 1.0 } else { found[FOLLOW_UP] };
        Self { verdict, follow_up, is_empty }
    }
}

/// The taught domain that is most probable.
fn best(found: &Scores) -> (usize, f32) {
    let domains = found.iter().copied().enumerate().take(DOMAINS.len());
    domains.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// The verdict, with the words that speak most for it: not those that say nothing to people.
fn verdict(seen: &Seen, (class, confidence): (usize, f32)) -> Verdict {
    let words = grounds(seen, class).into_iter().filter(|word| !is_empty(word));
    let words: Vec<_> = words.take(GROUNDS_MAX).map(|word| format!("'{word}'")).collect();
    let why = if words.is_empty() { "the look of it".to_owned() } else { words.join(", ") };
    Verdict { domain: DOMAINS[class].to_owned(), confidence, why }
}
