//! What a template is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names and texts of the tokens that templates may mention: `bos_token`, `eos_token`, ...
pub(crate) type TokenNames = BTreeMap<String, String>;

/// One turn as a template sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) role: String,
    pub(super) content: Content,
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
