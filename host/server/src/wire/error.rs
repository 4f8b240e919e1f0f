//! Errors, the same everywhere; `docs/errors.md` lists the codes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// `{"error": {...}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorBody,
}

/// OpenAI's error object, with whose it is to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What is wrong and what mends it, for people.
    pub message: String,
    /// OpenAI's kind: `invalid_request_error`, `server_error`, ...
    pub r#type: Word,
    /// The field of the request that it is about.
    pub param: Option<String>,
    /// Stable name, to switch on.
    pub code: String,
    /// `client`, `policy`, `expert` or `host`.
    pub blame: Word,
}
