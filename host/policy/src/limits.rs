//! What a policy may use. Every limit has a default, a bound and a unit.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Hook, PolicyError};

/// Limits of every policy. Checked by [`Limits::check`] when the registry opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Guests that run at the same time, each on a thread of its own. Default 1; 1 to 256. The host
    /// sets a quarter of its cores.
    pub workers: u64,
    /// Memory of one instance, in bytes. Default 128 MiB, eight times the largest body; 1 MiB to
    /// 2 GiB.
    pub memory_bytes: u64,
    /// Memory of all instances together, and of texts whose tokens are counted for them, in bytes.
    /// A call beyond it fails on the host's account. Default 1 GiB; 64 MiB to 1 TiB.
    pub memory_total_bytes: u64,
    /// Table elements of one instance. Default 100 000; 1 000 to 10 million.
    pub table_elements: u64,
    /// Instances of `pre` and `route` that live at once. Default 256, as many as calls in flight;
    /// 1 to 65 536.
    pub instances: u64,
    /// Instances of `post` that live at once; each `post` policy keeps one for the life of a reply,
    /// and a call that can't have all of its own is turned away before it begins. Default 1024,
    /// four policies for every call in flight; 1 to 65 536.
    pub sessions: u64,
    /// The guest's own time in one `pre` call, in milliseconds. Default 1000; 1 to 60 000.
    pub pre_deadline_ms: u64,
    /// The guest's own time in one `route` call, in milliseconds. Default 500; 1 to 60 000.
    pub route_deadline_ms: u64,
    /// The guest's own time in one `post` call, in milliseconds. Default 500; 1 to 60 000.
    pub post_deadline_ms: u64,
    /// What every MiB of text that a hook is shown adds to its deadline, in milliseconds. Default
    /// 500; 0 to 60 000.
    pub deadline_per_mib_ms: u64,
    /// Wall clock of one call of a hook with everything that the host adds to it, in milliseconds:
    /// waiting for a turn, for room, for tokens to be counted. Beyond it the call fails on the
    /// host's account. Default 60 000; 100 to 600 000.
    pub host_wait_ms: u64,
    /// What a hook may answer with, in bytes: edits and answer of `pre`; reason, ids and tags of
    /// `route`; text of `post` beyond its window. Default 256 KiB; 1 KiB to 16 MiB. The texts of a
    /// call's own messages may be set again at any length they had, and a quarter longer.
    pub output_bytes: u64,
    /// Text a `post` policy may hold back, in bytes. Default 4 KiB; 0 to 1 MiB.
    pub held_bytes: u64,
    /// How long it may hold back a piece of text, in milliseconds, while there is more to show it:
    /// neither an expert's silence nor a client that reads slowly counts. Default 10 000; 1 to
    /// 600 000.
    pub held_ms: u64,
    /// Log lines of one call; the rest is dropped. Default 64; 0 to 10 000.
    pub log_lines: u64,
    /// Size of an uploaded component, in bytes. Default 16 MiB; 1 KiB to 256 MiB.
    pub upload_bytes: u64,
    /// Uploads that may wait to be compiled. Default 4; 1 to 64.
    pub upload_queue: u64,
    /// Memory of the process that compiles a component, in bytes. Default 1 GiB; 256 MiB to 64 GiB.
    pub compile_memory_bytes: u64,
    /// Processor time that compiling a component may take, in seconds. Default 60; 1 to 3600.
    pub compile_cpu_s: u64,
    /// Wall clock that compiling a component may take, in seconds: a busy host gives little
    /// processor time. Default 600; 1 to 7200.
    pub compile_wall_s: u64,
    /// Machine code of one component, in bytes. Default 128 MiB; 1 MiB to 2 GiB.
    pub compiled_bytes: u64,
    /// Machine code kept on disk, in bytes, so that it is not compiled again. Default 1 GiB; 0
    /// keeps none; to 1 TiB.
    pub code_cache_bytes: u64,
    /// Functions of an uploaded component. Default 100 000; 100 to 1 million.
    pub upload_functions: u64,
    /// Size of one of its functions, in bytes. Default 512 KiB; 1 KiB to 7 MiB.
    pub upload_function_bytes: u64,
    /// Locals and parameters of one of its functions. Default 5000; 100 to 50 000.
    pub upload_function_locals: u64,
    /// Values that may have to be merged in one of its functions: its locals times its blocks and
    /// branches. Compiling takes memory and time in proportion. A JavaScript engine has 530 000.
    /// Default 4 million; 10 000 to 1 billion.
    pub upload_function_merges: u64,
    /// The same over all its functions together. A JavaScript engine has 9 million. Default 100
    /// million; 10 000 to 100 billion.
    pub upload_merges: u64,
    /// Parameters and results of one function type or block. Default 256; 16 to 2000.
    pub upload_signature_values: u64,
    /// Types, core and component, at all levels. Default 50 000; 100 to 1 million.
    pub upload_types: u64,
    /// Data and element segments. Default 100 000; 100 to 1 million.
    pub upload_segments: u64,
    /// Modules, components, instances and aliases, at all levels. Default 50 000; 100 to 1 million.
    pub upload_parts: u64,
    /// Components within components. Default 8; 1 to 100.
    pub upload_depth: u64,
    /// Imports and exports, at all levels. Default 50 000; 100 to 1 million.
    pub upload_names: u64,
    /// Length of the name of an import or an export, in bytes. Default 4096; 64 to 100 000: C++
    /// names are long.
    pub upload_name_bytes: u64,
    /// Custom sections, at all levels. Default 1000; 10 to 100 000.
    pub upload_custom_sections: u64,
    /// Revisions kept of one policy; the oldest that nothing needs goes. Default 16; 2 to 1000.
    pub revisions: u64,
    /// Policies in the registry. Default 64; 1 to 1000.
    pub policies: u64,
    /// Activations remembered. Default 256; 1 to 100 000.
    pub history: u64,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Guest memory per byte of the largest body: its text once in the guest, once more as the answer,
