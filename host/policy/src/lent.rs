//! What a policy is lent for all its calls, and what one call into it may take.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use crate::{
    CallBounds, HttpHost, Limits, PolicyRef, World,
    buckets::Bucket,
    sampling::Sampling,
    scheduler::{ASIDE, OwnTime},
};

/// What a policy is lent for all its calls.
pub(crate) struct Lent {
    pub(crate) policy: PolicyRef,
    pub(crate) world: Arc<dyn World>,
    pub(crate) config: BTreeMap<String, String>,
    /// Whom it may ask over `wasi:http`.
    pub(crate) http_hosts: Vec<HttpHost>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) bounds: CallBounds,
    /// What it keeps from one call to the next.
    pub(crate) bucket: Arc<Bucket>,
    /// Where its guests are, for a profile.
    pub(crate) sampling: Arc<Sampling>,
    /// Whether nobody waits for it: it has room, memory and turns beside those of calls.
    pub(crate) aside: bool,
    /// Whether it is only compared: no import may change anything that others see.
    pub(crate) compared: bool,
}

impl Lent {
    /// Where its guests stand in line: all revisions of a policy share its turns.
    pub(crate) fn lane(&self) -> u64 {
        if self.aside {
            return ASIDE;
        }
        let mut hasher = std::hash::DefaultHasher::new();
        self.policy.name.hash(&mut hasher);
        hasher.finish()
    }
}

/// One call into an instance: its time, and how much of it there may be.
#[derive(Clone)]
pub(crate) struct Turn {
    pub(crate) own_time: Arc<OwnTime>,
    pub(crate) limit: Duration,
    /// Bytes of text that the guest is shown.
    pub(crate) text_bytes: usize,
}
