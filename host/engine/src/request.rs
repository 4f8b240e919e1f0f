//! What is asked of an expert and what comes back: plain data with public fields.

use std::time::Duration;

use crate::{EngineError, Image, Progress};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`; the chat template decides what it accepts.
    pub role: String,
    /// Text and pictures in the order they are read.
    pub content: Vec<Part>,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Plain text.
    Text(String),
    /// A picture, for experts that can see.
    Image(Image),
}

impl Message {
    /// A turn of nothing but text.
    pub fn text(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: vec![Part::Text(text.into())] }
    }

    /// Its texts.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.content.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        })
    }

    /// Its pictures.
    pub(crate) fn images(&self) -> impl Iterator<Item = &Image> {
        self.content.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Image(image) => Some(image),
        })
    }
}

/// The text an expert continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Rendered by the expert's own chat template.
    Chat(Vec<Message>),
    /// Taken as it is, behind the tokenizer's beginning-of-sequence token where it has one.
    Text(String),
}

/// How the next token is drawn. `None` means the checkpoint's `generation_config`, and where that
/// is silent, the value given here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// 0 is greedy; 0 to 2. Default 0.7.
    pub temperature: Option<f32>,
    /// Nucleus, above 0 to 1. Default 0.9.
    pub top_p: Option<f32>,
    /// Most likely tokens kept; 0 keeps all. Default 0.
    pub top_k: Option<u32>,
    /// Least share of the likeliest token's probability, 0 to 1. Default 0: none is left out for it.
    pub min_p: Option<f32>,
    /// Divides the logits of tokens in prompt and reply; above 0 to 10. Default 1: none.
    pub repetition_penalty: Option<f32>,
    /// Taken off a token's logit for every time it stands in the reply; -2 to 2. Default 0.
    pub frequency_penalty: Option<f32>,
    /// Taken off a token's logit once it stands in the reply; -2 to 2. Default 0.
    pub presence_penalty: Option<f32>,
    /// Same seed, same prompt, same expert: same reply. `None` draws a fresh seed.
    pub seed: Option<u64>,
}

/// One call to one expert.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// How to draw tokens.
    pub sampling: Sampling,
    /// Most tokens to generate; `None` is bounded by the context only.
    pub max_tokens: Option<u32>,
    /// Generation ends before the first of these appears in the reply.
    pub stop: Vec<String>,
    /// What else ends it, or does not.
    pub ends: Ends,
    /// Where the call stands, for whoever waits for it.
    pub progress: Progress,
}

/// What ends a reply besides its length and stop strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    /// Tokens that end it like the expert's own end tokens.
    pub tokens: Vec<u32>,
    /// Tokens before which neither an end token nor a stop string ends it.
    pub min_tokens: u32,
    /// Whether the expert's own end tokens end nothing.
    pub ignored: bool,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The expert said so, or a stop string appeared.
    Stop,
    /// `max_tokens` or the context was reached.
    Length,
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Tokens generated, the end token included.
    pub completion_tokens: u32,
}

/// Measured times of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From submission until the first step, loading included.
    pub queued: Duration,
    /// Loading the expert, when this call waited for it.
    pub loading: Option<Duration>,
    /// Prefill: the prompt's forward passes.
    pub prefill: Duration,
    /// Decode: the forward passes after the first token.
    pub decode: Duration,
}

/// What a [`TokenStream`](crate::TokenStream) yields. `Finished` and `Failed` are last.
#[derive(Debug)]
pub enum Event {
    /// New text: whole characters, never empty.
    Text(String),
    /// The reply is complete.
    Finished {
        /// Why it ended.
        reason: Finish,
        /// What it cost in tokens.
        usage: Usage,
        /// What it cost in time.
        timings: Timings,
    },
    /// The reply ended early.
    Failed(EngineError),
}
