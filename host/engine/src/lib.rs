//! From prompt to tokens. The engine owns every byte of model memory and knows nothing of HTTP or
//! WebAssembly.
//!
//! Start at [`Fleet`]: it holds the experts, loads and unloads them, and answers a [`Request`] with
//! a [`TokenStream`]. [`Scorer`] holds one checkpoint and says what it thinks of a given text.

mod cache;
mod checkpoint;
mod dialect;
mod error;
mod expert;
mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod generation;
mod image;
mod inspect;
mod lack;
mod limits;
mod machine;
mod model;
mod prove;
mod request;
mod sampler;
mod score;
mod settings;
mod side;
mod spec;
mod template;
mod tokenizer;
mod vision;

pub use error::{Blame, EngineError};
pub use expert::TokenStream;
pub use fleet::{ExpertState, ExpertStatus, Fleet, MemoryStatus};
pub use image::{Image, ImageError, ImageLimits};
pub use inspect::{Finding, Inspection, Severity, inspect};
pub use limits::{
    FIXED, FleetLimits, IMAGES_MAX, MESSAGES_MAX, STOP_BYTES_MAX, STOPS_MAX, TemplateLimits,
};
pub use machine::{machine_memory, machine_threads};
pub use prove::{Proof, prove};
pub use request::{Event, Finish, Message, Part, Prompt, Request, Sampling, Timings, Usage};
pub use score::{Agreement, Scorer, Scoring, nll, top1};
pub use settings::{DType, ExpertSettings, FleetSettings, LazyLoading, Quantization, Templates};
pub use template::serve_template;
