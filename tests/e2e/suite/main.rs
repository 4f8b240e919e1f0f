//! The users' view: the real program as its own process, real HTTP, the real toy experts, real
//! components. One binary, so it links once.
//!
//! Start reading at [`host::Host`], the process under test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test suite")]

mod answers;
mod asking;
mod bridge;
mod calls;
mod compile;
mod configured;
mod crash;
mod decision_log;
mod decisions;
mod embeddings;
mod errors;
mod examples;
mod feedback;
mod forgeries;
mod front_door;
mod guards;
mod guests;
mod host;
mod hot_swap;
mod http;
mod images;
mod isolation;
mod journey;
mod keep_alive;
mod languages;
mod leaving;
mod promises;
mod ranking;
mod readme;
mod reload;
mod serving;
mod shutdown;
mod signatures;
mod soak;
mod streaming;
mod surroundings;
mod templates;
mod terminal;
mod traces;
mod trials;
mod uploads;
