//! From prompt to tokens. The engine owns every byte of model memory and knows nothing of HTTP or
//! WebAssembly.
//!
//! Start at [`Fleet`]: it holds the experts, loads and unloads them, and answers a [`Request`] with
//! a [`TokenStream`].

mod cache;
mod checkpoint;
mod dialect;
mod error;
mod expert;
mod fleet;
mod generation;
mod inspect;
mod model;
mod request;
mod sampler;
mod settings;
mod spec;
mod template;
mod tokenizer;

pub use error::{Blame, EngineError};
pub use expert::TokenStream;
pub use fleet::{ExpertState, ExpertStatus, Fleet, MemoryStatus};
pub use inspect::{Finding, Inspection, Severity, inspect};
pub use request::{Event, Finish, Message, Prompt, Request, Sampling, Timings, Usage};
pub use settings::{DType, ExpertSettings, FleetSettings, LazyLoading, Quantization};
