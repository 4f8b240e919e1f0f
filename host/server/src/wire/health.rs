//! `GET /health` and `GET /ready`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Word, models::Models, policies::OutOfService};

/// Alive; 200 for as long as the process serves.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `healthy`; `degraded` when a policy is out of service; `unhealthy` when no expert can be served.
    pub status: Word,
    /// How many experts there are.
    #[serde(flatten)]
    pub models: Models,
    /// Experts that can't be served; `/experts` says why.
    pub failed: Vec<String>,
    /// Calls can be routed: some expert can be served. What older consoles look for.
    pub orchestrator_ready: bool,
    /// As many experts can be served.
    pub experts_ready: usize,
    /// Replies can be had as events; always true.
    pub streaming_enabled: bool,
    /// Hooks of policies that are out of service.
    pub degraded: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    pub policies_unreadable: Option<String>,
}

/// Able to take calls; 503 until the warm pool is done, while draining, while no expert can be served,
/// and while policies turn every call away because they are out of service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// Calls should be sent here.
    pub ready: bool,
    /// The server is shutting down.
    pub draining: bool,
    /// Experts of the warm pool that are still loading.
    pub waiting_for: Vec<String>,
    /// Experts that can't be served; they don't keep the others from being ready.
    pub failed: Vec<String>,
    /// Hooks of policies that are out of service. Those that refuse keep this server from being
    /// ready.
    pub degraded: Vec<OutOfService>,
    /// Why nobody knows which policies are in force; then no call is let through.
    pub policies_unreadable: Option<String>,
}
