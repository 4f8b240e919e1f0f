//! What is asked of an expert and what comes back: plain data with public fields.

use std::{sync::Arc, time::Duration};

use crate::{
    EngineError, Format, Image, KeepAlive, Priority, Progress,
    tools::{ToolCall, Tools},
};

/// One turn of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`; the chat template decides what it accepts.
    pub role: String,
    /// Text and pictures in the order they are read.
    pub content: Vec<Part>,
    /// Tools that the assistant called in this turn.
    pub calls: Vec<ToolCall>,
    /// The id of the call whose result this is, of a turn of the role `tool`.
    pub answers: Option<String>,
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
        Self::of(role, vec![Part::Text(text.into())])
    }

    /// A turn of these parts, without calls.
    pub fn of(role: impl Into<String>, content: Vec<Part>) -> Self {
        Self { role: role.into(), content, ..Self::default() }
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

/// A conversation that an expert goes on with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Its turns, oldest first.
    pub messages: Vec<Message>,
    /// What the expert may call.
    pub tools: Arc<Tools>,
    /// What comes behind the last turn.
    pub opening: Opening,
}

/// What comes behind the last turn of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Opening {
    /// The beginning of a reply.
    #[default]
    Reply,
    /// Nothing: the expert says who speaks next.
    Nothing,
    /// The last turn is not over: the expert goes on where it ends.
    Continuation,
}

/// The text an expert continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Rendered by the expert's own chat template.
    Chat(Conversation),
    /// Taken as it is, behind the tokenizer's beginning-of-sequence token where it has one.
    Text(String),
    /// Tokens of the expert's own.
    Tokens(Vec<u32>),
    /// What is missing between two texts, for experts whose vocabulary has marks for that.
    Infill {
        /// What stands before it.
        before: String,
        /// What stands behind it.
        behind: String,
    },
}

impl From<Vec<Message>> for Conversation {
    /// Without tools, and to be replied to.
    fn from(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}

impl From<Vec<Message>> for Prompt {
    /// A conversation without tools that gets a reply.
    fn from(messages: Vec<Message>) -> Self {
        Self::Chat(messages.into())
    }
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
    /// Added to the logits of tokens; -100 to 100, which bars a token or leaves nothing else.
    pub bias: Vec<(u32, f32)>,
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
    /// What the reply has to look like.
    pub format: Format,
    /// Labels, in all ways to write each. Where there are some, there is no reply: each is weighed as what it would begin
    /// with, and [`Event::Weighed`] comes.
    pub labels: Vec<Vec<String>>,
    /// Whether log probabilities are wanted, and of how many other tokens for each.
    pub logprobs: Option<u32>,
    /// What much of the reply may be: it is tried before it is generated, and changes no token.
    pub prediction: Option<Arc<str>>,
    /// Calls that begin alike share what was computed of it, within a scope: how fast an answer comes must not
    /// tell one client what another asked.
    pub scope: u64,
    /// Whether it goes before others.
    pub priority: Priority,
    /// How long the expert is to stay in memory behind it, within the operator's bounds.
    pub keep_alive: Option<KeepAlive>,
    /// Where the call stands, for whoever waits for it.
    pub progress: Progress,
}

impl Request {
    /// A request with nothing but defaults.
    pub fn new(prompt: impl Into<Prompt>) -> Self {
        Self {
            prompt: prompt.into(),
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            ends: Ends::default(),
            format: Format::default(),
            labels: Vec::new(),
            logprobs: None,
            prediction: None,
            scope: 0,
            priority: Priority::default(),
            keep_alive: None,
            progress: Progress::default(),
        }
    }
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
    /// The expert said so.
    Stop,
    /// This one of the request's stop strings appeared.
    StopString(usize),
    /// `max_tokens` or the context was reached.
    Length,
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Those of them that were not computed for this call: it begins as one before it did.
    pub cached_tokens: u32,
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

/// A token and what it weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob {
    /// Its id.
    pub token: u32,
    /// What it stands for; the bytes of one token need not be whole characters.
    pub bytes: Vec<u8>,
    /// The logarithm of its probability, of the model's own distribution.
    pub logprob: f32,
}

/// A token that was drawn, and the likeliest at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// The one that was drawn.
    pub drawn: Logprob,
    /// The likeliest first.
    pub top: Vec<Logprob>,
}

/// What a [`TokenStream`](crate::TokenStream) yields. `Finished` and `Failed` are last.
#[derive(Debug)]
pub enum Event {
    /// New text: whole characters, never empty.
    Text(String),
    /// Tokens that the text after it was made of, where that was asked for.
    Logprobs(Vec<TokenLogprobs>),
    /// The log probability of each of the request's labels, of the model's own distribution.
    Weighed(Vec<f64>),
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

/// A text that is to become a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embeddable {
    /// As it was written.
    Text(String),
    /// As tokens of the expert's own, fed as they are: nothing is put before or behind them.
    Tokens(Vec<u32>),
    /// What is asked and a text that may answer it, for an expert that scores the one for the other.
    Pair(Arc<str>, String),
}

/// Texts that are to become vectors, or pairs of them that are to be scored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedRequest {
    /// In the order in which their vectors are wanted.
    pub texts: Vec<Embeddable>,
    /// A text that is too long loses its end instead of being refused.
    pub truncate: bool,
    /// No more tokens of a text than these, where its expert would take more.
    pub tokens_max: Option<u32>,
    /// Whether it goes before others.
    pub priority: Priority,
    /// How long the expert is to stay in memory behind it, within the operator's bounds.
    pub keep_alive: Option<KeepAlive>,
    /// Where the call stands, and what it has cost.
    pub progress: Progress,
}

/// Vectors of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One for each text, in their order, of the length one; for each pair one of a single number, its score from 0 to 1.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of each text, those that begin and end it included.
    pub tokens: Vec<u32>,
}
