//! Where a call stands before its text comes, for whoever waits for it, and what it has cost so far, for
//! whoever has to account for a reply that ended early.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// The progress of one call. Cheap to clone; all clones are one call's.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stage: Mutex<Stage>,
    prompt_tokens: AtomicU32,
    completion_tokens: AtomicU32,
}

/// What a call waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stage {
    /// Its policies, or its prompt's rendering.
    #[default]
    Preparing,
    /// Memory, which others have that answer.
    Memory {
        /// The expert asked.
        expert: String,
        /// Those that have it.
        holders: Vec<String>,
    },
    /// Its expert, which is being loaded.
    Loading {
        /// The expert.
        expert: String,
        /// Read of its weights, in per cent.
        percent: u8,
    },
    /// Its expert, which answers others.
    Queued {
        /// Calls that come before it.
        before: usize,
    },
    /// The prompt's forward passes.
    Prefill {
        /// Tokens that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// Tokens are generated.
    Generating,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparing => f.write_str("preparing"),
            Self::Memory { expert, holders } if holders.is_empty() => {
                write!(f, "'{expert}' waits in line for memory")
            }
            Self::Memory { expert, holders } => {
                write!(f, "'{expert}' waits for memory that '{}' has", holders.join("' and '"))
            }
            Self::Loading { expert, percent } => write!(f, "loading '{expert}', {percent} %"),
            Self::Queued { before } => write!(f, "in the queue, {before} before it"),
            Self::Prefill { done, of } => {
                write!(f, "reading the prompt, {done} of {of} tokens")
            }
            Self::Generating => f.write_str("generating"),
        }
    }
}

impl Progress {
    /// Where the call stands now.
    pub fn stage(&self) -> Stage {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tokens of prompts and of replies that all experts have spent on it so far.
    pub fn spent(&self) -> (u32, u32) {
        (self.0.prompt_tokens.load(Relaxed), self.0.completion_tokens.load(Relaxed))
    }

    pub(crate) fn is_at(&self, stage: Stage) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    pub(crate) fn spend_prompt(&self, tokens: u32) {
        self.0.prompt_tokens.fetch_add(tokens, Relaxed);
    }

    pub(crate) fn spend_token(&self) {
        self.0.completion_tokens.fetch_add(1, Relaxed);
    }
}

/// Two requests are alike wherever they stand.
impl PartialEq for Progress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stage: Stage, expect: &str) {
        let progress = Progress::default();
        progress.is_at(stage);
        assert_eq!(progress.stage().to_string(), expect);
    }

    #[test]
    fn a_stage_says_what_is_waited_for() {
        let expert = || "phi".to_owned();
        check(Stage::Preparing, "preparing");
        let holders = vec!["qwen".to_owned()];
        let waits = Stage::Memory { expert: expert(), holders };
        check(waits, "'phi' waits for memory that 'qwen' has");
        check(Stage::Loading { expert: expert(), percent: 43 }, "loading 'phi', 43 %");
        check(Stage::Queued { before: 2 }, "in the queue, 2 before it");
        check(Stage::Prefill { done: 128, of: 3000 }, "reading the prompt, 128 of 3000 tokens");
    }
}