/// twice that while the answer grows, and as much again for languages that store text wider.
const MEMORY_PER_BODY: u64 = 8;
/// `post` policies that every call in flight may have at once.
const SESSIONS_PER_CALL: u64 = 4;
/// The server's default of `body_bytes_max`.
const BODY_BYTES: u64 = 16 * MIB;
/// The server's default of `in_flight_max`.
const IN_FLIGHT: u64 = 256;

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 1,
            memory_bytes: MEMORY_PER_BODY * BODY_BYTES,
            memory_total_bytes: 1024 * MIB,
            table_elements: 100_000,
            instances: IN_FLIGHT,
            sessions: SESSIONS_PER_CALL * IN_FLIGHT,
            pre_deadline_ms: 1000,
            route_deadline_ms: 500,
            post_deadline_ms: 500,
            deadline_per_mib_ms: 500,
            host_wait_ms: 60_000,
            output_bytes: 256 * KIB,
            held_bytes: 4 * KIB,
            held_ms: 10_000,
            log_lines: 64,
            upload_bytes: 16 * MIB,
            upload_queue: 4,
            compile_memory_bytes: 1024 * MIB,
            compile_cpu_s: 60,
            compile_wall_s: 600,
            compiled_bytes: 128 * MIB,
            code_cache_bytes: 1024 * MIB,
            upload_functions: 100_000,
            upload_function_bytes: 512 * KIB,
            upload_function_locals: 5000,
            upload_function_merges: 4_000_000,
            upload_merges: 100_000_000,
            upload_signature_values: 256,
            upload_types: 50_000,
            upload_segments: 100_000,
            upload_parts: 50_000,
            upload_depth: 8,
            upload_names: 50_000,
            upload_name_bytes: 4096,
            upload_custom_sections: 1000,
            revisions: 16,
            policies: 64,
            history: 256,
        }
    }
}

