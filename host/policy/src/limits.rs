//! What a policy may use. Every limit has a default, a bound and a unit.

use std::{ops::RangeInclusive, time::Duration};

use crate::{Hook, PolicyError};

/// Limits of every policy. Checked by [`Limits::check`] when the registry opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one instance, in bytes. Default 64 MiB; 1 MiB to 1 GiB.
    pub memory_bytes: u64,
    /// Table elements of one instance. Default 100 000; 1 000 to 10 million.
    pub table_elements: u64,
    /// Instances that live at once; a call waits for room for half of its deadline. A `post`
    /// policy keeps one for the life of a reply. Default 256; 1 to 4096.
    pub instances: u64,
    /// Wall clock of one `pre` call, in milliseconds. Default 1000; 1 to 60 000.
    pub pre_deadline_ms: u64,
    /// Wall clock of one `route` call, in milliseconds. Default 500; 1 to 60 000.
    pub route_deadline_ms: u64,
    /// Wall clock of one `post` call, in milliseconds. Default 500; 1 to 60 000.
    pub post_deadline_ms: u64,
    /// What a hook may answer with, in bytes: edits and answer of `pre`; reason, ids and tags of
    /// `route`; text of `post` beyond its window. Default 256 KiB; 1 KiB to 16 MiB. The texts of a
    /// call's own messages may be set again at any length they had.
    pub output_bytes: u64,
    /// Text a `post` policy may hold back, in bytes. Default 4 KiB; 0 to 1 MiB.
    pub held_bytes: u64,
    /// How long it may hold back a piece of text, in milliseconds. Default 10 000; 1 to 600 000.
    pub held_ms: u64,
    /// Log lines of one call; the rest is dropped. Default 64; 0 to 10 000.
    pub log_lines: u64,
    /// Size of an uploaded component, in bytes. Default 16 MiB; 1 KiB to 256 MiB.
    pub upload_bytes: u64,
    /// Uploads that may wait to be compiled. Default 4; 1 to 64.
    pub upload_queue: u64,
    /// Revisions kept of one policy; the oldest that nothing needs goes. Default 16; 2 to 1000.
    pub revisions: u64,
    /// Policies in the registry. Default 64; 1 to 1000.
    pub policies: u64,
    /// Activations remembered. Default 256; 1 to 100 000.
    pub history: u64,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 * MIB,
            table_elements: 100_000,
            instances: 256,
            pre_deadline_ms: 1000,
            route_deadline_ms: 500,
            post_deadline_ms: 500,
            output_bytes: 256 * KIB,
            held_bytes: 4 * KIB,
            held_ms: 10_000,
            log_lines: 64,
            upload_bytes: 16 * MIB,
            upload_queue: 4,
            revisions: 16,
            policies: 64,
            history: 256,
        }
    }
}

impl Limits {
    /// Every limit: name (its unit is the last word), value, bounds.
    pub fn table(&self) -> [(&'static str, u64, RangeInclusive<u64>); 15] {
        [
            ("memory_bytes", self.memory_bytes, MIB..=1024 * MIB),
            ("table_elements", self.table_elements, 1000..=10_000_000),
            ("instances", self.instances, 1..=4096),
            ("pre_deadline_ms", self.pre_deadline_ms, 1..=60_000),
            ("route_deadline_ms", self.route_deadline_ms, 1..=60_000),
            ("post_deadline_ms", self.post_deadline_ms, 1..=60_000),
            ("output_bytes", self.output_bytes, KIB..=16 * MIB),
            ("held_bytes", self.held_bytes, 0..=MIB),
            ("held_ms", self.held_ms, 1..=600_000),
            ("log_lines", self.log_lines, 0..=10_000),
            ("upload_bytes", self.upload_bytes, KIB..=256 * MIB),
            ("upload_queue", self.upload_queue, 1..=64),
            ("revisions", self.revisions, 2..=1000),
            ("policies", self.policies, 1..=1000),
            ("history", self.history, 1..=100_000),
        ]
    }

    /// Refuses a value out of bounds, by its name.
    pub fn check(&self) -> Result<(), PolicyError> {
        for (name, value, bounds) in self.table() {
            if !bounds.contains(&value) {
                let (low, high) = (bounds.start(), bounds.end());
                let message = format!("policy limit {name} is {value}; it must be {low} to {high}");
                return Err(PolicyError::InvalidSettings { message });
            }
        }
        Ok(())
    }

    /// Wall clock that one call of `hook` may take.
    pub fn deadline(&self, hook: Hook) -> Duration {
        Duration::from_millis(match hook {
            Hook::Pre => self.pre_deadline_ms,
            Hook::Route => self.route_deadline_ms,
            Hook::Post => self.post_deadline_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_within_bounds() {
        Limits::default().check().unwrap();
    }

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let limits = Limits { held_ms: 0, ..Limits::default() };
        let told = limits.check().unwrap_err().to_string();
        assert_eq!(told, "policy limit held_ms is 0; it must be 1 to 600000");
    }
}
