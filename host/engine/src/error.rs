//! What can go wrong in the engine, whose it is, and what mends it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::Faults;

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever sent the call.
    Client,
    /// The expert's checkpoint or its settings.
    Expert,
    /// The machine or this program.
    Host,
}

/// A call or a load that did not succeed. The text names the thing and the mend.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// No expert has this id.
    #[error("there is no expert '{expert}'")]
    UnknownExpert {
        /// The id asked for.
        expert: String,
    },
    /// The request's values are out of bounds.
    #[error("{message}")]
    InvalidRequest {
        /// What and how to mend it.
        message: String,
    },
    /// Prompt and reply do not fit.
    #[error(
        "the prompt is too long: it has {prompt_tokens} tokens, but '{expert}' holds {context} for \
         prompt and reply together; shorten the conversation"
    )]
    PromptTooLong {
        /// The expert asked.
        expert: String,
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Tokens that fit.
        context: u32,
    },
    /// The prompt is so long that nobody counts its tokens.
    #[error("the prompt is too long for '{expert}': {problem}; shorten the conversation")]
    PromptOversized {
        /// The expert asked.
        expert: String,
        /// What it has too much of.
        problem: String,
    },
    /// The chat template does not accept these messages.
    #[error("the chat template of '{expert}' refuses these messages: {message}")]
    Template {
        /// The expert asked.
        expert: String,
        /// The template's own words.
        message: String,
    },
    /// The chat template is wrong, or needs more than it may.
    #[error(
        "the chat template of '{expert}' fails: {problem}; correct it, or use completions, which \
         need none"
    )]
    TemplateFailed {
        /// The expert asked.
        expert: String,
        /// What went wrong.
        problem: String,
    },
    /// There is no process to render the chat template in; passes by itself.
    #[error("the chat template of '{expert}' can't be rendered now: {problem}; retry")]
    TemplateUnavailable {
        /// The expert asked.
        expert: String,
        /// What was lacking.
        problem: String,
    },
    /// The prompt has images, and the expert can't see.
    #[error("'{expert}' can't see images; {}", instead(seeing))]
    Blind {
        /// The expert asked.
        expert: String,
        /// Experts that can.
        seeing: Vec<String>,
    },
    /// The expert makes vectors, and was asked for a reply.
    #[error(
        "'{expert}' makes embeddings and does not converse; {}",
        or_else(replying, "to have its vectors, use /v1/embeddings")
    )]
    NoReplies {
        /// The expert asked.
        expert: String,
        /// Experts that reply.
        replying: Vec<String>,
    },
    /// The expert replies, and was asked for vectors.
    #[error("{} no embeddings; {}", makes(expert.as_deref()), or_else(encoding, MAKE_ENCODER))]
    NoVectors {
        /// The expert asked; `None` where there is none that could be.
        expert: Option<String>,
        /// Experts that make vectors.
        encoding: Vec<String>,
    },
    /// A text does not fit an encoder.
    #[error(
        "a text is too long: it has {tokens} tokens, but '{expert}' holds {context}; shorten it, or have it truncated"
    )]
    TextTooLong {
        /// The expert asked.
        expert: String,
        /// Tokens of the text.
        tokens: u32,
        /// Tokens that fit.
        context: u32,
    },
    /// A text is so long that nobody counts its tokens.
    #[error("a text is too long for '{expert}': {problem}; shorten it, or have it truncated")]
    TextOversized {
        /// The expert asked.
        expert: String,
        /// What it has too much of.
        problem: String,
    },
    /// The expert can't be loaded from its files.
    #[error("expert '{expert}' can't be loaded from {}: {faults}", path.display())]
    Unloadable {
        /// The expert.
        expert: String,
        /// Where its files should be.
        path: PathBuf,
        /// What is wrong and what mends it.
        faults: Faults,
    },
    /// The machine lacks something for now, or the expert's files are being written. Tried again by a
    /// later call.
    #[error("expert '{expert}' can't be loaded now: {faults}; retry later")]
    Unavailable {
        /// The expert.
        expert: String,
        /// What is lacking.
        faults: Faults,
        /// When it is tried again.
        retry_after: Duration,
    },
    /// Not enough memory, even after unloading what may go.
    #[error(
        "expert '{expert}' needs {needed} bytes of memory and {available} can be had{}; raise the \
         memory limit, unpin an expert or unload one",
        held_by(holders)
    )]
    OutOfMemory {
        /// The expert.
        expert: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes that could be had.
        available: u64,
        /// Experts that have the rest and don't go.
        holders: Vec<String>,
    },
    /// As many experts as allowed are in memory, and none of them may go.
    #[error(
        "expert '{expert}' can't be loaded: {loaded} experts are in memory, as many as \
         max_loaded_experts allows, and none of them may go{}; raise the limit or unpin one",
        held_by(holders)
    )]
    NoRoom {
        /// The expert.
        expert: String,
        /// Experts in memory.
        loaded: usize,
        /// Those that don't go.
        holders: Vec<String>,
    },
    /// Too many calls wait already.
    #[error("expert '{expert}' has {waiting} calls waiting; retry later")]
    QueueFull {
        /// The expert.
        expert: String,
        /// Calls waiting.
        waiting: usize,
        /// When one of them may have begun, as measured.
        retry_after: Option<Duration>,
    },
    /// The expert is loading or answering, so it can't be unloaded.
    #[error("expert '{expert}' is loading or answering; unload it when it is idle")]
    Busy {
        /// The expert.
        expert: String,
    },
    /// The expert's thread ended unexpectedly; it is loaded anew by the next call.
    #[error("expert '{expert}' stopped in the middle of a step: {problem}")]
    Crashed {
        /// The expert.
        expert: String,
        /// What is known.
        problem: String,
    },
    /// The process is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// Who keeps others out of memory.
