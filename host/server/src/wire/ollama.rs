//! Ollama's requests and replies: one JSON object, or one a line. Durations are nanoseconds, and measured.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Word, completions::TokenLogprob};

/// `POST /api/generate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct GenerateRequest {
    /// What to continue or to answer; without one the expert is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What stands behind the gap that the reply fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// What holds for the whole conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The prompt is taken as it is, without the expert's template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<bool>,
    /// Images as base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// How to answer it.
    #[serde(flatten)]
    pub common: OllamaCommon,
}

/// `POST /api/chat`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OllamaChatRequest {
    /// The conversation, oldest first: `role`, `content`, `images`, `tool_calls`, `tool_name`. Without one the
    /// expert is loaded.
    pub messages: Vec<Value>,
    /// Functions that the expert may call, as OpenAI writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// How to answer it.
    #[serde(flatten)]
    pub common: OllamaCommon,
}

/// What both have in common.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OllamaCommon {
    /// An expert's id, with or without `:latest`, or `auto`: then the router decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `json`, or a JSON schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// `num_predict`, `temperature`, `top_k`, `top_p`, `min_p`, `seed`, `stop`, `repeat_penalty`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Value>,
    /// A line for each piece; `true` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// A hint; the operator says how long experts stay in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Value>,
}

/// A reply, or a piece of one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OllamaAnswer {
    /// Who answers: an expert, or the policy that answered instead; before that is known, whom the call names.
    pub model: String,
    /// When this was written, RFC 3339.
    pub created_at: String,
    /// Text, of `/api/generate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Text and calls, of `/api/chat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<OllamaMessage>,
    /// It is complete.
    pub done: bool,
    /// `stop`, `length`, `load`, or `content_filter` when a policy ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_reason: Option<Word>,
    /// What the tokens weighed, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// From received to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_duration: Option<u64>,
    /// Loading the expert, as far as this call waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_duration: Option<u64>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_eval_count: Option<u32>,
    /// The prompt's forward passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_eval_duration: Option<u64>,
    /// Tokens generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_count: Option<u32>,
    /// The forward passes after the first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_duration: Option<u64>,
}

/// What an assistant says.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OllamaMessage {
    /// `assistant`.
    pub role: Word,
    /// Text.
    pub content: String,
    /// Tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<OllamaCall>,
}

/// A call of a tool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OllamaCall {
    /// What its result may refer to.
    pub id: String,
    /// What is called.
    pub function: OllamaFunction,
}

/// What is called.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OllamaFunction {
    /// The tool's name.
    pub name: String,
    /// An object.
    pub arguments: Value,
}

/// `GET /api/tags` and `GET /api/ps`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OllamaModels {
    /// One per expert; of what there is to name also `auto`.
    pub models: Vec<OllamaModel>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OllamaModel {
    /// The expert's id with the tag `latest`.
    pub name: String,
    /// The same.
    pub model: String,
    /// Start of the server, RFC 3339.
    pub modified_at: String,
    /// Bytes of weights in memory; 0 while that is not known.
    pub size: u64,
    /// Names this line: SHA-256 of id, architecture and quantization.
    pub digest: String,
    /// What it is made of.
    pub details: OllamaDetails,
    /// Of one that is in memory: longest prompt plus reply, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
}

/// What an expert is made of.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OllamaDetails {
    /// `safetensors` or `gguf`, as far as its weights say so.
    pub format: Word,
    /// The checkpoint's own name for its architecture.
    pub family: String,
    /// The same.
    pub families: Vec<String>,
    /// What the weights really are.
    pub quantization_level: String,
}

/// `POST /api/show`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ShowRequest {
    /// An expert's id, with or without `:latest`.
    pub model: String,
}

/// One expert.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ShowAnswer {
    /// The operator's words.
    pub description: String,
    /// What it is made of.
    pub details: OllamaDetails,
    /// `general.architecture`, and `<architecture>.context_length` in tokens.
    pub model_info: BTreeMap<String, Value>,
    /// `completion`, `tools` and `vision`, as far as it can do that.
    pub capabilities: Vec<Word>,
    /// Start of the server, RFC 3339.
    pub modified_at: String,
}

/// `GET /api/version`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OllamaVersion {
    /// The version of Ollama whose API this is; some clients refuse older ones.
    pub version: Word,
    /// Of this program.
    pub signalbox: Word,
}
