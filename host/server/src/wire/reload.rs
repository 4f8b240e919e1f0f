//! `POST /reload`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;
use crate::reload;

/// What reading the configuration anew came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// Keys of the configuration that are in force now as they were not before; experts stand in `experts`.
    pub changed: Vec<Word>,
    /// What became of the experts.
    pub experts: ReloadedExperts,
    /// Components of the configuration that stay as operators left them, because their revision is known.
    pub left: Vec<Waiting>,
    /// What says something else than at the start, and is heeded at the next one.
    pub needs_restart: Vec<Waiting>,
}

/// What a reload made of the experts, by their ids.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReloadedExperts {
    /// New ones.
    pub added: Vec<Word>,
    /// Those that are loaded otherwise than before: calls under way end on the old one, further ones reach the new one.
    pub replaced: Vec<Word>,
    /// Those that are described otherwise and stay in memory as they are.
    pub described: Vec<Word>,
    /// Those that are gone: calls under way end, further ones find none.
    pub removed: Vec<Word>,
    /// Those that nothing has changed for.
    pub unchanged: Vec<Word>,
}

/// A key of the configuration that says what is not in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The key, or the section.
    pub key: Word,
    /// Why it is not.
    pub reason: Word,
}

impl From<reload::Reloaded> for Reload {
    fn from(reloaded: reload::Reloaded) -> Self {
        let words = |list: Vec<String>| list.into_iter().map(Word::from).collect();
        let experts = reloaded.experts;
        let waiting = |list: Vec<reload::Waiting>| {
            let list = list.into_iter();
            list.map(|of| Waiting { key: of.key.into(), reason: of.reason.into() }).collect()
        };
        Self {
            changed: words(reloaded.changed),
            experts: ReloadedExperts {
                added: words(experts.added),
                replaced: words(experts.replaced),
                described: words(experts.described),
                removed: words(experts.removed),
                unchanged: words(experts.unchanged),
            },
            left: waiting(reloaded.left),
            needs_restart: waiting(reloaded.needs_restart),
        }
    }
}
