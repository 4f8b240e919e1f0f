//! What the policies of a call ask of experts, for its trace.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use signalbox_policy::{Hook, PolicyRef};

/// Of one call; what is beyond that is not traced.
const ASKS_MAX: usize = 64;

/// One thing that was asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// By whom, and in which hook.
    pub(crate) asker: (Hook, PolicyRef),
    /// The import that it came through.
    pub(crate) import: &'static str,
    /// What the conventions call it.
    pub(crate) operation: &'static str,
    /// Whom the policy named.
    pub(crate) asked_for: Option<String>,
    /// Who was asked.
    pub(crate) expert: String,
    pub(crate) began: Instant,
    pub(crate) until: Instant,
    /// Tokens of prompts and replies that were computed.
    pub(crate) tokens: (u32, u32),
    /// It did not come to its end.
    pub(crate) failed: bool,
}

/// The asks of one call, in the order in which they ended; nothing where traces go nowhere. Clones are one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asks(Option<Arc<Mutex<Vec<Ask>>>>);

impl Asks {
    /// Of a call that is traced, or is not.
    pub(crate) fn of(traced: bool) -> Self {
        Self(traced.then(Arc::default))
    }

    /// Something that was asked is over.
    pub(crate) fn ended(&self, ask: Ask) {
        if let Some(mut list) = self.list().filter(|list| list.len() < ASKS_MAX) {
            list.push(ask);
        }
    }

    /// All that has ended.
    pub(crate) fn all(&self) -> Vec<Ask> {
        self.list().map(|list| list.clone()).unwrap_or_default()
    }

    fn list(&self) -> Option<MutexGuard<'_, Vec<Ask>>> {
        self.0.as_ref().map(|list| list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
