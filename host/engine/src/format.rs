//! What a reply has to look like: plain data, which [`constraint`](crate) turns into masks.

use serde_json::Value;

/// What a reply has to look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Format {
    /// Free text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows this schema.
    JsonSchema(Value),
    /// All of it matches this regular expression.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// What this grammar, in Lark's notation, derives.
    Grammar(String),
}
