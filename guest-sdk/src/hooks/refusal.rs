//! A hook's refusal.

use std::time::Duration;

/// A call turned away on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs.
    pub kind: RefusalKind,
    /// Why, for the client. Say what to do about it.
    pub message: String,
}

/// Why a policy turned a call away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The call is not allowed (HTTP 403).
    Forbidden,
    /// The call is too large (HTTP 413).
    TooLarge,
    /// Too many calls; retry after this long (HTTP 429).
    RateLimited(Duration),
    /// Something else, by a short stable code (HTTP 422).
    Other(String),
}

impl Refusal {
    /// The call is not allowed (HTTP 403).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Forbidden, message: message.into() }
    }

    /// The call is too large (HTTP 413).
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::TooLarge, message: message.into() }
    }

    /// Too many calls; the client may retry after `retry` (HTTP 429).
    pub fn rate_limited(retry: Duration, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::RateLimited(retry), message: message.into() }
    }

    /// Something else, by a short stable `code` (HTTP 422).
    pub fn other(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Other(code.into()), message: message.into() }
    }
}

/// Between the trait and what the bindings want.
#[cfg(target_arch = "wasm32")]
mod glue {
    use std::time::Duration;

    use super::{Refusal, RefusalKind};
    use crate::bindings::signalbox::policy::types;

    impl From<Refusal> for types::Refusal {
        fn from(refusal: Refusal) -> Self {
            Self { kind: refusal.kind.into(), message: refusal.message }
        }
    }

    impl From<RefusalKind> for types::RefusalKind {
        fn from(kind: RefusalKind) -> Self {
            match kind {
                RefusalKind::Forbidden => Self::Forbidden,
                RefusalKind::TooLarge => Self::TooLarge,
                RefusalKind::RateLimited(retry) => Self::RateLimited(milliseconds(retry)),
                RefusalKind::Other(code) => Self::Other(code),
            }
        }
    }

    fn milliseconds(time: Duration) -> u32 {
        u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
    }
}
