//! What an operator, a router or a client may know about an expert: measured, or absent.

use std::time::Duration;

use super::residency::SlotState;
use crate::inspect::Finding;

/// Where an expert stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpertState {
    /// In memory, ready to answer.
    Resident,
    /// Being read into memory.
    Loading,
    /// On disk; the next call loads it.
    Cold,
    /// Can't be served, and why.
    Failed(String),
}

impl ExpertState {
    /// One that is leaving is as good as cold: the next call loads it anew.
    pub(super) fn of<T>(state: &SlotState<T>) -> Self {
        match state {
            SlotState::Resident(_) => Self::Resident,
            SlotState::Loading(_) => Self::Loading,
            SlotState::Cold | SlotState::Leaving => Self::Cold,
            SlotState::Failed(why) => Self::Failed(why.to_string()),
        }
    }
}

/// How far a load is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loading {
    /// Read of the weight files; `None` before that.
    pub percent: Option<u8>,
    /// Experts that have the memory it waits for.
    pub waits_for: Vec<String>,
}

/// One line of the menu.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertStatus {
    /// The routable name.
    pub id: String,
    /// What it is for.
    pub domain: String,
    /// The operator's words.
    pub description: String,
    /// Typical questions, in the operator's words.
    pub use_cases: Vec<String>,
    /// Higher is loaded earlier and preferred.
    pub priority: i32,
    /// What it can do: `chat` where there is a chat template, `completion` wherever it replies, `images`
    /// where it can see them; or `embeddings` alone.
    pub capabilities: Vec<String>,
    /// The checkpoint's own name for its architecture.
    pub architecture: Option<String>,
    /// What the weights really are: `awq int4 g128`, `bf16`, `gguf q4_1`.
    pub quantization: Option<String>,
    /// Longest prompt plus reply in tokens; 0 while unknown.
    pub context_length: u32,
    /// Where it stands.
    pub state: ExpertState,
    /// Bytes of weights in memory when loaded; 0 while unknown.
    pub weight_bytes: u64,
    /// Bytes of KV cache held now, by running sequences and as beginnings for further ones.
    pub kv_bytes: u64,
    /// Calls running and waiting.
    pub queue_depth: usize,
    /// Calls running.
    pub running: usize,
    /// How long a call made now would wait for its first step; `None` until measured.
    pub estimated_wait: Option<Duration>,
    /// How far it is, while it loads.
    pub loading: Option<Loading>,
    /// How long the last load took; `None` before the first.
    pub last_load: Option<Duration>,
    /// Loads that succeeded since the start.
    pub load_count: u64,
    /// Times it left memory since the start.
    pub unload_count: u64,
    /// Calls accepted since the start.
    pub requests_total: u64,
    /// Prompt tokens of those calls.
    pub prompt_tokens_total: u64,
    /// Prompt tokens that were not computed, for their calls began as others before them.
    pub cached_tokens_total: u64,
    /// Tokens generated since the start.
    pub completion_tokens_total: u64,
    /// Tokens that prompt lookup guessed ahead.
    pub guessed_tokens_total: u64,
    /// Those of them that were right, and so took no step of their own.
    pub accepted_tokens_total: u64,
    /// Times that a call gave its KV cache to others and was computed anew.
    pub yields_total: u64,
    /// Decode speed of one sequence, tokens per second, measured; `None` before the first reply.
    pub tokens_per_second: Option<f32>,
    /// Time since the last call ended; `None` while cold or answering.
    pub idle: Option<Duration>,
    /// Protected from being unloaded to make room.
    pub pinned: bool,
    /// Address of the weights; changes when, and only when, they are loaded anew.
    pub weights_address: Option<usize>,
    /// What inspection noticed.
    pub findings: Vec<Finding>,
}

/// The memory budget of weights and KV caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStatus {
    /// The operator's limit in bytes.
    pub max_bytes: u64,
    /// Bytes reserved for experts that are loaded or loading.
    pub reserved_bytes: u64,
}

/// What came of loading experts ahead of the calls for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefetches {
    /// Experts that were asked then.
    pub hits: u64,
    /// Experts that left memory again without.
    pub wastes: u64,
}
