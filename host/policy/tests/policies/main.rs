//! Real components through the public API: what hooks answer, what the host does with guests that
//! misbehave, and what the registry keeps.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may")]

mod asking;
mod breaker;
mod examples;
mod failing;
mod feedback;
mod fetching;
mod hooks;
mod isolation;
mod keeping;
mod registry;
mod replies;
mod scene;
mod trials;
mod uploads;
