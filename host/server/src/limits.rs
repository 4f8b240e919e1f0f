//! What bounds serving: what an operator may set, and what is fixed.

use std::time::Duration;

use signalbox_confine::{GIB, KIB, Limit, MIB, TIB, fixed, limits};
use signalbox_engine::IMAGES_MAX;

limits! {
    /// What bounds serving.
    pub struct ServerLimits: "limits.", "" {
        /// Largest JSON body of a client, images as base64 in it.
        body_bytes_max: usize = 16 * MIB, KIB..=256 * MIB, "bytes";
        /// Bodies that all clients' connections hold together while they arrive and are read, and
        /// texts of calls until they end; 8/7 of `limits.body_bytes_max` or more. When it is full,
        /// the slowest sender gets 408 to make room, and then newcomers 503; an eighth is left to
        /// bodies of up to 64 KiB.
        body_memory_bytes_max: u64 = 256 * MIB, MIB..=TIB, "bytes";
        /// The same for what operators send; 8/7 of `policies.limits.upload_bytes` or more.
        upload_memory_bytes_max: u64 = 64 * MIB, MIB..=TIB, "bytes";
        /// Calls answered at once, waiting ones included; more get 429.
        in_flight_max: usize = 256, 1..=65_536, "calls";
        /// Open connections per listener; more wait to be accepted.
        connections_max: usize = 1024, 1..=65_536, "connections";
        /// Time to send a request's head, idle time before it included.
        header_read_s: u64 = 30, 1..=3600, "seconds";
        /// Time to send a request's body.
        body_read_s: u64 = 30, 1..=3600, "seconds";
        /// A body of which nothing arrives for so long is dropped.
        body_stall_s: u64 = 10, 1..=3600, "seconds";
        /// A client that reads nothing for so long is dropped.
        write_stall_s: u64 = 60, 1..=3600, "seconds";
        /// Longest silence of a reply: until its first text, loading included, and between two texts.
        answer_s: u64 = 600, 1..=86_400, "seconds";
        /// At shutdown, time for running replies to finish.
        drain_s: u64 = 30, 0..=3600, "seconds";
        /// Tokens generated when the client sets no bound.
        max_tokens_default: u32 = 2048, 1..=MIB, "tokens";
        /// Most tokens a client or a policy may ask for.
        max_tokens_max: u32 = 32_768, 1..=MIB, "tokens";
        /// Members of one consensus; more is the router's failure.
        consensus_members_max: usize = 5, 2..=16, "experts";
        /// Tokens of each member's answer in a consensus.
        consensus_tokens_max: u32 = 512, 1..=65_536, "tokens";
        /// What experts said to policies that ask them, vectors of texts and weights of labels, kept for who asks the
        /// same again; what was not used for longest gives way.
        ask_cache_bytes_max: usize = 32 * MIB, 0..=16 * GIB, "bytes";
        /// Decisions remembered for `GET /decisions`.
        decisions_kept: usize = 1000, 1..=100_000, "decisions";
        /// Memory of these; the oldest give way.
        decisions_bytes_max: usize = 16 * MIB, 64 * KIB..=GIB, "bytes";
        /// Decisions of routers that learn, with what their calls said, kept after the calls have ended, so that a rating
        /// that comes later reaches the router; the oldest give way.
        ratable_bytes_max: usize = 16 * MIB, 0..=GIB, "bytes";
        /// Responses of `/v1/responses` that are kept for those that follow them.
        responses_kept: usize = 1000, 1..=100_000, "responses";
        /// Memory of these, each with its conversation; the oldest give way.
        responses_bytes_max: usize = 64 * MIB, 64 * KIB..=16 * GIB, "bytes";
    }
}

/// Limits that something was made by at the start.
const FIXED_AT_START: [&str; 10] = [
    "body_memory_bytes_max",
    "upload_memory_bytes_max",
    "connections_max",
    "header_read_s",
    "write_stall_s",
    "decisions_kept",
    "decisions_bytes_max",
    "ratable_bytes_max",
    "responses_kept",
    "responses_bytes_max",
];

impl ServerLimits {
    /// Whether a limit holds as it was set at the start: budgets, listeners and rings were made by it then.
    pub fn is_fixed(limit: &Limit) -> bool {
        limit.word().is_none_or(|word| FIXED_AT_START.contains(&word))
    }

    /// Time to send a request's head.
    pub(crate) fn header_read(&self) -> Duration {
        Duration::from_secs(self.header_read_s)
    }

    /// How long a client may read nothing.
    pub(crate) fn write_stall(&self) -> Duration {
        Duration::from_secs(self.write_stall_s)
    }

    /// Longest time of a reply.
    pub(crate) fn answer(&self) -> Duration {
        Duration::from_secs(self.answer_s)
    }

    /// Time to finish at shutdown.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }
}

limits! {
    /// What bounds the decision log's files.
    pub struct DecisionLogLimits: "decision_log.", "decision_log_" {
        /// Files that decisions are written down in, so that they survive a restart; the oldest eighth
        /// gives way. 0 writes none.
        bytes_max: u64 = 64 * MIB, 0..=TIB, "bytes";
        /// Texts of one call, where `decision_log.text` is `full`; of a call with more, none is written
        /// down. A line takes an eighth of the files at most.
        text_bytes_max: usize = 64 * KIB, KIB..=16 * MIB, "bytes";
    }
}

