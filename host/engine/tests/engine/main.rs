//! The engine through its public door, with the real toy experts. One binary, so that it links
//! once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that stops has failed")]

mod fleet;
mod inspection;
mod reload;
mod sight;
mod steering;
mod support;
mod templates;
mod toys;
