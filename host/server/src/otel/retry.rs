//! Whether what a receiver of traces did not take is sent once more, and when, as the specification of OTLP has it: where
//! there was no answer, or one that says that it passes; after the time that it names, or else after pauses that grow.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use axum::http::{HeaderMap, StatusCode, header};

/// How often a batch is sent once more.
const AGAIN_MAX: u32 = 4;
/// Before the first time, and at most; a receiver that wants more time than that loses the batch.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Answers that say that it passes.
const PASSES: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) why: String,
    passes: bool,
    /// When the receiver wants it again.
    after: Option<Duration>,
}

impl Unsent {
    /// There was no answer.
    pub(super) fn unanswered(why: impl ToString) -> Self {
        Self { why: why.to_string(), passes: true, after: None }
    }

    /// It can't be sent at all.
    pub(super) fn unsendable(why: impl ToString) -> Self {
        Self { why: why.to_string(), passes: false, after: None }
    }

    /// An answer that is no success.
    pub(super) fn refused(status: StatusCode, headers: &HeaderMap) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = seconds.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let why = format!("it answers {}", status.as_u16());
        Self { why, passes: PASSES.contains(&status), after }
    }
}

/// The pauses of one batch.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    had: u32,
}

impl Pauses {
    /// Before the batch is sent once more; `None` where it is not.
    pub(super) fn next(&mut self, unsent: &Unsent) -> Option<Duration> {
        if !unsent.passes || self.had == AGAIN_MAX {
            return None;
        }
        let growing = PAUSE * 2u32.pow(self.had);
        self.had += 1;
        // Hosts that lost their receiver together do not come back to it together.
        let part = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
        let pause = unsent.after.unwrap_or_else(|| growing.mul_f64(0.5 + part / 2.0));
        (pause <= PAUSE_MAX).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, after: Option<&str>) -> Unsent {
        let after = after.map(|text| (header::RETRY_AFTER, text.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        Unsent::refused(status, &after.into_iter().collect())
    }

    #[test]
    fn what_passes_is_sent_again_after_pauses_that_grow() {
        for unsent in
            [Unsent::unanswered("refused"), refused(503, None), refused(429, Some("soon"))]
        {
            let mut pauses = Pauses::default();
            for had in 0..AGAIN_MAX {
                let (pause, most) = (pauses.next(&unsent).unwrap(), PAUSE * 2u32.pow(had));
                assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
            }
            assert_eq!(pauses.next(&unsent), None);
        }
        for unsent in [Unsent::unsendable("no"), refused(400, None), refused(500, Some("1"))] {
            assert_eq!(Pauses::default().next(&unsent), None, "{unsent:?}");
        }
    }

    #[test]
    fn a_receiver_says_when() {
        let check = |after: &str, expect: Option<u64>| {
            let pause = Pauses::default().next(&refused(503, Some(after)));
            assert_eq!(pause, expect.map(Duration::from_secs), "{after}");
        };
        check("0", Some(0));
        check(" 7 ", Some(7));
        check("60", Some(60));
        check("61", None);
    }
}
