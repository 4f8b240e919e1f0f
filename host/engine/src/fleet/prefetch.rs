//! Prefetch: while nothing is asked, the expert that is likely to be asked next is loaded ahead, also in place of idle
//! ones that are worth less. What an expert is worth in memory is the time that its load would take, times how
//! likely it is that it is asked next. No more than one is loaded ahead between two calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    handle::Handle,
    residency::{Residency, SlotState},
    shared::Shared,
};
use crate::expert::Expert;

/// How long nothing must have been asked.
const QUIET: Duration = Duration::from_secs(1);
/// How likely an expert must be.
const LIKELY: f64 = 0.3;
/// How much more than those that go for it.
const BETTER: f64 = 2.0;

/// Who is to be loaded, and who goes for it.
#[derive(Debug, PartialEq, Eq)]
struct Guess {
    who: usize,
    instead: Vec<usize>,
}

impl<T> Residency<T> {
    /// The guess at a moment when nothing happens, if one is worth it.
    fn guess(&self, now: Instant) -> Option<Guess> {
        let busy =
            |state: &SlotState<T>| matches!(state, SlotState::Loading(_) | SlotState::Leaving);
        let restless = self.slots.iter().any(|slot| {
            busy(&slot.state)
                || slot.calls > 0
                || now.saturating_duration_since(slot.last_used) < QUIET
        });
        if restless || self.closing || self.foresight.guessed {
            return None;
        }
        let likely = |at: &usize| self.foresight.habits.likelihood(&self.slots[*at].id);
        let worth =
            |at: &usize| likely(at) * self.slots[*at].last_load.unwrap_or_default().as_secs_f64();
        let places = 0..self.slots.len();
        let able =
            places.clone().filter(|&at| self.slots[at].may_come_ahead() && likely(&at) >= LIKELY);
        let who = able.max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
        let mut idle: Vec<usize> = places.filter(|&at| self.slots[at].may_go()).collect();
        // Those that are worth least are last, and of these the least recently used.
        let newer = |a: &usize, b: &usize| self.slots[*b].last_used.cmp(&self.slots[*a].last_used);
        idle.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then_with(|| newer(a, b)));
        let mut instead = Vec::new();
        while !self.fits(who, |at, _| !instead.contains(&at)) {
            instead.push(idle.pop()?);
        }
        let lost: f64 = instead.iter().map(worth).sum();
        (worth(&who) > BETTER * lost).then_some(Guess { who, instead })
    }
}

/// Loads ahead what is worth it now. Blocks while others leave for it.
pub(super) fn prefetch(shared: &Arc<Shared>) {
    let lazy = &shared.tuning.load().lazy;
    if !(lazy.enabled && lazy.prefetch) {
        return;
    }
    let (coming, leaving) = {
        let mut residency = shared.residency();
        let Some(Guess { who, instead }) = residency.guess(Instant::now()) else { return };
        residency.foresight.guessed = true;
        let leaving: Vec<Expert> =
            instead.iter().filter_map(|&at| residency.slots[at].leave()).collect();
        (who, leaving)
    };
    leaving.into_iter().for_each(Expert::stop);
    let member = shared.roster.load().iter().find(|member| member.at() == coming).cloned();
    let Some(member) = member else { return };
    let expert = Handle::new(shared, member);
    tracing::info!(expert = expert.id(), "loading ahead: it is likely to be asked next");
    expert.load_ahead();
}

#[cfg(test)]
mod tests {
    use super::super::{
        habits::Foresight,
        residency::{Queue, Slot},
    };
    use super::*;

    /// One letter per expert, each of 10 bytes: `.` cold, `i` idle, `b` busy, `p` pinned, `d` sent away on purpose.
    /// They were asked in this order.
    fn check(word: &str, asked: &str, bytes_max: u64, expect: Option<(usize, &[usize])>) {
        let begin = Instant::now();
        let slot = |(at, letter): (usize, char)| {
            let cold = matches!(letter, '.' | 'd');
            let state = if cold { SlotState::Cold } else { SlotState::Resident(()) };
            let mut slot = Slot::new(&at.to_string(), state, letter == 'p', 10);
            slot.reserved = if cold { 0 } else { 10 };
            slot.calls = usize::from(letter == 'b');
            slot.last_load = Some(Duration::from_secs(4));
            slot.dismissed = letter == 'd';
            slot
        };
        let mut residency = Residency {
            slots: word.chars().enumerate().map(slot).collect(),
            bytes_max,
            loaded_max: usize::MAX,
            keep_alive: None,
            closing: false,
            queue: Queue::default(),
            foresight: Foresight::default(),
        };
        asked.chars().for_each(|at| residency.foresight.asked(&at.to_string(), false));
        assert_eq!(residency.guess(begin), None, "so soon");
        let guess = residency.guess(begin + 2 * QUIET);
        let expect = expect.map(|(who, instead)| Guess { who, instead: instead.to_vec() });
        assert_eq!(guess, expect, "{word} after {asked}");
        residency.foresight.guessed = true;
        assert_eq!(residency.guess(begin + 2 * QUIET), None, "once between two calls");
    }

    #[test]
    fn the_likely_next_one_comes_where_there_is_room() {
        check(".i", "01010101", 20, Some((0, &[])));
        check(".i", "0101", 20, None); // too little was seen
        check(".ii", "12121212", 30, None); // nobody asks for it
        check("..i", "0202120202", 30, Some((0, &[])));
    }

    #[test]
    fn those_that_are_worth_less_go_for_it() {
        check(".ii", "012012012012", 20, Some((0, &[1])));
        check(".ip", "012012012012", 20, Some((0, &[1])));
        check(".pi", "012012012012", 20, Some((0, &[2])));
        check(".pp", "012012012012", 20, None);
        // It asks for itself as often.
        check(".i", "011011011011", 10, None);
    }

    #[test]
    fn nothing_comes_beside_work_and_nothing_that_was_sent_away() {
        check(".ib", "012012012012", 40, None);
        check("dii", "012012012012", 40, None);
    }
}
