//! `POST /v1/embeddings` in OpenAI's words, `POST /api/embed` and `POST /api/embeddings` in Ollama's, `POST /v1/rerank` in
//! those of Jina and Cohere: vectors of texts, and what follows from them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Word;

/// `POST /v1/embeddings`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingsRequest {
    /// An expert's id; `auto` or nothing is the embedding expert of highest priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A string, a list of strings, a list of token ids or a list of such lists.
    pub input: Value,
    /// `float`, which is the default, or `base64` of the numbers as little-endian f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<Word>,
    /// As many as the vectors have; they are not cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Whether a text that is too long loses its end instead of being refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// What clients of OpenAI send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Vectors in the order of the texts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingList {
    /// `list`.
    pub object: Word,
    /// One for each text.
    pub data: Vec<Embedding>,
    /// Who made them.
    pub model: String,
    /// What they cost.
    pub usage: EmbeddingUsage,
}

/// The vector of a text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Embedding {
    /// `embedding`.
    pub object: Word,
    /// Of the text.
    pub index: usize,
    /// Its numbers; their squares add up to 1.
    pub embedding: Vector,
}

/// The numbers of a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    /// As numbers.
    Float(Vec<f32>),
    /// As base64 of little-endian f32.
    Base64(String),
}

/// Tokens counted, never estimated.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingUsage {
    /// Of all texts, with those that begin and end each.
    pub prompt_tokens: u32,
    /// The same: nothing is generated.
    pub total_tokens: u32,
}

/// `POST /api/embed`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EmbedRequest {
    /// An expert's id.
    pub model: String,
    /// A string or a list of strings. Without any the expert is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Whether a text that is too long loses its end, which is the default, instead of being refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// What clients of Ollama send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Vectors in the order of the texts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EmbedAnswer {
    /// Who made them, as the client named it.
    pub model: String,
    /// One for each text; the squares of its numbers add up to 1.
    pub embeddings: Vec<Vec<f32>>,
    /// Nanoseconds from received to answered.
    pub total_duration: u64,
    /// Tokens of all texts.
    pub prompt_eval_count: u32,
}

/// `POST /api/embeddings`, which is older.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct OldEmbedRequest {
    /// An expert's id.
    pub model: String,
    /// The text. Without one the expert is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What clients of Ollama send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// The vector of a text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OldEmbedAnswer {
    /// Its numbers; none where there was no text.
    pub embedding: Vec<f32>,
}

/// `POST /v1/rerank`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RerankRequest {
    /// An expert's id; `auto` or nothing is the embedding expert of highest priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is looked for.
    pub query: String,
    /// Strings, or objects with `text`.
    pub documents: Vec<Value>,
    /// How many results are wanted; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_n: Option<usize>,
    /// Whether results bring their documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_documents: Option<bool>,
    /// Whether a text that is too long loses its end instead of being refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncate: Option<bool>,
    /// What clients of other servers send besides.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Documents, the most relevant first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RerankAnswer {
    /// Of this exchange.
    pub id: String,
    /// Who made the vectors that were compared.
    pub model: String,
    /// The most relevant first; of equals the one that was sent first.
    pub results: Vec<Ranked>,
    /// What they cost.
    pub usage: EmbeddingUsage,
}

/// One document's place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Ranked {
    /// Of the document as it was sent.
    pub index: usize,
    /// What a cross-encoder scores it for the query, 0 to 1; or the cosine of its vector and the query's, -1 to 1.
    pub relevance_score: f64,
    /// The document, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<RankedDocument>,
}

/// A document.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RankedDocument {
    /// As it was sent.
    pub text: String,
}
