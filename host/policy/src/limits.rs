//! What a policy may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_confine::{GIB, KIB, Limit, MIB, TIB, limits};

/// Guest memory per byte of the largest body: its text once in the guest, once more as the answer,
/// twice that while the answer grows, and as much again for languages that store text wider.
const MEMORY_PER_BODY: u64 = 8;
/// `post` policies that every call in flight may have at once.
const SESSIONS_PER_CALL: u64 = 4;
/// The server's default of `limits.body_bytes_max`.
const BODY_BYTES: u64 = 16 * MIB;
/// The server's default of `limits.in_flight_max`.
const IN_FLIGHT: u64 = 256;

/// Limits beside those of uploads that something was made by when the registry opened.
const FIXED_AT_START: [&str; 12] = [
    "workers",
    "memory_bytes",
    "memory_total_bytes",
    "table_elements",
    "instances",
    "sessions",
    "shadow_calls",
    "code_cache_bytes",
    "bucket_bytes",
    "bucket_entries",
    "feedback_queue",
    "feedback_bytes",
];

limits! {
    /// Limits of every policy, checked when the registry opens.
    #[derive(Serialize, Deserialize)]
    pub struct Limits: "policies.limits.", "policy_" {
        /// Guests that run at the same time, each on a thread of its own; policies take turns. The
        /// host sets a quarter of its cores.
        workers: u64 = 1, 1..=256, "threads";
        /// Memory of one instance; where `limits.body_bytes_max` is raised, eight times that.
        memory_bytes: u64 = MEMORY_PER_BODY * BODY_BYTES, MIB..=2 * GIB, "bytes";
        /// Memory of all instances together, and of texts whose tokens are counted for them; at
        /// least twice that of one instance. Beyond it calls get 503.
        memory_total_bytes: u64 = GIB, 64 * MIB..=TIB, "bytes";
        /// Table elements of one instance.
        table_elements: u64 = 100_000, 1000..=10_000_000, "elements";
        /// Instances of `pre` and `route` that live at once; as many as `limits.in_flight_max`
        /// where that is set.
        instances: u64 = IN_FLIGHT, 1..=65_536, "instances";
        /// Instances of `post` that live at once, one per `post` policy and reply; four times
        /// `limits.in_flight_max` where that is set. A call that can't have all of its own gets 503
        /// before anything is generated.
        sessions: u64 = SESSIONS_PER_CALL * IN_FLIGHT, 1..=65_536, "instances";
        /// The guest's own time in one `pre` call.
        pre_deadline_ms: u64 = 1000, 1..=60_000, "milliseconds";
        /// The guest's own time in one `route` call.
        route_deadline_ms: u64 = 500, 1..=60_000, "milliseconds";
        /// The guest's own time in one `post` call.
        post_deadline_ms: u64 = 500, 1..=60_000, "milliseconds";
        /// The guest's own time in one call of `feedback`, which tells a router what came of a decision.
        feedback_deadline_ms: u64 = 500, 1..=60_000, "milliseconds";
        /// What every MiB of text that a hook is shown adds to its deadline.
        deadline_per_mib_ms: u64 = 500, 0..=60_000, "milliseconds";
        /// Wall clock of one call of a hook with all that the host adds to it: waiting for a turn,
        /// for room, for tokens to be counted. Beyond it the call gets 503 and the policy is not
        /// blamed.
        host_wait_ms: u64 = 60_000, 100..=600_000, "milliseconds";
        /// Calls that revisions in shadow work on at once, aside; more are dropped and counted. They have
        /// a quarter of `policies.limits.memory_total_bytes` beside it.
        shadow_calls: u64 = 4, 1..=256, "calls";
        /// Calls that must have been compared before `min_agreement` can be reached.
        agreement_calls: u64 = 100, 1..=1_000_000, "calls";
        /// What a hook may answer with beyond the length of the texts it was shown and a quarter of
        /// it: edits and answer of `pre`; reason, ids and tags of `route`; text of `post`.
        output_bytes: u64 = 256 * KIB, KIB..=16 * MIB, "bytes";
        /// Text a `post` policy may hold back.
        held_bytes: u64 = 4 * KIB, 0..=MIB, "bytes";
        /// How long a `post` policy may hold back a piece of text while there is more to show it:
        /// an expert's silence counts up to 1 s per piece, a client that reads slowly not at all.
        held_ms: u64 = 10_000, 1..=600_000, "milliseconds";
        /// Keys and values that a policy may keep from one call to the next, together; in memory, and on disk.
        bucket_bytes: u64 = 4 * MIB, 0..=256 * MIB, "bytes";
        /// Keys that a policy may keep.
        bucket_entries: u64 = 10_000, 0..=1_000_000, "entries";
        /// Outcomes of calls that wait to be told to the routers that decided them; more are dropped and counted.
        feedback_queue: u64 = 1024, 1..=65_536, "outcomes";
        /// Texts of these calls.
        feedback_bytes: u64 = 16 * MIB, MIB..=GIB, "bytes";
        /// Requests over `wasi:http` that a policy may send in one call of a hook.
        http_requests: u64 = 8, 0..=1000, "requests";
        /// Body of one of these requests.
        http_request_bytes: u64 = 256 * KIB, KIB..=64 * MIB, "bytes";
        /// Body of the answer to one of them.
        http_response_bytes: u64 = MIB, KIB..=64 * MIB, "bytes";
        /// Wall clock that the requests of one call of a hook have together, from the first on. It is the host's time, not the
        /// guest's own, and at most half of `policies.limits.host_wait_ms`.
        http_ms: u64 = 5000, 1..=60_000, "milliseconds";
        /// Questions that a policy may ask experts about one call, with `inference` and `decide` together; in `post`,
        /// about one reply.
        inference_calls: u64 = 4, 0..=1000, "calls";
        /// Tokens that experts may spend on these, of prompts and answers together.
        inference_tokens: u64 = 4096, 0..=1_000_000, "tokens";
        /// How long a policy may wait for experts about one call, vectors included; it is not its own time.
        inference_ms: u64 = 10_000, 0..=600_000, "milliseconds";
        /// Texts that a policy may have vectors of about one call.
        embedding_texts: u64 = 256, 0..=2048, "texts";
        /// Bytes of these.
        embedding_bytes: u64 = 256 * KIB, 0..=16 * MIB, "bytes";
        /// Tokens of one of them that are read.
        embedding_tokens: u64 = 256, 2..=65_536, "tokens";
        /// Log lines of one call; the rest is dropped.
        log_lines: u64 = 64, 0..=10_000, "lines";
        /// Size of an uploaded component; one in Python has 18 MiB.
        upload_bytes: u64 = 24 * MIB, KIB..=256 * MIB, "bytes";
        /// Uploads that may wait to be compiled.
        upload_queue: u64 = 4, 1..=64, "uploads";
        /// Memory of the process that compiles a component.
        compile_memory_bytes: u64 = GIB, 256 * MIB..=64 * GIB, "bytes";
        /// Processor time that compiling a component may take.
        compile_cpu_s: u64 = 60, 1..=3600, "seconds";
        /// Wall clock that compiling a component may take: a busy host gives little processor time.
        compile_wall_s: u64 = 600, 1..=7200, "seconds";
        /// Machine code of one component.
        compiled_bytes: u64 = 128 * MIB, MIB..=2 * GIB, "bytes";
        /// Machine code kept on disk, so that it is not compiled again; 0 keeps none.
        code_cache_bytes: u64 = GIB, 0..=TIB, "bytes";
        /// Functions of an uploaded component.
        upload_functions: u64 = 100_000, 100..=1_000_000, "functions";
        /// Size of one of its functions.
        upload_function_bytes: u64 = 512 * KIB, KIB..=7 * MIB, "bytes";
        /// Locals and parameters of one of its functions.
        upload_function_locals: u64 = 5000, 100..=50_000, "locals";
        /// Values that may have to be merged in one of its functions: its locals times its blocks
        /// and branches. Compiling takes memory and time in proportion. A JavaScript engine has 530
        /// 000.
        upload_function_merges: u64 = 4_000_000, 10_000..=1_000_000_000, "values";
        /// The same over all its functions together. A JavaScript engine has 9 million.
        upload_merges: u64 = 100_000_000, 10_000..=100_000_000_000, "values";
        /// Parameters and results of one function type or block.
        upload_signature_values: u64 = 256, 16..=2000, "values";
        /// Types, core and component, at all levels.
        upload_types: u64 = 50_000, 100..=1_000_000, "types";
        /// Data and element segments.
        upload_segments: u64 = 100_000, 100..=1_000_000, "segments";
        /// Modules, components, instances and aliases, at all levels.
        upload_parts: u64 = 50_000, 100..=1_000_000, "parts";
        /// Components within components.
        upload_depth: u64 = 8, 1..=100, "levels";
        /// Imports and exports, at all levels.
        upload_names: u64 = 50_000, 100..=1_000_000, "names";
        /// Length of the name of an import or an export; C++ names are long.
        upload_name_bytes: u64 = 4096, 64..=100_000, "bytes";
        /// Custom sections, at all levels.
        upload_custom_sections: u64 = 1000, 10..=100_000, "sections";
        /// Revisions kept of one policy; the oldest that nothing needs goes.
        revisions: u64 = 16, 2..=1000, "revisions";
        /// Policies in the registry.
        policies: u64 = 64, 1..=1000, "policies";
        /// Activations remembered.
        history: u64 = 256, 1..=100_000, "activations";
    }
}

