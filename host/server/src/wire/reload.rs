//! `POST /reload`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// What reading the configuration anew came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// Keys of the configuration that are in force now as they were not before.
    pub changed: Vec<Word>,
    /// Sections that say something else than at the start, and are heeded at the next one.
    pub needs_restart: Vec<Word>,
}

impl From<crate::reload::Reloaded> for Reload {
    fn from(reloaded: crate::reload::Reloaded) -> Self {
        let words = |list: Vec<&'static str>| list.into_iter().map(Word::from).collect();
        Self { changed: words(reloaded.changed), needs_restart: words(reloaded.needs_restart) }
    }
}
