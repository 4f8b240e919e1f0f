//! `/experts` of both planes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Word;

/// All experts, in the operator's order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExpertList {
    /// One per expert.
    pub experts: Vec<Expert>,
}

/// One expert: measured, or absent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Expert {
    /// What a call names.
    pub expert_id: String,
    /// What it is for.
    pub domain: String,
    /// The operator's words.
    pub description: String,
    /// Typical questions.
    pub use_cases: Vec<String>,
    /// Higher is loaded earlier and preferred.
    pub priority: i32,
    /// `chat`, `completion`, `images`.
    pub capabilities: Vec<String>,
    /// The checkpoint's own name for it.
    pub architecture: Option<String>,
    /// What the weights really are.
    pub quantization: Option<String>,
    /// Longest prompt plus reply, in tokens.
    pub context_length: u32,
    /// `resident`, `loading`, `cold` or `failed`.
    pub state: Word,
    /// Why it failed.
    pub reason: Option<String>,
    /// It is in memory.
    pub is_loaded: bool,
    /// It is never evicted.
    pub pinned: bool,
    /// Bytes of weights when loaded.
    pub weight_bytes: u64,
    /// Bytes of KV cache now.
    pub kv_bytes: u64,
    /// Calls running and waiting.
    pub queue_depth: usize,
    /// Calls running.
    pub running: usize,
    /// How long a call made now would wait for its first step.
    pub estimated_wait_s: Option<f64>,
    /// Read of the weight files, in per cent, while they are.
    pub load_percent: Option<u8>,
    /// Experts that have the memory it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// How long the last load took.
    pub last_load_s: Option<f64>,
    /// Loads that succeeded.
    pub load_count: u64,
    /// Times it left memory.
    pub unload_count: u64,
    /// Calls accepted.
    pub total_requests: u64,
    /// Prompt tokens of those calls.
    pub prompt_tokens_total: u64,
    /// Prompt tokens that were not computed, for their calls began as others before them.
    #[serde(default)]
    pub cached_tokens_total: u64,
    /// Tokens generated.
    pub completion_tokens_total: u64,
    /// Tokens that prompt lookup guessed ahead.
    #[serde(default)]
    pub guessed_tokens_total: u64,
    /// Those of them that were right, and so took no step of their own.
    #[serde(default)]
    pub accepted_tokens_total: u64,
    /// Times that a call gave its KV cache to others and was computed anew.
    #[serde(default)]
    pub yields_total: u64,
    /// Decode speed of one sequence, measured.
    pub tokens_per_second: Option<f32>,
    /// Time since the last call ended.
    pub idle_time_s: Option<f64>,
    /// For operators only: shows that a swap of policies left the weights where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_address: Option<String>,
    /// What inspection noticed.
    pub findings: Vec<Finding>,
}

/// What inspection noticed, and what mends it. The words are for operators: they name files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// Stable name.
    pub code: Word,
    /// What is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}
