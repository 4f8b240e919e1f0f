//! Which expert answered a conversation before: by the messages that it answered, as the client sent them. A client that goes
//! on with a conversation sends them again, with the answer behind them. Nothing of a text is kept, and what a
//! caller asks is looked for among its own conversations.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Conversations that are remembered: the newest.
const REMEMBERED: usize = 4096;

/// The conversations of late, and who answered each.
#[derive(Default)]
pub(crate) struct Recall {
    key: RandomState,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    experts: HashMap<u64, String>,
    /// Oldest first.
    order: VecDeque<u64>,
}

/// A conversation as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u64);

impl Recall {
    /// The conversation that `call` is, up to its last message.
    pub(super) fn place(&self, call: &signalbox_policy::Call) -> Place {
        self.at(call, call.messages.len())
    }

    /// Who answered it before its newest messages.
    pub(super) fn previous(&self, call: &signalbox_policy::Call) -> Option<String> {
        let answer = call.messages.iter().rposition(|message| message.role == "assistant")?;
        let Place(place) = self.at(call, answer);
        self.known().experts.get(&place).cloned()
    }

    /// `expert` answers it.
    pub(super) fn answered(&self, Place(place): Place, expert: &str) {
        let mut known = self.known();
        if known.experts.insert(place, expert.to_owned()).is_none() {
            known.order.push_back(place);
        }
        if known.order.len() > REMEMBERED
            && let Some(oldest) = known.order.pop_front()
        {
            known.experts.remove(&oldest);
        }
    }

    fn at(&self, call: &signalbox_policy::Call, messages: usize) -> Place {
        let mut hasher = self.key.build_hasher();
        call.caller.hash(&mut hasher);
        for message in &call.messages[..messages] {
            (&message.role, &message.content).hash(&mut hasher);
        }
        Place(hasher.finish())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use signalbox_policy::{Call, Message};

    use super::*;

    fn talk(caller: u64, turns: &[(&str, &str)]) -> Call {
        let message = |(role, content): &(&str, &str)| Message {
            role: (*role).to_owned(),
            content: (*content).to_owned(),
            origin: None,
        };
        Call { caller, messages: turns.iter().map(message).collect(), ..Call::default() }
    }

    #[test]
    fn a_conversation_is_known_by_what_was_answered() {
        let recall = Recall::default();
        let first = talk(1, &[("user", "hi")]);
        recall.answered(recall.place(&first), "coder");
        let check = |caller, turns: &[(&str, &str)], expect: Option<&str>| {
            assert_eq!(recall.previous(&talk(caller, turns)).as_deref(), expect, "{turns:?}");
        };
        check(1, &[("user", "hi")], None);
        check(1, &[("user", "hi"), ("assistant", "yes?"), ("user", "go on")], Some("coder"));
        check(1, &[("user", "hi"), ("assistant", "call"), ("tool", "3")], Some("coder"));
        check(1, &[("user", "ho"), ("assistant", "yes?"), ("user", "go on")], None);
        check(2, &[("user", "hi"), ("assistant", "yes?"), ("user", "go on")], None);
    }

    #[test]
    fn the_newest_are_remembered() {
        let recall = Recall::default();
        let call = |n: usize| talk(1, &[("user", &n.to_string())]);
        for n in 0..=REMEMBERED {
            recall.answered(recall.place(&call(n)), "e");
        }
        let known = |n: usize| {
            let text = n.to_string();
            let next = talk(1, &[("user", &text), ("assistant", "a"), ("user", "b")]);
            recall.previous(&next).is_some()
        };
        assert_eq!([known(0), known(1), known(REMEMBERED)], [false, true, true]);
    }
}
