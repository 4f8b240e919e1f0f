//! A revision compared with the one in force, verdict by verdict: how often they agree, and what becomes of what.

use std::{
    collections::BTreeMap,
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
};

use signalbox_confine::clean;

use crate::{Agreement, Call, ConsensusMode, Decision, Failure, Plan, RefusalKind};

/// Pairs of verdicts that are told apart; what comes after that is counted together.
const FLIPS: usize = 64;
/// Bytes of a verdict in words.
const WORDS: usize = 160;
/// Failures after which a candidate is not asked any more, where at least half of its calls failed.
const FAILURES: u64 = 20;

/// What a policy made of a call, as far as two of them can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// For people.
    words: String,
    /// Of all that the words leave out.
    digest: u64,
    refusal: bool,
}

impl Verdict {
    /// Whom a router chose. Its reason, confidence and tags are its own.
    pub(crate) fn chose(decision: &Decision) -> Self {
        let words = match &decision.plan {
            Plan::Expert(expert) => expert.clone(),
            Plan::Fallback(experts) => experts.join(", then "),
            Plan::Consensus { members, judge, mode } => {
                let mut words = format!("consensus of {}", members.join(", "));
                if let Some(judge) = judge {
                    let _ = write!(words, ", judged by {judge}");
                }
                if *mode == ConsensusMode::Turns {
                    words.push_str(", in turns");
                }
                words
            }
        };
        Self { digest: digest(&words), words: clean(&words, WORDS), refusal: false }
    }

    /// A call that goes on as it was, or `edited`.
    pub(crate) fn passed(edited: Option<&Call>) -> Self {
        match edited {
            None => Self { words: "pass".into(), digest: 0, refusal: false },
            Some(call) => {
                let Call { messages, hints, parameters, max_tokens, temperature, .. } = call;
                let whole =
                    format!("{messages:?}{hints:?}{parameters:?}{max_tokens:?}{temperature:?}");
                Self { words: "edit".into(), digest: digest(&whole), refusal: false }
            }
        }
    }

    /// A policy answered by itself.
    pub(crate) fn answered(text: &str) -> Self {
        Self { words: "answer".into(), digest: digest(text), refusal: false }
    }

    /// A policy turned the call away. Its words to the client are its own.
    pub(crate) fn refused(kind: &RefusalKind) -> Self {
        let words = match kind {
            RefusalKind::Forbidden => "refuse: forbidden".to_owned(),
            RefusalKind::TooLarge => "refuse: too large".to_owned(),
            RefusalKind::RateLimited { .. } => "refuse: rate limited".to_owned(),
            RefusalKind::Other(code) => clean(&format!("refuse: {code}"), WORDS),
        };
        Self { words, digest: 0, refusal: true }
    }

    /// For people.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// Whether the call was turned away.
    pub(crate) fn is_refusal(&self) -> bool {
        self.refusal
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What comparing came to, in one hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Calls that both had a say in, those in which the candidate failed included.
    pub compared: u64,
    /// Of these, the ones with the same verdict.
    pub agreed: u64,
    /// From what, to what, and how often; at most 64 pairs.
    pub flips: BTreeMap<(String, String), u64>,
    /// Further ones.
    pub more_flips: u64,
    /// Calls that the candidate failed in, by [`Failure::code`].
    pub failures: BTreeMap<&'static str, u64>,
    /// Calls that were not shown to the candidate for want of room or time.
    pub dropped: u64,
    /// The guest's own time of the revision in force, in microseconds, over the calls compared.
    pub active_us: u64,
    /// The same of the candidate.
    pub candidate_us: u64,
}

impl Comparison {
    /// Both had a say, after so many microseconds each.
    pub(crate) fn count(&mut self, active: (&Verdict, u64), candidate: (&Verdict, u64)) {
        self.took(active.1, candidate.1);
        let (was, is) = (active.0, candidate.0);
        if was == is {
            self.agreed += 1;
            return;
        }
        let pair = (was.words.clone(), is.words.clone());
        if self.flips.len() < FLIPS || self.flips.contains_key(&pair) {
            *self.flips.entry(pair).or_default() += 1;
        } else {
            self.more_flips += 1;
        }
    }

