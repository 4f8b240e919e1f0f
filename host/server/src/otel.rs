//! Traces for OpenTelemetry. What is measured of a call becomes spans when it ends, which a task sends in batches over
//! OTLP. No call waits for it: what does not fit into its queue is dropped and counted, and so is what nobody takes for long. No text of a prompt or a reply,
//! and no error's words, ever stand in a span.

mod asks;
mod call;
mod context;
mod export;
mod retry;
mod settings;
mod span;
mod tracer;

pub(crate) use asks::{Ask, Asks};
pub(crate) use call::Measured;
pub(crate) use context::Parent;
pub(crate) use export::export;
pub use settings::{GenAi, TraceSettings};
pub(crate) use tracer::Tracer;
