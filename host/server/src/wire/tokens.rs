//! `POST /tokenize` and `POST /detokenize`, with the fields of vLLM and those of llama.cpp.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /tokenize`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeRequest {
    /// Whose vocabulary; the expert that answers when no policy chooses, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text, as vLLM calls it: behind the beginning that prompts have, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The text, as llama.cpp calls it: as it is, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether the beginning comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_special_tokens: Option<bool>,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_special: Option<bool>,
    /// With `token_strs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_token_strs: Option<bool>,
    /// With the piece of each token beside its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_pieces: Option<bool>,
}

/// Tokens of a text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeAnswer {
    /// Ids, or ids with their pieces.
    pub tokens: Vec<Token>,
    /// How many.
    pub count: usize,
    /// Longest prompt plus reply of this expert.
    pub max_model_len: u32,
    /// What each stands for; half characters show as U+FFFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_strs: Option<Vec<String>>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Token {
    /// Its id.
    Id(u32),
    /// With what it stands for.
    Piece {
        /// Its id.
        id: u32,
        /// Text.
        piece: Piece,
    },
}

/// What a token stands for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Piece {
    /// Whole characters.
    Text(String),
    /// Half ones.
    Bytes(Vec<u8>),
}

/// `POST /detokenize`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct DetokenizeRequest {
    /// Whose vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Ids.
    pub tokens: Vec<u32>,
}

/// A text of tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DetokenizeAnswer {
    /// As vLLM calls it. Control tokens are left out.
    pub prompt: String,
    /// As llama.cpp calls it.
    pub content: String,
}
