//! What an outcome is worth, 0 to 1, and how much it counts.

use signalbox_sdk::{Blame, CallEnd, CallOutcome, config};

/// A rating says more than that there was an answer.
const RATED: f64 = 4.0;
/// An answer that took so long is worth half of what a good one can be for being soon, when the operator sets no
/// `patience-ms`.
const PATIENCE_MS: f64 = 10_000.0;

/// `None` for what says nothing of the expert.
pub(crate) fn of(outcome: &CallOutcome) -> Option<(f64, f64)> {
    if let Some(rating) = outcome.rating() {
        return Some((f64::from(rating + 1.0) / 2.0, RATED));
    }
    let worth = match outcome.end() {
        CallEnd::Whole => 0.5 + 0.5 * soon(outcome),
        CallEnd::Length => 0.4 + 0.4 * soon(outcome),
        CallEnd::Failed(Blame::Expert | Blame::Host) => 0.0,
        // Whoever went before anything came, waited too long.
        CallEnd::Left if outcome.first_text().is_none() => 0.0,
        _ => return None,
    };
    Some((worth, 1.0))
}

/// 1 for at once, 0 for never.
fn soon(outcome: &CallOutcome) -> f64 {
    let patience = config::parse("patience-ms", PATIENCE_MS).max(1.0);
    patience / (patience + outcome.total().as_secs_f64() * 1000.0)
}
