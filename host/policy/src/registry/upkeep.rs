//! What work around breakers and trials shares, whichever calls set it off.

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::{Agreement, Hook, PolicyRef};

pub(super) struct Upkeep {
    /// One probe at a time: it must not slow calls down.
    pub(super) probing: Semaphore,
    /// How often each hook of a policy was taken out of service; any call may be what does it.
    pub(super) openings: DashMap<(String, Hook), u64>,
    /// How often a canary of a policy was ended, and by what.
    pub(super) canaries_ended: DashMap<(String, &'static str), u64>,
    /// What revisions have shown in replays, each with the revision in force beside which it did.
    pub(super) replays: DashMap<(PolicyRef, PolicyRef), Agreement>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            probing: Semaphore::new(1),
            openings: DashMap::new(),
            canaries_ended: DashMap::new(),
            replays: DashMap::new(),
        }
    }
}