/// One limit: its name, whose last word is its unit, where it is kept, and its bounds.
struct Rule {
    name: &'static str,
    field: fn(&mut Limits) -> &mut u64,
    bounds: RangeInclusive<u64>,
}

const fn rule(
    name: &'static str,
    field: fn(&mut Limits) -> &mut u64,
    bounds: RangeInclusive<u64>,
) -> Rule {
    Rule { name, field, bounds }
}

const RULES: &[Rule] = &[
    rule("workers", |l| &mut l.workers, 1..=256),
    rule("memory_bytes", |l| &mut l.memory_bytes, MIB..=2048 * MIB),
    rule("memory_total_bytes", |l| &mut l.memory_total_bytes, 64 * MIB..=MIB * MIB),
    rule("table_elements", |l| &mut l.table_elements, 1000..=10_000_000),
    rule("instances", |l| &mut l.instances, 1..=65_536),
    rule("sessions", |l| &mut l.sessions, 1..=65_536),
    rule("pre_deadline_ms", |l| &mut l.pre_deadline_ms, 1..=60_000),
    rule("route_deadline_ms", |l| &mut l.route_deadline_ms, 1..=60_000),
    rule("post_deadline_ms", |l| &mut l.post_deadline_ms, 1..=60_000),
    rule("deadline_per_mib_ms", |l| &mut l.deadline_per_mib_ms, 0..=60_000),
    rule("host_wait_ms", |l| &mut l.host_wait_ms, 100..=600_000),
    rule("output_bytes", |l| &mut l.output_bytes, KIB..=16 * MIB),
    rule("held_bytes", |l| &mut l.held_bytes, 0..=MIB),
    rule("held_ms", |l| &mut l.held_ms, 1..=600_000),
    rule("log_lines", |l| &mut l.log_lines, 0..=10_000),
    rule("upload_bytes", |l| &mut l.upload_bytes, KIB..=256 * MIB),
    rule("upload_queue", |l| &mut l.upload_queue, 1..=64),
    rule("compile_memory_bytes", |l| &mut l.compile_memory_bytes, 256 * MIB..=64 * 1024 * MIB),
    rule("compile_cpu_s", |l| &mut l.compile_cpu_s, 1..=3600),
    rule("compile_wall_s", |l| &mut l.compile_wall_s, 1..=7200),
    rule("compiled_bytes", |l| &mut l.compiled_bytes, MIB..=2048 * MIB),
    rule("code_cache_bytes", |l| &mut l.code_cache_bytes, 0..=MIB * MIB),
    rule("upload_functions", |l| &mut l.upload_functions, 100..=1_000_000),
    rule("upload_function_bytes", |l| &mut l.upload_function_bytes, KIB..=7 * MIB),
    rule("upload_function_locals", |l| &mut l.upload_function_locals, 100..=50_000),
    rule("upload_function_merges", |l| &mut l.upload_function_merges, 10_000..=1_000_000_000),
    rule("upload_merges", |l| &mut l.upload_merges, 10_000..=100_000_000_000),
    rule("upload_signature_values", |l| &mut l.upload_signature_values, 16..=2000),
    rule("upload_types", |l| &mut l.upload_types, 100..=1_000_000),
    rule("upload_segments", |l| &mut l.upload_segments, 100..=1_000_000),
    rule("upload_parts", |l| &mut l.upload_parts, 100..=1_000_000),
    rule("upload_depth", |l| &mut l.upload_depth, 1..=100),
    rule("upload_names", |l| &mut l.upload_names, 100..=1_000_000),
    rule("upload_name_bytes", |l| &mut l.upload_name_bytes, 64..=100_000),
    rule("upload_custom_sections", |l| &mut l.upload_custom_sections, 10..=100_000),
    rule("revisions", |l| &mut l.revisions, 2..=1000),
    rule("policies", |l| &mut l.policies, 1..=1000),
    rule("history", |l| &mut l.history, 1..=100_000),
];

