//! Anthropic's messages: what clients send to `/v1/messages`, whole replies, and the events of a stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// `POST /v1/messages`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct MessagesRequest {
    /// An expert's id, or `auto`: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The conversation, oldest first: a `role`, and a `content` that is a string or blocks of `text`,
    /// `image`, `tool_use` and `tool_result`.
    pub messages: Vec<serde_json::Value>,
    /// What holds for all of it: a string or blocks of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<serde_json::Value>,
    /// Most tokens to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// What the expert may call, each with a `name` and an `input_schema`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<serde_json::Value>,
    /// An object of the type `auto`, `any`, `tool` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<serde_json::Value>,
    /// The reply ends before the first of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
    /// 0 is greedy; 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Nucleus, above 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Most likely tokens kept; 0 keeps all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// As events, while it is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What clients of Anthropic send besides, such as `metadata` and `thinking`.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageAnswer {
    /// The request id behind `msg_`.
    pub id: String,
    /// `message`.
    pub r#type: Word,
    /// `assistant`.
    pub role: Word,
    /// Who answered: an expert, or the policy that answered instead.
    pub model: String,
    /// What is said and called.
    pub content: Vec<Block>,
    /// `end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, or `refusal` when a policy ended it.
    pub stop_reason: Option<Word>,
    /// The one that ended it.
    pub stop_sequence: Option<String>,
    /// What it cost.
    pub usage: MessageUsage,
}

/// A part of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Text.
    Text {
        /// It.
        text: String,
    },
    /// A call of a tool.
    ToolUse {
        /// What its result refers to.
        id: String,
        /// The tool's name.
        name: String,
        /// Its arguments, an object.
        input: serde_json::Value,
    },
}

/// Tokens counted, never estimated. Those of the prompt are `input_tokens` and `cache_read_input_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageUsage {
    /// Of the prompt, computed for this call.
    pub input_tokens: u32,
    /// Of the prompt, in the cache already; left out while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u32>,
    /// Always 0, left out with the other: the cache keeps beginnings of its own accord.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<u32>,
    /// Generated.
    pub output_tokens: u32,
}

/// An event of a stream; its name is its `type`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageEvent {
    /// The first one.
    MessageStart {
        /// The reply, without content.
        message: MessageAnswer,
    },
    /// Keeps the connection.
    Ping,
    /// A block begins.
    ContentBlockStart {
        /// Its place in the reply.
        index: u32,
        /// It, empty.
        content_block: Block,
    },
    /// A block goes on.
    ContentBlockDelta {
        /// Its place in the reply.
        index: u32,
        /// What is new.
        delta: BlockDelta,
    },
    /// A block is complete.
    ContentBlockStop {
        /// Its place in the reply.
        index: u32,
    },
    /// The reply is complete.
    MessageDelta {
        /// How it ended.
        delta: Ended,
        /// What all of it cost.
        usage: MessageUsage,
    },
    /// The last one.
    MessageStop,
}

/// What is new in a block.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockDelta {
    /// Text.
    TextDelta {
        /// It.
        text: String,
    },
    /// Arguments of a call.
    InputJsonDelta {
        /// A piece of their JSON.
        partial_json: String,
    },
}

/// How a reply ended.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// As in the whole reply.
    pub stop_reason: Option<Word>,
    /// As in the whole reply.
    pub stop_sequence: Option<String>,
}

/// `POST /v1/messages/count_tokens`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct TokenCount {
    /// Of the rendered prompt, tools and images included.
    pub input_tokens: u32,
}

/// An error in Anthropic's shape.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageError {
    /// `error`.
    pub r#type: Word,
    /// What is wrong.
    pub error: MessageErrorBody,
    /// Names the exchange.
    pub request_id: String,
}

/// What is wrong, in Anthropic's words.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MessageErrorBody {
    /// Anthropic's kind: `invalid_request_error`, `overloaded_error`, ...
    pub r#type: Word,
    /// What mends it, for people.
    pub message: String,
}
