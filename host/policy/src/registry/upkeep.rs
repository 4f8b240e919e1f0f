//! What work around breakers shares, whichever calls set it off.

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::Hook;

pub(super) struct Upkeep {
    /// One probe at a time: it must not slow calls down.
    pub(super) probing: Semaphore,
    /// How often each hook of a policy was taken out of service; any call may be what does it.
    pub(super) openings: DashMap<(String, Hook), u64>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { probing: Semaphore::new(1), openings: DashMap::new() }
    }
}
