//! What policies note about a call for the decision log. The call carries the list, so a note stays whatever
//! becomes of the policy that made it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signalbox_confine::clean;

/// Notes of one call, of all policies together.
const NOTES: usize = 32;
/// Bytes of a note's key; more is cut.
const KEY_BYTES: usize = 64;
/// Bytes of a note's value; more is cut.
const VALUE_BYTES: usize = 256;

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The policy that made it, by name.
    pub policy: String,
    /// On one line.
    pub key: String,
    /// On one line.
    pub value: String,
}

/// The notes of one call. Clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

impl PartialEq for Notes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.list() == *other.list()
    }
}

impl Notes {
    /// Adds a note. What is beyond the bounds is dropped: nobody shall fail for having noted too much.
    pub(crate) fn add(&self, policy: &str, key: &str, value: &str) {
        let mut list = self.list();
        if list.len() < NOTES {
            list.push(Note {
                policy: policy.to_owned(),
                key: clean(key, KEY_BYTES),
                value: clean(value, VALUE_BYTES),
            });
        }
    }

    /// Every note so far, in the order they were made.
    pub fn all(&self) -> Vec<Note> {
        self.list().clone()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_few_short_and_of_one_line_each() {
        let notes = Notes::default();
        let other = notes.clone();
        for _ in 0..NOTES + 1 {
            other.add("guard", &"k".repeat(KEY_BYTES + 9), "two\nlines");
        }
        let all = notes.all();
        assert_eq!(all.len(), NOTES);
        assert!(all[0].key.len() <= KEY_BYTES + "…".len(), "{}", all[0].key.len());
        assert!(!all[0].value.contains('\n'), "{:?}", all[0].value);
    }
}
