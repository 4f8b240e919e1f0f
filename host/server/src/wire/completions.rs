//! Replies: OpenAI's completion objects, whole or a chunk of one, with what was measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_engine::{Timings, Usage as Counted};

use super::Word;

/// One completion, whole or a chunk of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// The request id behind `chatcmpl-` or `cmpl-`.
    pub id: String,
    /// `chat.completion`, `chat.completion.chunk` or `text_completion`.
    pub object: Word,
    /// Seconds since 1970.
    pub created: u64,
    /// Who answered: an expert, or the policy that answered instead.
    pub model: String,
    /// One, or none in the chunk that carries the usage.
    pub choices: Vec<Choice>,
    /// Left out, `null` in chunks before the one that carries it, or what the reply cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    /// What was measured; on the last chunk of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
}

/// The one choice of a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// 0.
    pub index: u32,
    /// What is said.
    #[serde(flatten)]
    pub content: Content,
    /// Always null.
    pub logprobs: Option<()>,
    /// `stop`, `length` or `content_filter`, at the end.
    pub finish_reason: Option<Word>,
}

/// A message, a piece of one, or bare text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Of a chat completion.
    Message(Message),
    /// Of a chunk of one.
    Delta(Message),
    /// Of a text completion.
    Text(String),
}

/// What an assistant says.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// `assistant`, in the first chunk of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Word>,
    /// Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Of the rendered prompt.
    pub prompt_tokens: u32,
    /// Generated.
    pub completion_tokens: u32,
    /// Both.
    pub total_tokens: u32,
}

/// Seconds, measured; what was not measured is left out.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Performance {
    /// From received to the first text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_first_token: Option<f64>,
    /// The same, as older clients look for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// From received to the end.
    pub generation_time: f64,
    /// The same, as older clients look for it.
    #[serde(default)]
    pub total_time: f64,
    /// Decode speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Who answered.
    pub routed_to: String,
    /// The engine's own account; absent when no expert finished.
    #[serde(flatten)]
    pub engine: Option<EnginePerformance>,
}

/// The engine's own account of the call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EnginePerformance {
    /// Until the first step, loading included.
    pub queue_time: f64,
    /// Loading the expert, when this call waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_time: Option<f64>,
    /// The prompt's forward passes.
    pub prefill_time: f64,
    /// The forward passes after the first token.
    pub decode_time: f64,
}

impl Completion {
    /// What its choice says; nothing where it has none.
    #[must_use]
    pub fn into_text(self) -> String {
        match self.choices.into_iter().next().map(|choice| choice.content) {
            Some(Content::Message(message) | Content::Delta(message)) => {
                message.content.unwrap_or_default()
            }
            Some(Content::Text(text)) => text,
            None => String::new(),
        }
    }
}

impl From<Counted> for Usage {
    fn from(usage: Counted) -> Self {
        let Counted { prompt_tokens, completion_tokens } = usage;
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

impl From<Timings> for EnginePerformance {
    fn from(timings: Timings) -> Self {
        Self {
            queue_time: timings.queued.as_secs_f64(),
            load_time: timings.loading.map(|time| time.as_secs_f64()),
            prefill_time: timings.prefill.as_secs_f64(),
            decode_time: timings.decode.as_secs_f64(),
        }
    }
}