limits! {
    /// What bounds images that come with calls.
    pub struct ImagesLimits: "images.", "image_" {
        /// One image, as a file; base64 takes a third more, and `limits.body_bytes_max` must hold it.
        bytes_max: usize = 8 * MIB, KIB..=256 * MIB, "bytes";
        /// Width times height of one image, known from the file's header before memory is taken.
        pixels_max: u64 = 16 * MIB, 1..=256 * MIB, "pixels";
        /// Images in one call.
        per_call_max: usize = 8, 1..=IMAGES_MAX as u64, "images";
        /// Decoded images that all calls hold together before their first token; more get 429.
        memory_bytes_max: u64 = GIB, MIB..=TIB, "bytes";
        /// Images fetched at once; more wait, as calls that are in flight.
        fetches_max: usize = 8, 1..=64, "fetches";
        /// Time to fetch one image, from the look-up of its host to the last byte; `limits.answer_s`
        /// holds for all of them.
        fetch_s: u64 = 10, 1..=60, "seconds";
    }
}

fixed! {
    /// What is the same for everybody.
    pub(crate) const FIXED {
        /// Parts of one message, text and images.
        pub(crate) const PARTS_MAX: usize = 1024, "message_parts_max", "parts";
        /// Objects and arrays within one another in a body, in fields that nobody reads too.
        pub(crate) const NESTING_MAX: usize = 64, "json_nesting_max", "levels";
        /// Large bodies parsed at once; more wait.
        pub(crate) const PARSERS_MAX: usize = 2, "body_parsers_max", "bodies";
        /// Headers of one request.
        pub(crate) const HEADERS_MAX: usize = 100, "request_headers_max", "headers";
        /// Headers of one request, with the request line.
        pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10, "request_head_bytes_max", "bytes";
        /// Tools that a call offers, and calls in one message.
        pub(crate) const TOOLS_MAX: usize = 128, "tools_max", "tools";
        /// All that a call says of its tools.
        pub(crate) const TOOLS_BYTES_MAX: usize = 256 << 10, "tools_bytes_max", "bytes";
        /// Name of a tool.
        pub(crate) const TOOL_NAME_BYTES_MAX: usize = 128, "tool_name_bytes_max", "bytes";
        /// Replies to one call.
        pub(crate) const CHOICES_PER_CALL_MAX: u32 = 16, "choices_per_call_max", "replies";
        /// Tokens of which a call biases the logits.
        pub(crate) const BIASES_MAX: usize = 1024, "logit_bias_max", "tokens";
        /// Likeliest tokens beside each that was drawn.
        pub(crate) const TOP_LOGPROBS_MAX: u32 = 20, "top_logprobs_max", "tokens";
        /// A prediction of the reply.
        pub(crate) const PREDICTION_BYTES_MAX: usize = 1 << 20, "prediction_bytes_max", "bytes";
        /// Questions of one call for decisions.
        pub(crate) const QUESTIONS_MAX: usize = 256, "questions_max", "questions";
        /// Options of one of these.
        pub(crate) const OPTIONS_MAX: usize = 255, "question_options_max", "options";
        /// Levels of one that is answered with a score.
        pub(crate) const LEVELS_MAX: usize = 10, "question_levels_max", "levels";
        /// Texts that a call has made into vectors.
        pub(crate) const TEXTS_MAX: usize = 2048, "embedded_texts_max", "texts";
        /// Largest `top_k` of a call.
        pub(crate) const TOP_K_MAX: u32 = 1_000_000, "top_k_max", "tokens";
        /// Length of the name of an expert in a call.
        pub(crate) const MODEL_BYTES_MAX: usize = 256, "model_name_bytes_max", "bytes";
        /// Images decoded at once; more wait. A decoder takes several times what the picture takes
        /// in the end.
        pub(crate) const DECODERS_MAX: usize = 2, "image_decoders_max", "images";
        /// A body of the admin plane that is no component, and a client's rating.
        pub(crate) const DOCUMENT_BYTES_MAX: usize = 64 << 10, "admin_document_bytes_max", "bytes";
        /// Decisions that wait to be written down; more are dropped and counted.
        pub(crate) const DECISION_QUEUE_MAX: usize = 1024, "decision_log_queue_max", "decisions";
        /// The same in bytes.
        pub(crate) const DECISION_QUEUE_BYTES_MAX: usize = 16 << 20, "decision_log_queue_bytes_max", "bytes";
        /// What a caller may say beside its rating of a reply.
        pub(crate) const RATING_NOTE_BYTES_MAX: usize = 1000, "rating_note_bytes_max", "bytes";
        /// Recorded calls of one replay; the newest.
        pub(crate) const REPLAY_CALLS_MAX: usize = 10_000, "replay_calls_max", "calls";
        /// Their texts.
        pub(crate) const REPLAY_BYTES_MAX: usize = 32 << 20, "replay_bytes_max", "bytes";
        /// Time for all of them.
        pub(crate) const REPLAY_S: u64 = 120, "replay_s", "seconds";
        /// Calls whose traces wait to be sent; more are dropped and counted.
        pub(crate) const TRACED_CALLS_MAX: usize = 1024, "traced_calls_max", "calls";
        /// Keys of clients.
        pub(crate) const KEYS_MAX: usize = 1024, "access_keys_max", "keys";
        /// Origins, and names of this host, each.
        pub(crate) const LISTED_MAX: usize = 64, "access_names_max", "names";
    }
}

#[cfg(test)]
mod tests {
    use signalbox_confine::Bounded;

    use super::*;

    #[test]
    fn what_is_fixed_at_the_start_is_a_limit() {
        let words: Vec<_> = ServerLimits::ALL.iter().filter_map(Limit::word).collect();
        assert!(FIXED_AT_START.iter().all(|fixed| words.contains(fixed)));
    }
}
