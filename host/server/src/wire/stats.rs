//! `GET /stats`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_policy::FeedbackStatus;

use super::{
    Word,
    policies::{OutOfService, PipelineStatus},
};

/// The server at a glance.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// `signalbox`.
    pub name: Word,
    /// Of this program.
    pub version: Word,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// The warm pool is done and the server is not shutting down.
    pub ready: bool,
    /// The server is shutting down.
    pub draining: bool,
    /// Experts in memory.
    pub models_loaded: Vec<String>,
    /// Experts that can answer, now or after loading.
    pub models_available: Vec<String>,
    /// Experts that can't be served, and where to find why.
    pub models_failed: BTreeMap<String, Word>,
    /// Calls being answered.
    pub requests_in_flight: usize,
    /// Calls accepted by experts since the start.
    pub total_requests: u64,
    /// Prompt tokens of those calls.
    pub prompt_tokens_total: u64,
    /// Tokens generated.
    pub completion_tokens_total: u64,
    /// The memory of experts.
    pub memory: Memory,
    /// How experts came and went.
    pub lazy_loading: Loads,
    /// The policies in force.
    pub policies: PipelineStatus,
    /// Hooks of policies that are out of service.
    pub policies_out_of_service: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    pub policies_unreadable: Option<String>,
    /// What routers that learn were told of their decisions, by name.
    #[serde(default)]
    pub feedback: BTreeMap<String, Feedback>,
    /// Every bound of the server, its policies and its engine, by name.
    pub limits: BTreeMap<Word, LimitValue>,
}

/// What a policy was told of its decisions since the start, over all its revisions.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Feedback {
    /// Outcomes that it was told.
    pub told: u64,
    /// Of these, the ones that it failed to learn from, by code.
    pub failures: BTreeMap<Word, u64>,
    /// Outcomes that it was not told: `queue` (too many waited), `size` (too much text), `gone` (no revision of it is in force).
    pub dropped: BTreeMap<Word, u64>,
}

impl From<FeedbackStatus> for Feedback {
    fn from(of: FeedbackStatus) -> Self {
        let words = |counts: BTreeMap<&'static str, u64>| {
            counts.into_iter().map(|(word, count)| (word.into(), count)).collect()
        };
        Self { told: of.told, failures: words(of.failures), dropped: words(of.dropped) }
    }
}

/// Bytes of weights and KV caches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// What they may take together.
    pub max_bytes: u64,
    /// What is reserved.
    pub reserved_bytes: u64,
}

/// Loads and unloads since the start.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Loads {
    /// Experts there are.
    pub total_experts: usize,
    /// Experts in memory.
    pub loaded_experts: usize,
    /// Loads that succeeded.
    pub total_loads: u64,
    /// Times an expert left memory.
    pub total_unloads: u64,
    /// Experts that were loaded ahead of the calls for them, and asked then.
    #[serde(default)]
    pub prefetch_hits: u64,
    /// Experts that were loaded ahead and left memory again without.
    #[serde(default)]
    pub prefetch_wastes: u64,
}

/// One bound in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LimitValue {
    /// What it is.
    pub value: u64,
    /// What it counts.
    pub unit: Word,
}