impl Limits {
    /// The defaults on a host that answers `in_flight` calls at once, of bodies of at most
    /// `body_bytes`.
    pub fn sized_for(in_flight: u64, body_bytes: u64) -> Limits {
        let limits = Limits::default();
        let memory_bytes = (MEMORY_PER_BODY * body_bytes).clamp(limits.memory_bytes, 2048 * MIB);
        Limits {
            instances: in_flight.clamp(1, 65_536),
            sessions: (SESSIONS_PER_CALL * in_flight).clamp(1, 65_536),
            memory_bytes,
            memory_total_bytes: limits.memory_total_bytes.max(2 * memory_bytes),
            ..limits
        }
    }

    /// Every limit: name (its unit is the last word), value, bounds.
    pub fn table(&self) -> Vec<(&'static str, u64, RangeInclusive<u64>)> {
        let mut limits = self.clone();
        RULES
            .iter()
            .map(|rule| (rule.name, *(rule.field)(&mut limits), rule.bounds.clone()))
            .collect()
    }

    /// The limit of this name, to be set.
    pub fn field(&mut self, name: &str) -> Option<&mut u64> {
        RULES.iter().find(|rule| rule.name == name).map(|rule| (rule.field)(self))
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

    /// The guest's own time in one call of `hook` that is shown `text_bytes` of text.
    pub fn deadline(&self, hook: Hook, text_bytes: usize) -> Duration {
        let base = match hook {
            Hook::Pre => self.pre_deadline_ms,
            Hook::Route => self.route_deadline_ms,
            Hook::Post => self.post_deadline_ms,
        };
        let text = self.deadline_per_mib_ms.saturating_mul(text_bytes as u64) / MIB;
        Duration::from_millis(base.saturating_add(text))
    }

    /// Wall clock of one call of a hook, all waiting included.
    pub(crate) fn host_wait(&self) -> Duration {
        Duration::from_millis(self.host_wait_ms)
    }

    /// Bytes that a hook which is shown `text_bytes` may answer with beyond those.
    pub(crate) fn answer_bytes(&self, text_bytes: usize) -> u64 {
        let longer = text_bytes as u64 / 4 / KIB * KIB; // a round number, since people read it
        self.output_bytes.saturating_add(longer)
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
    fn every_limit_is_set_by_its_name_and_none_stands_for_another() {
        let mut limits = Limits::default();
        let names: Vec<_> = limits.table().into_iter().map(|(name, ..)| name).collect();
        for (value, name) in (0..).zip(&names) {
            *limits.field(name).unwrap() = value;
        }
        let values: Vec<_> = limits.table().into_iter().map(|(_, value, _)| value).collect();
        assert_eq!(values, (0..names.len() as u64).collect::<Vec<_>>());
        assert_eq!(limits.field("no_such_limit"), None);
    }

    #[test]
    fn deadlines_grow_with_the_text() {
        let limits = Limits::default();
        let check = |hook, bytes, ms| {
            assert_eq!(limits.deadline(hook, bytes), Duration::from_millis(ms));
        };
        check(Hook::Route, 0, 500);
        check(Hook::Pre, 1000, 1000);
        check(Hook::Pre, 16 << 20, 9000);
    }

    #[test]
    fn defaults_are_sized_for_the_host() {
        assert_eq!(Limits::sized_for(IN_FLIGHT, BODY_BYTES), Limits::default());
        let limits = Limits::sized_for(1_000_000, 256 * MIB);
        limits.check().unwrap();
        assert_eq!((limits.instances, limits.memory_bytes), (65_536, 2048 * MIB));
        Limits::sized_for(1, 1024).check().unwrap();
    }

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let limits = Limits { held_ms: 0, ..Limits::default() };
        let told = limits.check().unwrap_err().to_string();
        assert_eq!(told, "policy limit held_ms is 0; it must be 1 to 600000");
    }
}
