//! What policies are compiled for.

/// What policies are compiled for.
pub const TARGET: &str = "wasm32-wasip2";