fn held_by(holders: &[String]) -> String {
    match holders {
        [] => String::new(),
        [one] => format!("; '{one}' has the rest"),
        several => format!("; '{}' have the rest", several.join("', '")),
    }
}

/// What to do with a picture.
fn instead(seeing: &[String]) -> String {
    match seeing {
        [] => "no expert here can; send text only".to_owned(),
        names => format!("ask {}, or send text only", names.join(" or ")),
    }
}

/// How an operator gets an encoder.
const MAKE_ENCODER: &str = "have the operator add an expert whose checkpoint is a BertModel, RobertaModel or \
                            XLMRobertaModel, as all-MiniLM-L6-v2 is";

/// Who makes none.
fn makes(expert: Option<&str>) -> String {
    expert.map_or("the experts here make".to_owned(), |id| format!("'{id}' makes"))
}

/// Whom to ask, or what to do.
fn or_else(able: &[String], mend: &str) -> String {
    match able {
        [] => mend.to_owned(),
        names => format!("ask {}, or {mend}", names.join(" or ")),
    }
}

impl EngineError {
    /// A checkpoint outside of any fleet, named by its path, can't be loaded.
    pub(crate) fn of_checkpoint(path: &Path, faults: impl Into<Faults>) -> Self {
        let expert = path.display().to_string();
        Self::Unloadable { expert, path: path.to_owned(), faults: faults.into() }
    }

    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::UnknownExpert { .. }
            | Self::InvalidRequest { .. }
            | Self::PromptTooLong { .. }
            | Self::PromptOversized { .. }
            | Self::Template { .. }
            | Self::Blind { .. }
            | Self::NoReplies { .. }
            | Self::NoVectors { .. }
            | Self::TextTooLong { .. }
            | Self::TextOversized { .. }
            | Self::Busy { .. } => Blame::Client,
            Self::Unloadable { .. } | Self::Crashed { .. } | Self::TemplateFailed { .. } => {
                Blame::Expert
            }
            Self::OutOfMemory { .. }
            | Self::NoRoom { .. }
            | Self::Unavailable { .. }
            | Self::TemplateUnavailable { .. }
            | Self::QueueFull { .. }
            | Self::ShuttingDown => Blame::Host,
        }
    }
}