impl Limits {
    /// The defaults on a host that answers `in_flight` calls at once, of bodies of at most
    /// `body_bytes`.
    pub fn sized_for(in_flight: u64, body_bytes: u64) -> Limits {
        let limits = Limits::default();
        let memory_bytes = (MEMORY_PER_BODY * body_bytes).clamp(limits.memory_bytes, 2 * GIB);
        Limits {
            instances: in_flight.clamp(1, 65_536),
            sessions: (SESSIONS_PER_CALL * in_flight).clamp(1, 65_536),
            memory_bytes,
            memory_total_bytes: limits.memory_total_bytes.max(2 * memory_bytes),
            ..limits
        }
    }

    /// Whether a limit holds as it was set when the registry opened: threads, memory and queues were made by it then,
    /// and what is in the code cache was judged by it.
    pub fn is_fixed(limit: &Limit) -> bool {
        limit.word().is_none_or(|word| {
            let of_uploads = word.starts_with("upload_") || word == "compiled_bytes";
            of_uploads || FIXED_AT_START.contains(&word)
        })
    }

    /// Wall clock of one call of a hook, all waiting included.
    pub(crate) fn host_wait(&self) -> Duration {
        Duration::from_millis(self.host_wait_ms)
    }

    /// Wall clock of all requests of one call of a hook. A policy that asks slow hosts must not look like a busy host.
    pub(crate) fn http_time(&self) -> Duration {
        Duration::from_millis(self.http_ms.min(self.host_wait_ms / 2))
    }

