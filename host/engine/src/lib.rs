//! From prompt to tokens. The engine owns every byte of model memory and knows nothing of HTTP or
//! WebAssembly.
//!
//! Start at [`Fleet`]: it holds the experts, loads and unloads them, and answers a [`Request`] with
//! a [`TokenStream`]. [`Scorer`] holds one checkpoint and says what it thinks of a given text.

mod bench;
mod cache;
mod checkpoint;
mod constraint;
mod encoder;
mod error;
mod executor;
mod expert;
mod files;
mod fleet;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod generation;
mod image;
mod inspect;
mod keep_alive;
mod limits;
mod machine;
mod memory;
mod model;
mod opened;
mod pack_progress;
mod prepack;
mod priority;
mod progress;
mod prompt_format;
mod request;
mod sampler;
mod score;
mod self_test;
mod settings;
mod spec;
mod steering;
mod template;
mod tokenizer;
mod tools;
mod transient;
mod vision;
mod wording;

pub use bench::{Bench, Roofline, Synthetic, SyntheticError, cpu_name};
pub use checkpoint::{Prepacked, is_pack_file};
pub use error::{Blame, EngineError};
pub use expert::TokenStream;
pub use fleet::{
    ExpertState, ExpertStatus, Fleet, FleetChange, FleetPlan, Loading, MemoryStatus, Prefetches,
    Unfit,
};
pub use format::Format;
pub use image::{Image, ImageError, ImageLimits};
pub use inspect::{Faults, Finding, Inspection, Severity, inspect};
pub use keep_alive::{KeepAlive, NoTime};
pub use limits::{
    CHOICES_MAX, FIXED, FleetLimits, GRAMMAR_BYTES_MAX, IMAGES_MAX, MESSAGES_MAX, STOP_BYTES_MAX,
    STOPS_MAX, TemplateLimits,
};
pub use machine::{machine_memory, machine_threads};
pub use model::TokenCost;
pub use pack_progress::PackProgress;
pub use prepack::prepack;
pub use priority::Priority;
pub use progress::{Progress, Stage};
pub use request::{
    Conversation, EmbedRequest, Embeddable, Embedded, Ends, Event, Finish, Logprob, Message,
    Opening, Part, Prompt, Request, Sampling, Timings, TokenLogprobs, Usage,
};
pub use score::{Agreement, Scorer, Scoring, nll, top1};
pub use self_test::{SelfTest, self_test};
pub use settings::{
    DType, ExpertSettings, FleetSettings, KvCacheDType, LazyLoading, PackFiles, Quantization,
    Templates,
};
pub use template::serve_template;
pub use tools::{CallReader, Said, Tool, ToolCall, ToolChoice, Tools, read_calls, write_calls};

/// Instructions that kernels are written for.
pub use signalbox_kernels::Isa;
