//! Replies: OpenAI's completion objects, whole or a chunk of one, with what was measured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_engine::{Timings, ToolCall as Called, Usage as Counted};

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
    /// What its tokens weighed, where that was asked for.
    pub logprobs: Option<Logprobs>,
    /// `stop`, `length`, `tool_calls` or `content_filter`, at the end.
    pub finish_reason: Option<Word>,
}

/// What the tokens of a choice weighed, in the form of its endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Logprobs {
    /// Of a chat completion.
    Chat(ChatLogprobs),
    /// Of a text completion.
    Text(TextLogprobs),
}

/// Tokens one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatLogprobs {
    /// Of what is said.
    pub content: Vec<TokenLogprob>,
    /// Always null.
    pub refusal: Option<()>,
}

/// A token that was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLogprob {
    /// As text; half characters show as U+FFFD.
    pub token: String,
    /// Of the model's own distribution.
    pub logprob: f32,
    /// As it is.
    pub bytes: Vec<u8>,
    /// The likeliest at its place.
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that could have been drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopLogprob {
    /// As text.
    pub token: String,
    /// Of the model's own distribution.
    pub logprob: f32,
    /// As it is.
    pub bytes: Vec<u8>,
}

/// Lists side by side, an item for each token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TextLogprobs {
    /// Characters of the text before it.
    pub text_offset: Vec<u32>,
    /// Of the model's own distribution.
    pub token_logprobs: Vec<f32>,
    /// As text.
    pub tokens: Vec<String>,
    /// The likeliest at its place.
    pub top_logprobs: Vec<BTreeMap<String, f32>>,
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
    /// Text; `null` in a message that calls tools and says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Option<String>>,
    /// Tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
}

/// A call of a tool: complete, or in a stream its beginning, or more of its arguments with nothing else.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// Its place among the calls of the reply, in a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// What its result refers to.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub id: String,
    /// `function`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub r#type: Word,
    /// What is called.
    pub function: FunctionCall,
}

/// What is called.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCall {
    /// The tool's name.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub name: String,
    /// JSON, as text.
    pub arguments: String,
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
    /// Of the prompt.
    #[serde(default)]
    pub prompt_tokens_details: PromptTokensDetails,
}

/// What became of a prompt's tokens.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct PromptTokensDetails {
    /// Those that were in the cache already.
    pub cached_tokens: u32,
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

impl Message {
    /// Text, of whoever spoke before.
    pub(crate) fn said(text: String) -> Self {
        Self { content: Some(Some(text)), ..Self::default() }
    }
}

impl Completion {
    /// What its choice says; nothing where it has none.
    #[must_use]
    pub fn into_text(self) -> String {
        match self.choices.into_iter().next().map(|choice| choice.content) {
            Some(Content::Message(message) | Content::Delta(message)) => {
                message.content.flatten().unwrap_or_default()
            }
            Some(Content::Text(text)) => text,
            None => String::new(),
        }
    }
}

impl From<Counted> for Usage {
    fn from(usage: Counted) -> Self {
        let Counted { prompt_tokens, cached_tokens, completion_tokens } = usage;
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        let prompt_tokens_details = PromptTokensDetails { cached_tokens };
        Self { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details }
    }
}

impl ToolCall {
    /// A call, and its place in a stream.
    pub(crate) fn new(call: Called, index: Option<u32>) -> Self {
        let Called { id, name, arguments } = call;
        Self { index, id, r#type: "function".into(), function: FunctionCall { name, arguments } }
    }

    /// More of the arguments of the call at this place.
    pub(crate) fn goes_on(arguments: String, index: u32) -> Self {
        let function = FunctionCall { name: String::new(), arguments };
        Self { index: Some(index), id: String::new(), r#type: Word::default(), function }
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
