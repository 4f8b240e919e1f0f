//! What the next step consists of: a token of every reply, with a guess behind it where that pays, and chunks of the
//! oldest prompts, those of higher classes first, as long as those who wait for the step bear.

use std::cmp::Reverse;

use super::{lookup::expected, pace::Pace, sequence::Sequence};
use crate::{
    Priority,
    model::{PREFILL_CHUNK_ALONE, PREFILL_CHUNKS},
};

/// A step with a chunk of a prompt in it takes at most so many times what the replies alone would take.
const REPLIES_BEAR: f32 = 2.5;
/// A step of prompts alone takes at most so many times what a step of another expert's replies takes.
const OTHERS_BEAR: f32 = 1.5;
/// Of so many steps one begins with the oldest prompt, whatever its class, so that each comes to its end.
const BY_AGE: usize = 4;
/// Lengths of guesses to choose from.
const GUESSES: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// One sequence's part of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    /// Which of those that run.
    pub(super) index: usize,
    /// Tokens that it feeds.
    pub(super) share: usize,
    /// Tokens that are guessed behind them, at most.
    pub(super) guess: usize,
}

/// The parts of the next step, the `step`th, of the sequences that run, but for those that are `held` back. `others` is what a
/// step of other experts' replies takes, in seconds.
pub(super) fn plan(
    running: &[Sequence],
    held: &[usize],
    step: usize,
    pace: &Pace,
    others: Option<f32>,
) -> Vec<Part> {
    // Replies of lower classes bear whatever a prompt takes.
    let budgets = Priority::ALL.map(|class| {
        let bears = |other: &&Sequence| other.decodes() && other.priority() >= class;
        budget(running.iter().filter(bears).count(), pace, others)
    });
    let (mut fed, mut parts) = (0, Vec::new());
    for index in order(running.iter().map(Sequence::priority), step) {
        let sequence = &running[index];
        let budget = budgets[sequence.priority().index()].saturating_sub(fed);
        let share = if held.contains(&index) { 0 } else { sequence.share(budget) };
        if !sequence.decodes() {
            fed += share;
        }
        if share > 0 {
            parts.push(Part { index, share, guess: 0 });
        }
    }
    parts.sort_by_key(|part| part.index);
    parts
}

/// Who goes before whom in a step, of calls of these classes, oldest first.
pub(super) fn order(classes: impl Iterator<Item = Priority>, step: usize) -> Vec<usize> {
    let mut order: Vec<(usize, Priority)> = classes.enumerate().collect();
    if !step.is_multiple_of(BY_AGE) {
        order.sort_by_key(|(_, class)| Reverse(*class));
    }
    order.into_iter().map(|(index, _)| index).collect()
}

/// Puts guesses into the parts of replies, as long as they pay.
pub(super) fn guess(parts: &mut [Part], running: &[Sequence], pace: &Pace) {
    let mut rows: usize = parts.iter().map(|part| part.share).sum();
    let replies = parts.iter().filter(|part| running[part.index].decodes()).count();
    let mut yields = replies as f32;
    for part in parts {
        let sequence = &running[part.index];
        let guessed = sequence.lookahead(GUESSES[GUESSES.len() - 1]).len();
        if guessed > 0 {
            part.guess = length(guessed, sequence.chance(), (rows, yields), pace);
            rows += part.guess;
            yields += expected(sequence.chance(), part.guess) - 1.0;
        }
    }
}

/// Prompt tokens of the step.
fn budget(replies: usize, pace: &Pace, others: Option<f32>) -> usize {
    let bear = match (replies, others) {
        (0, None) => return PREFILL_CHUNK_ALONE,
        (0, Some(others)) => Some(OTHERS_BEAR * others),
        (_, _) => pace.step(replies).map(|step| REPLIES_BEAR * step),
    };
    bear.map_or(PREFILL_CHUNKS[0], |seconds| pace.within(seconds, replies, &PREFILL_CHUNKS))
}

/// How many of `most` guessed tokens give the most tokens a second, in a step that has `rows` and yields some tokens
/// anyway.
fn length(most: usize, chance: f32, (rows, yields): (usize, f32), pace: &Pace) -> usize {
    let speed = |guess: usize| {
        let step = pace.step(rows + guess)?;
        Some((yields - 1.0 + expected(chance, guess)) / step)
    };
    let Some(without) = speed(0) else { return 0 };
    let lengths = GUESSES.iter().copied().filter(|guess| *guess < most).chain([most]);
    let speeds = lengths.filter_map(|guess| Some((speed(guess)?, guess)));
    let best = speeds.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(speed, _)| *speed > without).map_or(0, |(_, guess)| guess)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A step takes 20 ms, and 2 ms for every row beyond the first.
    fn pace() -> Pace {
        let mut pace = Pace::default();
        for rows in [1, 2, 4, 8, 16, 32, 64, 128] {
            pace.measured(rows, Duration::from_millis(18 + 2 * rows as u64));
        }
        pace
    }

    #[test]
    fn prompts_are_fed_as_fast_as_those_who_wait_bear() {
        let check = |replies, others, expect| {
            assert_eq!(budget(replies, &pace(), others), expect, "{replies}, {others:?}");
        };
        check(0, None, PREFILL_CHUNK_ALONE);
        check(1, None, 8);
        check(8, None, 16);
        check(8, Some(0.001), 16);
        check(0, Some(0.06), 32);
        check(0, Some(0.001), 8);
        assert_eq!(budget(3, &Pace::default(), None), 8, "until something was measured");
    }

    #[test]
    fn prompts_of_higher_classes_are_fed_first_but_for_one_step_of_four() {
        let classes = [Priority::Low, Priority::High, Priority::Normal, Priority::High];
        let orders: Vec<_> = (4..9).map(|step| order(classes.into_iter(), step)).collect();
        let (by_age, by_class) = (vec![0, 1, 2, 3], vec![1, 3, 2, 0]);
        let expect = [&by_age, &by_class, &by_class, &by_class, &by_age];
        assert_eq!(orders, expect.map(Clone::clone));
    }

    #[test]
    fn guesses_are_as_long_as_they_pay() {
        let check = |most, chance, rows: usize, expect| {
            let length = length(most, chance, (rows, rows as f32), &pace());
            assert_eq!(length, expect, "{most} with {chance} beside {rows}");
        };
        check(16, 0.99, 1, 16);
        check(5, 0.99, 1, 5);
        check(16, 0.5, 1, 2);
        check(16, 0.05, 1, 0);
        check(16, 0.3, 16, 0);
        check(16, 0.9, 16, 3);
        assert_eq!(length(16, 0.9, (1, 1.0), &Pace::default()), 0, "until something was measured");
    }
}