    /// Bytes that a hook which is shown `text_bytes` may answer with beyond those.
    pub(crate) fn answer_bytes(&self, text_bytes: usize) -> u64 {
        let longer = text_bytes as u64 / 4 / KIB * KIB; // a round number, since people read it
        self.output_bytes.saturating_add(longer)
    }
}

#[cfg(test)]
mod tests {
    use signalbox_confine::Bounded;

    use super::*;

    #[test]
    fn defaults_are_within_bounds() {
        Limits::default().check().unwrap();
    }

    #[test]
    fn every_limit_is_set_by_its_place_and_none_stands_for_another() {
        let mut limits = Limits::default();
        let values: Vec<u64> = (0..Limits::ALL.len() as u64).collect();
        for (index, value) in values.iter().enumerate() {
            limits.set(index, *value);
        }
        limits.set(values.len(), 7);
        assert_eq!(limits.values(), values);
    }

    #[test]
    fn defaults_are_sized_for_the_host() {
        assert_eq!(Limits::sized_for(IN_FLIGHT, BODY_BYTES), Limits::default());
        let limits = Limits::sized_for(1_000_000, 256 * MIB);
        limits.check().unwrap();
        assert_eq!((limits.instances, limits.memory_bytes), (65_536, 2 * GIB));
        Limits::sized_for(1, 1024).check().unwrap();
    }

    #[test]
    fn what_is_fixed_at_the_start_is_a_limit() {
        let words: Vec<_> = Limits::ALL.iter().filter_map(Limit::word).collect();
        assert!(FIXED_AT_START.iter().all(|fixed| words.contains(fixed)));
        let live: Vec<_> = Limits::ALL.iter().filter(|limit| !Limits::is_fixed(limit)).collect();
        assert!(live.iter().any(|limit| limit.word() == Some("held_bytes")), "{live:?}");
    }

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let limits = Limits { held_ms: 0, ..Limits::default() };
        let message = limits.check().unwrap_err().to_string();
        assert_eq!(message, "policies.limits.held_ms is 0 milliseconds; it must be 1 to 600000");
    }
}
