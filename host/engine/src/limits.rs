//! What bounds the engine: what an operator may set, and what is fixed.

use signalbox_confine::{MIB, fixed, limits};

limits! {
    /// What bounds all experts.
    #[derive(Copy)]
    pub struct FleetLimits: "limits.", "" {
        /// Calls that wait on one expert; more get 429.
        queue_max: usize = 256, 1..=65_536, "calls";
    }
}

limits! {
    /// What rendering chat templates may cost.
    #[derive(Copy)]
    pub struct TemplateLimits: "limits.template_", "template_" {
        /// Address space of one child that renders chat templates, the program itself included.
        memory_bytes: u64 = 512 * MIB, 256 * MIB..=16_384 * MIB, "bytes";
        /// Processor time of one rendering.
        cpu_s: u64 = 1, 1..=60, "seconds";
        /// Wall clock of one rendering, and of waiting for a child to be free.
        wall_s: u64 = 20, 1..=600, "seconds";
        /// Bytes of one rendered prompt.
        output_bytes: u64 = 64 * MIB, MIB..=256 * MIB, "bytes";
        /// Children of all experts together, the idle ones included.
        workers: u64 = 16, 1..=256, "processes";
    }
}

fixed! {
    /// What is the same for everybody.
    pub const FIXED {
        /// Messages of one conversation.
        pub const MESSAGES_MAX: usize = 8192, "messages_max", "messages";
        /// Images that an expert looks at in one prompt.
        pub const IMAGES_MAX: usize = 16, "prompt_images_max", "images";
        /// Stop strings of one call.
        pub const STOPS_MAX: usize = 64, "stops_max", "strings";
        /// Length of a stop string; so much of a reply may be held back.
        pub const STOP_BYTES_MAX: usize = 256, "stop_bytes_max", "bytes";
        /// A call of a tool; so much of a reply may be held back.
        pub const CALL_BYTES_MAX: usize = 262_144, "tool_call_bytes_max", "bytes";
        /// A schema, a grammar or a regular expression, which takes milliseconds to compile.
        pub const GRAMMAR_BYTES_MAX: usize = 65_536, "grammar_bytes_max", "bytes";
        /// Texts of which a reply is one.
        pub const CHOICES_MAX: usize = 1024, "choices_max", "texts";
        /// Tokens of all texts of a call for vectors.
        pub const EMBEDDED_TOKENS_MAX: u32 = 300_000, "embedded_tokens_max", "tokens";
        /// Calls of an expert that wait for their grammars to be compiled; more get 429.
        pub(crate) const GRAMMARS_WAITING_MAX: usize = 16, "grammars_waiting_max", "calls";
        /// A JSON file beside the weights.
        pub(crate) const JSON_BYTES_MAX: u64 = 16 * MIB, "checkpoint_json_bytes_max", "bytes";
        /// A vocabulary; the largest published have a tenth of it.
        pub(crate) const VOCABULARY_BYTES_MAX: u64 = 256 * MIB, "checkpoint_vocabulary_bytes_max", "bytes";
        /// A chat template's source.
        pub(crate) const SOURCE_BYTES_MAX: u64 = MIB, "template_source_bytes_max", "bytes";
    }
}
