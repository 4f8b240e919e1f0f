//! The server over real loopback HTTP, with toy experts and no policies: the native route, every
//! error path, streams, cancelling, stopping. What policies do to calls is tested end to end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "http/fixture.rs"]
mod fixture;
#[path = "http/transcript.rs"]
mod transcript;

#[path = "http/access.rs"]
mod access;
#[path = "http/admin.rs"]
mod admin;
#[path = "http/answers.rs"]
mod answers;
#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/clients.rs"]
mod clients;
#[path = "http/decide.rs"]
mod decide;
#[path = "http/dialects.rs"]
mod dialects;
#[path = "http/documents.rs"]
mod documents;
#[path = "http/errors.rs"]
mod errors;
#[path = "http/fetches.rs"]
mod fetches;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/quotas.rs"]
mod quotas;
#[path = "http/responses.rs"]
mod responses;
#[path = "http/stopping.rs"]
mod stopping;
