//! Responses that are kept for a while, so that others can follow them: within bounds on their number and their
//! memory, the oldest giving way, and each for its caller alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{ServerLimits, caller::Caller};

/// The store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Responses(Arc<Shared>);

struct Shared {
    entries_max: usize,
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Arc<str>, Entry>,
    /// Oldest first; those that were deleted are gone from here too.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

struct Entry {
    caller: Caller,
    /// JSON, as it was answered.
    answer: Arc<str>,
    /// The items that one which follows it begins with, as JSON without the brackets around them.
    history: Arc<str>,
    /// Bytes of them that were its own input.
    input: usize,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.answer.len() + self.history.len()
    }
}

impl Responses {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        let (entries_max, bytes_max) = (limits.responses_kept, limits.responses_bytes_max);
        Self(Arc::new(Shared { entries_max, bytes_max, kept: Mutex::default() }))
    }

    /// Keeps one, with the items of its input and of its output, as JSON without brackets. What is larger than all
    /// there is room for is not kept.
    pub(crate) fn keep(&self, id: &str, caller: &Caller, answer: String, items: (&str, &str)) {
        let (input, output) = items;
        let parted = if input.is_empty() || output.is_empty() { "" } else { "," };
        let entry = Entry {
            caller: caller.clone(),
            answer: answer.into(),
            history: format!("{input}{parted}{output}").into(),
            input: input.len(),
        };
        if entry.bytes() > self.0.bytes_max {
            return;
        }
        let mut kept = self.kept();
        while kept.bytes + entry.bytes() > self.0.bytes_max
            || kept.order.len() >= self.0.entries_max
        {
            let Some(oldest) = kept.order.front().cloned() else { break };
            kept.remove(&oldest);
        }
        kept.remove(id);
        kept.bytes += entry.bytes();
        let id: Arc<str> = id.into();
        kept.order.push_back(id.clone());
        kept.entries.insert(id, entry);
    }

    /// One as it was answered.
    pub(crate) fn answer(&self, id: &str, caller: &Caller) -> Option<Arc<str>> {
        self.of(id, caller, |entry| entry.answer.clone())
    }

    /// What one that follows it begins with.
    pub(crate) fn history(&self, id: &str, caller: &Caller) -> Option<Arc<str>> {
        self.of(id, caller, |entry| entry.history.clone())
    }

    /// The items of its input, as JSON without the brackets around them.
    pub(crate) fn input(&self, id: &str, caller: &Caller) -> Option<String> {
        self.of(id, caller, |entry| entry.history[..entry.input].to_owned())
    }

    /// Forgets one; says whether it was there.
    pub(crate) fn delete(&self, id: &str, caller: &Caller) -> bool {
        let mut kept = self.kept();
        let own = kept.entries.get(id).is_some_and(|entry| entry.caller == *caller);
        if own {
            kept.remove(id);
        }
        own
    }

    /// How many there are, and how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.entries.len(), kept.bytes)
    }

    fn of<T>(&self, id: &str, caller: &Caller, what: impl FnOnce(&Entry) -> T) -> Option<T> {
        let kept = self.kept();
        kept.entries.get(id).filter(|entry| entry.caller == *caller).map(what)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, id: &str) {
        if let Some(entry) = self.entries.remove(id) {
            self.bytes -= entry.bytes();
            let place = self.order.iter().position(|other| **other == *id); // mostly the first
            place.map(|place| self.order.remove(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(responses_kept: usize, responses_bytes_max: usize) -> Responses {
        let limits = ServerLimits { responses_kept, responses_bytes_max, ..Default::default() };
        Responses::new(&limits)
    }

    fn keep(store: &Responses, id: &str, caller: &Caller, bytes: usize) {
        store.keep(id, caller, "a".repeat(bytes), ("", ""));
    }

    #[test]
    fn the_oldest_give_way() {
        let (mine, few) = (Caller::owner("mine"), store(2, 100));
        for id in ["1", "2", "3"] {
            keep(&few, id, &mine, 10);
        }
        assert!(few.answer("1", &mine).is_none() && few.answer("2", &mine).is_some());
        keep(&few, "4", &mine, 95);
        assert_eq!(few.held(), (1, 95));
        keep(&few, "5", &mine, 101);
        assert!(few.answer("5", &mine).is_none() && few.answer("4", &mine).is_some());
    }

    #[test]
    fn each_is_its_callers() {
        let (mine, yours, both) = (Caller::owner("mine"), Caller::owner("yours"), store(9, 100));
        both.keep("1", &mine, "answer".to_owned(), ("1,2", "3"));
        assert!(both.answer("1", &yours).is_none() && both.history("1", &yours).is_none());
        assert!(both.input("1", &yours).is_none() && !both.delete("1", &yours));
        assert_eq!(both.history("1", &mine).as_deref(), Some("1,2,3"));
        assert_eq!(both.input("1", &mine).as_deref(), Some("1,2"));
        assert!(both.delete("1", &mine) && !both.delete("1", &mine));
        assert_eq!(both.held(), (0, 0));
    }
}
