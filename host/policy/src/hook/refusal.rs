//! A policy's refusal, which is an answer like any other.

use crate::{RefusalKind, bindings::signalbox::policy::types};

/// What a hook says: its verdict, or that it turns the call away.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A call turned away on purpose.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        let kind = match refusal.kind {
            types::RefusalKind::Forbidden => RefusalKind::Forbidden,
            types::RefusalKind::TooLarge => RefusalKind::TooLarge,
            types::RefusalKind::RateLimited(retry_ms) => RefusalKind::RateLimited { retry_ms },
            types::RefusalKind::Other(code) => RefusalKind::Other(code),
        };
        Refusal { kind, message: refusal.message }
    }
}
