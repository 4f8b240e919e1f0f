//! The only crate that knows HTTP and JSON.
//!
//! Read `pipeline.rs` first: it is one call on one screen. Then `api.rs`: every URL
//! on one page. [`run`] serves an [`App`] on two listeners, data and admin, until asked to stop.

mod access;
mod admission;
mod api;
mod app;
mod bodies;
mod caller;
mod date;
mod decisions;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod images;
mod limits;
mod observe;
mod openai;
mod openapi;
mod otel;
mod outgoing;
mod pipeline;
mod quota;
mod reload;
mod request_id;
mod responses;
mod scrape;
mod serve;
mod settings;
mod starting;
mod telemetry;
pub mod wire;
mod world;

pub use access::{Access, AccessError, Allowance, Key, KeyError};
pub use app::App;
pub use limits::{DecisionLogLimits, ImagesLimits, ServerLimits};
pub use otel::{GenAi, TraceSettings};
pub use pipeline::expert_view;
pub use reload::{ReloadError, Reloadable, Reloaded, Source, Waiting};
pub use serve::run;
pub use settings::{DecisionLog, LoggedText, ServerSettings, SettingsError};
pub use starting::{Starting, while_starting};
pub use telemetry::LOG_LINES_DROPPED;
