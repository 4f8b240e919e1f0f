//! `GET /` and `GET /v1/models`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// `GET /`: the server in one line.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Root {
    /// `signalbox`.
    pub name: Word,
    /// Of this program.
    pub version: Word,
    /// How many experts there are.
    #[serde(flatten)]
    pub models: Models,
    /// There is a router.
    pub routing_enabled: bool,
}

/// How many experts there are to talk to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Models {
    /// In memory.
    pub models_loaded: usize,
    /// Able to answer, now or after loading.
    pub models_available: usize,
}

/// `GET /v1/models`: the experts in OpenAI's words, behind `auto` and before their aliases.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// `list`.
    pub object: Word,
    /// One per expert, behind `auto`, and one per alias.
    pub data: Vec<Model>,
}

/// One model that a call may name.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// What a call names.
    pub id: String,
    /// `model`.
    pub object: Word,
    /// Start of the server, seconds since 1970.
    pub created: u64,
    /// `signalbox`.
    pub owned_by: Word,
    /// Always empty; older clients look for it.
    pub permission: [(); 0],
    /// The expert's id, which is the same as `id` unless that is an alias.
    pub root: String,
    /// Always null; older clients look for it.
    pub parent: Option<()>,
    /// The operator's words.
    pub description: String,
    /// What it is for.
    pub domain: Option<String>,
    /// `loaded`, `loading`, `available` or `failed`.
    pub status: Word,
    /// Higher is preferred.
    pub priority: Option<i32>,
    /// Longest prompt plus reply, in tokens.
    pub context_length: Option<u32>,
    /// `chat`, `completion`, `images`, `decisions`.
    pub capabilities: Option<Vec<String>>,
}
