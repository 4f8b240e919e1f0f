//! What is declared of a hook beside its name and how it is called.

use std::time::Duration;

use signalbox_confine::MIB;

use crate::{Hook, Limits, OnFailure};

/// One hook's declaration, in the file of the hook.
pub(crate) struct Spec {
    pub(crate) hook: Hook,
    /// The limit of the guest's own time in one call that shows it no text.
    pub(crate) deadline_ms: fn(&Limits) -> u64,
    /// What a call meets when a policy fails in it and the operator has said nothing.
    pub(crate) on_failure: OnFailure,
    /// Whether calls must not pass unexamined because the host has no room or no time for a policy:
    /// they end then, also where the failure mode is to skip.
    pub(crate) guards: bool,
}

impl Spec {
    /// The guest's own time in one call that shows it `text_bytes` of text.
    pub(crate) fn deadline(&self, limits: &Limits, text_bytes: usize) -> Duration {
        let text = limits.deadline_per_mib_ms.saturating_mul(text_bytes as u64) / MIB;
        Duration::from_millis((self.deadline_ms)(limits).saturating_add(text))
    }
}
