//! What clients and operators send. The host reads bodies field by field, within bounds; these types say the
//! same to those who write them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Word, completions::ToolCall};

/// `POST /v1/chat/completions`. What would change the reply and can't be done is refused by name; what
/// means nothing here is accepted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Functions that the expert may call, as OpenAI writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<serde_json::Value>,
    /// `auto`, `none`, `required`, or the name of one as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<serde_json::Value>,
    /// Whether one reply may have several calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// The reply goes on where the last message, an assistant's, ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_final_message: Option<bool>,
    /// How to answer it.
    #[serde(flatten)]
    pub common: Common,
}

/// `POST /v1/completions`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TextRequest {
    /// What to continue: a string or a list of tokens, or several of them.
    pub prompt: TextPrompt,
    /// What stands behind the gap that the reply fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// With the prompt before the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// How to continue it.
    #[serde(flatten)]
    pub common: Common,
}

/// What a text completion continues. Tokens are those of the expert that the call names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextPrompt {
    /// One text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// One, as tokens.
    Tokens(Vec<u32>),
    /// Several, as tokens.
    TokenLists(Vec<Vec<u32>>),
}

impl Default for TextPrompt {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// What chat and text have in common.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Common {
    /// An expert's id, or `auto`, or nothing: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Most tokens to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The newer name of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    /// 0 is greedy; 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Nucleus, above 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Most likely tokens kept; 0 keeps all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Least share of the likeliest token's probability, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// Divides the logits of tokens in prompt and reply; above 0 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// For every time that a token stands in the reply; -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// For a token that stands in the reply; -2 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// Tokens that end the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_token_ids: Option<Vec<u32>>,
    /// Tokens before which nothing but the length ends the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u32>,
    /// The expert's own end tokens end nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_eos: Option<bool>,
    /// For replies that can be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Generation ends before the first of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What the reply has to look like: `text`, `json_object`, or `json_schema` with a schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<serde_json::Value>,
    /// The reply is one of these texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided_choice: Option<Vec<String>>,
    /// All of the reply matches this regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided_regex: Option<String>,
    /// The reply is derived by this grammar, in Lark's notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided_grammar: Option<String>,
    /// Added to the logits of tokens, by their ids; -100 bars a token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<String, f32>,
    /// Whether log probabilities are wanted; of a text, for how many other tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<serde_json::Value>,
    /// For how many other tokens, 0 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u32>,
    /// As server-sent events, while it is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// With the usage in a last chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// What clients of OpenAI send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// One turn of a conversation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: Word,
    /// What is said; an assistant that calls tools may say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ChatContent>,
    /// What an assistant called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call whose result a `tool` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl ChatMessage {
    /// A turn without calls.
    pub fn new(role: impl Into<Word>, content: ChatContent) -> Self {
        let (role, content) = (role.into(), Some(content));
        Self { role, content, tool_calls: vec![], tool_call_id: None }
    }
}

/// Text, or parts of a message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ChatContent {
    /// Nothing but text.
    Text(String),
    /// Text and images in the order they are read.
    Parts(Vec<ChatPart>),
}

/// A part of a message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatPart {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image, in a message of the role `user`.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
    },
}

/// Where an image is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ImageUrl {
    /// `data:image/png;base64,...`, or an address at a host that the operator allowed.
    pub url: String,
}

/// One stop string, or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Stop {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What a stream carries besides text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// The usage in a last chunk.
    pub include_usage: bool,
}

/// `POST /policies/{name}/activate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Activate {
    /// The revision, whole or a unique beginning of it.
    pub revision: String,
    /// Whether it may import what the revision in force does not.
    #[serde(default)]
    pub allow_new_imports: bool,
    /// The share of calls, 0 to 1, in which it must have shown in shadow or replay that it agrees with the revision in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_agreement: Option<f64>,
    /// Only for a share of the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Share>,
}

/// A share of the calls: those of as many of the callers, always the same ones.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// 1 to 99.
    pub percent: u32,
}

/// `POST /policies/{name}/shadow`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Cast {
    /// The revision, whole or a unique beginning of it.
    pub revision: String,
    /// Whether it may import what the revision in force does not.
    #[serde(default)]
    pub allow_new_imports: bool,
}

/// `POST /decisions/{decision}/feedback`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RatingRequest {
    /// What the caller thinks of the reply: -1 (bad) to 1 (good).
    pub rating: f32,
    /// What it says of it: at most 1000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
