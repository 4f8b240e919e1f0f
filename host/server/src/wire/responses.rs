//! OpenAI's responses: what clients send to `/v1/responses`, what comes back, and the events of a stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use signalbox_engine::Usage;

use super::{Word, completions::TokenLogprob, error::ErrorBody};

/// `POST /v1/responses`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResponsesRequest {
    /// An expert's id, or `auto`: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A string, or items: messages, `function_call` and `function_call_output`.
    pub input: Value,
    /// What holds for this response, and for none that follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The response that this one follows; its conversation comes before the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_response_id: Option<String>,
    /// Whether it is kept for a while, so that others can follow it; `true` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// Most tokens to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Functions that the expert may call: `name`, `description`, `parameters`, `strict` beside the type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// `auto`, `none`, `required`, or an object that names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    /// `format`: `text`, `json_object`, or `json_schema` with a `schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Value>,
    /// 0 is greedy; 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Nucleus, above 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// As events, while it is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What clients of OpenAI send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A response, complete or under way.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResponseAnswer {
    /// What others follow it by.
    pub id: String,
    /// `response`.
    pub object: Word,
    /// Seconds since 1970.
    pub created_at: u64,
    /// `in_progress`, `completed`, `incomplete` or `failed`.
    pub status: Word,
    /// Always false.
    pub background: bool,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Why it is incomplete.
    pub incomplete_details: Option<Incomplete>,
    /// As they were sent.
    pub instructions: Option<String>,
    /// As it was sent.
    pub max_output_tokens: Option<u32>,
    /// Who answered: an expert, or the policy that answered instead.
    pub model: String,
    /// What is said and called.
    pub output: Vec<OutputItem>,
    /// Whether several calls may come at once.
    pub parallel_tool_calls: bool,
    /// The response that it follows.
    pub previous_response_id: Option<String>,
    /// Whether it is kept.
    pub store: bool,
    /// As it was sent.
    pub temperature: Option<f32>,
    /// As it was sent.
    pub text: Value,
    /// As it was sent.
    pub tool_choice: Value,
    /// As they were sent.
    pub tools: Value,
    /// As it was sent.
    pub top_p: Option<f32>,
    /// Always `disabled`: prompts are never cut.
    pub truncation: Word,
    /// What it cost; null before its end.
    pub usage: Option<ResponseUsage>,
    /// As it was sent.
    pub metadata: Value,
}

/// Why a response failed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResponseError {
    /// Stable name.
    pub code: String,
    /// What is wrong and what mends it, for people.
    pub message: String,
}

impl From<ErrorBody> for ResponseError {
    fn from(error: ErrorBody) -> Self {
        Self { code: error.code, message: error.message }
    }
}

/// Why a response is incomplete.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Incomplete {
    /// `max_output_tokens`, or `content_filter` when a policy ended it.
    pub reason: Word,
}

/// What a response consists of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputItem {
    /// Text.
    Message {
        /// Names it within the response.
        id: String,
        /// `in_progress`, `completed` or `incomplete`.
        status: Word,
        /// `assistant`.
        role: Word,
        /// One part, or none yet.
        content: Vec<OutputPart>,
    },
    /// A call of a function.
    FunctionCall {
        /// Names it within the response.
        id: String,
        /// `in_progress` or `completed`.
        status: Word,
        /// What its result refers to.
        call_id: String,
        /// The function's name.
        name: String,
        /// JSON, as text.
        arguments: String,
    },
}

/// A part of a message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputPart {
    /// Text.
    OutputText {
        /// It.
        text: String,
        /// Always empty.
        annotations: [(); 0],
        /// Its tokens, where that was asked for.
        logprobs: Vec<TokenLogprob>,
    },
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct ResponseUsage {
    /// Of the rendered prompt.
    pub input_tokens: u32,
    /// Of the prompt.
    pub input_tokens_details: InputTokensDetails,
    /// Generated.
    pub output_tokens: u32,
    /// Of those.
    pub output_tokens_details: OutputTokensDetails,
    /// Both.
    pub total_tokens: u32,
}

impl From<Usage> for ResponseUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputTokensDetails { cached_tokens: usage.cached_tokens },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputTokensDetails { reasoning_tokens: 0 },
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
        }
    }
}

/// What became of a prompt's tokens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct InputTokensDetails {
    /// Those that were in the cache already.
    pub cached_tokens: u32,
}

/// What became of a reply's tokens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct OutputTokensDetails {
    /// Always 0: no expert here thinks before it speaks.
    pub reasoning_tokens: u32,
}

/// An event of a stream, with the fields that belong to its type.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResponseEvent {
    /// `response.created`, `response.output_text.delta`, ...
    pub r#type: Word,
    /// Counts the events from 0.
    pub sequence_number: u64,
    /// The whole of it, at its beginning and at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseAnswer>,
    /// Which item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<String>,
    /// Its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_index: Option<usize>,
    /// The item itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<OutputItem>,
    /// Which part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_index: Option<usize>,
    /// The part itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<OutputPart>,
    /// What is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<String>,
    /// All of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The function that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All arguments of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// Where a text is, its tokens, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// Of an error: its stable name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of an error: what is wrong and what mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `GET /v1/responses/{id}/input_items`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResponseItems {
    /// `list`.
    pub object: Word,
    /// The items, as they were sent, each with a type and an id.
    pub data: Vec<Value>,
    /// The first one's id.
    pub first_id: Option<String>,
    /// The last one's.
    pub last_id: Option<String>,
    /// Whether others come behind it.
    pub has_more: bool,
}

/// `DELETE /v1/responses/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResponseDeleted {
    /// Which one.
    pub id: String,
    /// `response`.
    pub object: Word,
    /// True.
    pub deleted: bool,
}