    /// The candidate failed.
    pub(crate) fn fail(&mut self, active_us: u64, failure: &Failure, candidate_us: u64) {
        if failure.is_the_hosts() {
            self.dropped += 1;
            return;
        }
        self.took(active_us, candidate_us);
        *self.failures.entry(failure.code()).or_default() += 1;
    }

    /// Whether the candidate fails so often that asking it costs more than it tells.
    pub(crate) fn is_hopeless(&self) -> bool {
        let failed: u64 = self.failures.values().sum();
        failed >= FAILURES && 2 * failed >= self.compared
    }

    fn took(&mut self, active_us: u64, candidate_us: u64) {
        self.compared += 1;
        self.active_us += active_us;
        self.candidate_us += candidate_us;
    }
}

impl Agreement {
    /// Over all hooks.
    pub(crate) fn of<'c>(all: impl Iterator<Item = &'c Comparison>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            compared: sum.compared + one.compared,
            agreed: sum.agreed + one.agreed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(expert: &str) -> Verdict {
        Verdict { words: expert.into(), digest: digest(expert), refusal: false }
    }

    #[test]
    fn verdicts_are_counted_and_pairs_are_few() {
        let mut seen = Comparison::default();
        seen.count((&to("a"), 10), (&to("a"), 30));
        seen.count((&to("a"), 10), (&to("b"), 30));
        seen.count((&to("a"), 10), (&to("b"), 30));
        seen.fail(10, &Failure::Trap("boom".into()), 5);
        seen.fail(10, &Failure::NoRoom { limit_ms: 1 }, 5);
        assert_eq!((seen.compared, seen.agreed, seen.dropped), (4, 1, 1));
        assert_eq!(seen.flips, BTreeMap::from([(("a".into(), "b".into()), 2)]));
        assert_eq!(seen.failures, BTreeMap::from([("policy_trapped", 1)]));
        assert_eq!((seen.active_us, seen.candidate_us), (40, 95));
        (0..2 * FLIPS).for_each(|n| seen.count((&to("a"), 0), (&to(&format!("x{n}")), 0)));
        assert_eq!((seen.flips.len(), seen.more_flips), (FLIPS, FLIPS as u64 + 1));
        let shown = Agreement::of([&seen].into_iter());
        assert_eq!((shown.compared, shown.agreed), (4 + 2 * FLIPS as u64, 1));
    }

    #[test]
    fn what_only_fails_is_not_asked_any_more() {
        let mut seen = Comparison::default();
        (0..FAILURES).for_each(|_| seen.count((&to("a"), 0), (&to("a"), 0)));
        (1..FAILURES).for_each(|_| seen.fail(0, &Failure::Trap("boom".into()), 0));
        assert!(!seen.is_hopeless());
        seen.fail(0, &Failure::Trap("boom".into()), 0);
        assert!(seen.is_hopeless());
    }

    #[test]
    fn edits_agree_only_when_they_come_to_the_same() {
        let call = |hint: &str| Call { hints: vec![("k".into(), hint.into())], ..Call::default() };
        assert_eq!(Verdict::passed(Some(&call("a"))), Verdict::passed(Some(&call("a"))));
        assert_ne!(Verdict::passed(Some(&call("a"))), Verdict::passed(Some(&call("b"))));
        assert_ne!(Verdict::passed(Some(&call("a"))), Verdict::passed(None));
        assert_ne!(Verdict::answered("a"), Verdict::answered("b"));
        let limited = |retry_ms| Verdict::refused(&RefusalKind::RateLimited { retry_ms });
        assert_eq!(limited(1), limited(2));
    }
}
