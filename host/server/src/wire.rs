//! What both planes answer, as types: written by the handlers, read by whoever talks to a host from Rust,
//! and described in the OpenAPI documents. Plain data; what it is made from is converted here.

pub mod completion;
pub mod completions;
pub mod decide;
pub mod embeddings;
pub mod error;
pub mod experts;
pub mod health;
pub mod messages;
pub mod models;
pub mod ollama;
pub mod policies;
pub mod reload;
pub mod requests;
pub mod responses;
pub mod stats;
pub mod tokens;
pub mod trials;
pub mod worlds;

use std::borrow::Cow;

/// A word of the format, or one that a newer host knows.
pub type Word = Cow<'static, str>;
