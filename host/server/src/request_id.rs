//! The name of one exchange: the client's own where it is fit to be logged and can't be taken for one
//! of ours, else a fresh one. Clients may give several exchanges one name; the decision log numbers
//! them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, atomic::AtomicU64, atomic::Ordering},
};

use axum::http::HeaderValue;

/// Characters of a client's id.
const CHARS_MAX: usize = 128;
/// Ours begin so, and nobody else's.
const OURS: &str = "req_";

/// One exchange's name: 1 to 128 ASCII letters, digits, `-`, `_`, `.` and `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The client's id, or a fresh one when there is none or it could not be logged safely.
    pub(crate) fn of(sent: Option<&HeaderValue>) -> Self {
        let sent = sent.and_then(|value| value.to_str().ok()).filter(|id| fit(id));
        Self(sent.map_or_else(fresh, Arc::from))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its header value.
    #[expect(clippy::expect_used, reason = "ids have visible ASCII only, by construction")]
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("visible ASCII")
    }
}

fn fit(id: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:".contains(&c);
    (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with(OURS)
}

/// Unique, and not guessable from another one: a keyed hash of a counter.
fn fresh() -> Arc<str> {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [high, low] = [KEYS[0].hash_one(count), KEYS[1].hash_one(count)];
    Arc::from(format!("{OURS}{high:016x}{low:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_id_is_kept_and_an_unfit_one_replaced() {
        let of = |sent: &str| RequestId::of(Some(&HeaderValue::from_str(sent).unwrap()));
        assert_eq!(of("trace-7.a:b_c").as_str(), "trace-7.a:b_c");
        for unfit in ["", "a b", "{\"a\":1}", &"x".repeat(129)] {
            assert!(of(unfit).as_str().starts_with("req_"), "{unfit}");
        }
    }

    #[test]
    fn nobody_takes_a_name_that_was_ours() {
        let ours = RequestId::of(None);
        let taken = RequestId::of(Some(&ours.header()));
        assert!(taken != ours && taken.as_str().starts_with(OURS), "{taken:?}");
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }
}
