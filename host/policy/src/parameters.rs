//! What a call asks for beyond words: tools, the form of the reply, how tokens are drawn. Plain data that
//! policies are shown and may change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::shared;

/// Something that the reply may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// What a call names.
    pub name: String,
    /// What it is for, in the client's words; empty when it says nothing.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: String,
}

/// Whether tools may or have to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The expert decides.
    #[default]
    Auto,
    /// None may be called.
    None,
    /// At least one has to be called.
    Required,
    /// This one has to be called.
    Tool(String),
}

/// What the reply has to look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Text, whatever it looks like.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON that fits this JSON Schema.
    JsonSchema(String),
    /// A form that policies know by its name only and can't set.
    Other(String),
}

/// What a call asks for beyond words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// What the reply may call, in the client's order, no two of one name.
    #[serde(with = "shared::list")]
    pub tools: Arc<[Tool]>,
    /// Whether they are called.
    pub tool_choice: ToolChoice,
    /// What the reply has to look like.
    pub response_format: ResponseFormat,
    /// The share of probability that is drawn from, above 0 to 1.
    pub top_p: Option<f32>,
    /// Where the chance of drawing starts.
    pub seed: Option<u64>,
    /// The reply ends before the first of these.
    pub stop: Vec<String>,
    /// Whether log probabilities are wanted, and of how many other tokens for each.
    pub logprobs: Option<u32>,
}

impl Parameters {
    /// Bytes of all that clients and policies wrote in it.
    pub(crate) fn written_bytes(&self) -> usize {
        let tool = |tool: &Tool| tool.name.len() + tool.description.len() + tool.parameters.len();
        let format = match &self.response_format {
            ResponseFormat::JsonSchema(text) | ResponseFormat::Other(text) => text.len(),
            ResponseFormat::Text | ResponseFormat::Json => 0,
        };
        let stop = self.stop.iter().map(String::len);
        self.tools.iter().map(tool).sum::<usize>() + format + stop.sum::<usize>()
    }
}
