//! How long an expert stays in memory for its calls. Each may ask for a time of its own, within the operator's: no
//! client keeps an expert longer than that, and none sends it away sooner than another was promised.

use std::time::{Duration, Instant};

use crate::KeepAlive;

/// What calls have asked for since the expert was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stay {
    /// There was none.
    #[default]
    Unasked,
    /// All of them for a time, of which this is the latest end.
    Until(Instant),
    /// One of them as long as the operator lets it.
    Whole,
}

impl Stay {
    /// With a call that ended now and asked for this.
    pub(super) fn with(self, now: Instant, asked: Option<KeepAlive>) -> Self {
        let until = match asked {
            Some(KeepAlive::For(time)) => now.checked_add(time),
            Some(KeepAlive::Always) | None => None,
        };
        match (self, until) {
            (Self::Whole, _) | (_, None) => Self::Whole,
            (Self::Until(before), Some(until)) => Self::Until(before.max(until)),
            (Self::Unasked, Some(until)) => Self::Until(until),
        }
    }

    /// When an expert goes that has been idle since then, and may stay for `most`; `None` never. One that was loaded
    /// to be used, and was not yet, does not go at once.
    pub(super) fn ends(self, idle_since: Instant, most: KeepAlive) -> Option<Instant> {
        let most = match most {
            KeepAlive::For(Duration::ZERO) if self == Self::Unasked => None,
            KeepAlive::For(most) => idle_since.checked_add(most),
            KeepAlive::Always => None,
        };
        match self {
            Self::Until(until) => Some(most.map_or(until, |most| most.min(until))),
            Self::Unasked | Self::Whole => most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_counts_within_the_operators() {
        let now = Instant::now();
        let time = |seconds| KeepAlive::For(Duration::from_secs(seconds));
        let check = |asked: &[Option<KeepAlive>], most, expect: Option<u64>| {
            let stay = asked.iter().fold(Stay::default(), |stay, asked| stay.with(now, *asked));
            let expect = expect.map(|seconds| now + Duration::from_secs(seconds));
            assert_eq!(stay.ends(now, most), expect, "{asked:?} {most:?}");
        };
        check(&[], time(300), Some(300));
        check(&[], time(0), None);
        check(&[None], time(0), Some(0));
        check(&[None], KeepAlive::Always, None);
        check(&[Some(time(0))], time(300), Some(0));
        check(&[Some(time(0))], KeepAlive::Always, Some(0));
        check(&[Some(time(900))], time(300), Some(300));
        check(&[Some(KeepAlive::Always)], time(300), Some(300));
        check(&[Some(time(60)), Some(time(0))], time(300), Some(60));
        check(&[None, Some(time(0))], time(300), Some(300));
    }
}
