//! A call turned away on purpose.

use crate::{RefusalKind, bindings::signalbox::policy::types};

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
