//! What a template is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names and texts of the tokens that templates may mention: `bos_token`, `eos_token`, ...
pub(crate) type TokenNames = BTreeMap<String, String>;

/// A conversation as a template sees it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) turns: Vec<Turn>,
    /// Definitions of tools; `None` where there are none, as transformers passes it.
    pub(super) tools: Option<Vec<Value>>,
    /// Whether the beginning of a reply comes behind the turns.
    pub(super) add_generation_prompt: bool,
}

/// One turn as a template sees it. What it does not have is not defined.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) content: Content,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<Called>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<String>,
    /// The tool whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Definitions as JSON, in the system's turn, where Phi's template looks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tools: Option<String>,
}

/// A call as OpenAI writes it, but for its arguments, which are an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Called {
    pub(super) id: String,
    pub(super) r#type: String,
    pub(super) function: Function,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) arguments: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Plain(String),
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Piece {
    Text { text: String },
    Image,
}

impl Default for Content {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}
