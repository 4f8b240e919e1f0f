//! The trace that a call belongs to, as its client says it in `traceparent` (W3C Trace Context).

use std::hash::{BuildHasher, RandomState};

use axum::http::HeaderMap;

const HEADER: &str = "traceparent";

/// Whose child the spans of a call are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// Whether whoever began the trace wants it written down.
    pub(super) sampled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceId(pub(super) u128);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(pub(super) u64);

impl TraceId {
    pub(super) fn fresh() -> Self {
        let [high, low] = [(); 2].map(|()| u128::from(SpanId::fresh().0));
        Self(high << 64 | low)
    }
}

impl SpanId {
    /// Random, and not zero, which stands for none.
    pub(super) fn fresh() -> Self {
        Self(RandomState::new().hash_one(0).max(1))
    }
}

impl Parent {
    /// What the client says; `None` where it says nothing that can be read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(HEADER)?.to_str().ok()?)
    }

    /// `00-<32 digits>-<16 digits>-<2 digits>`; later versions may have more behind that.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = number(parts.next()?, 2)?;
        let (trace, span) = (number(parts.next()?, 32)?, number(parts.next()?, 16)?);
        let flags = number(parts.next()?, 2)?;
        let too_much = version == 0 && parts.next().is_some();
        if version == 0xff || trace == 0 || span == 0 || too_much {
            return None;
        }
        let span = SpanId(u64::try_from(span).ok()?);
        Some(Self { trace: TraceId(trace), span, sampled: flags & 1 == 1 })
    }
}

/// So many hexadecimal digits, in lower case as the standard has them.
fn number(digits: &str, count: usize) -> Option<u128> {
    let plain = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let fits = digits.len() == count && digits.bytes().all(plain);
    fits.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_to_the_letter() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let check = |text: &str, expect: Option<bool>| {
            assert_eq!(Parent::read(text).map(|parent| parent.sampled), expect, "{text}");
        };
        check(&format!("00-{trace}-b7ad6b7169203331-01"), Some(true));
        check(&format!("00-{trace}-b7ad6b7169203331-00"), Some(false));
        check(&format!("cc-{trace}-b7ad6b7169203331-03-later"), Some(true));
        check(&format!("00-{trace}-b7ad6b7169203331-01-later"), None);
        check(&format!("ff-{trace}-b7ad6b7169203331-01"), None);
        check(&format!("00-{trace}-0000000000000000-01"), None);
        check(&format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), None);
        check(&format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()), None);
        check("00-short-b7ad6b7169203331-01", None);
        check("", None);
        let parent = Parent::read(&format!("00-{trace}-b7ad6b7169203331-01")).unwrap();
        assert_eq!(
            format!("{:032x}-{:016x}", parent.trace.0, parent.span.0),
            format!("{trace}-b7ad6b7169203331")
        );
    }

    #[test]
    fn ids_are_not_zero_and_not_the_same() {
        assert_ne!(TraceId::fresh(), TraceId::fresh());
        assert!((0..1000).all(|_| SpanId::fresh().0 != 0));
    }
}
