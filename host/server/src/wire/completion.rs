//! llama.cpp's `POST /completion`, which older clients of this host use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// A reply, or a piece of one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct CompletionAnswer {
    /// Text.
    pub content: String,
    /// It is complete.
    pub stop: bool,
    /// Who answered: an expert, or the policy that answered instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why it ended: `eos`, `limit`, `word`, or `filter` when a policy ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_type: Option<Word>,
    /// The stop string that ended it, or an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping_word: Option<String>,
    /// Tokens generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_predicted: Option<u32>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_evaluated: Option<u32>,
    /// Those of them that were in the cache already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_cached: Option<u32>,
}
