//! Revisions on trial beside the one in force, as operators read them: in its shadow, or as a canary.

use std::{cmp::Reverse, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_policy as registry;

use super::Word;

/// A revision that works beside the one in force and is only compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shadow {
    /// sha256 of the component.
    pub revision: String,
    /// Since when it is compared with the one in force now, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Whether it failed so often that it is not asked any more.
    pub stopped: bool,
    /// What came of it, per hook; `post` is not compared.
    pub hooks: BTreeMap<Word, Comparison>,
}

/// What comparing came to, in one hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Calls that both had a say in, those in which the candidate failed included.
    pub compared: u64,
    /// Of these, the ones with the same verdict.
    pub agreed: u64,
    /// Their share; `null` before the first call.
    pub agreement: Option<f64>,
    /// What the revision in force said, what the candidate said, and how often; the most frequent first, at most 64.
    pub flips: Vec<Flip>,
    /// Further ones.
    pub more_flips: u64,
    /// Calls that the candidate failed in, by code.
    pub failures: BTreeMap<Word, u64>,
    /// Calls that the candidate was not shown for want of room or time.
    pub dropped: u64,
    /// Mean of the own time of the revision in force, in microseconds.
    pub active_us: Option<f64>,
    /// The same of the candidate.
    pub candidate_us: Option<f64>,
    /// What the candidate takes beyond that.
    pub added_us: Option<f64>,
}

/// One verdict that became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flip {
    /// What the revision in force said: whom a router chose; `pass`, `edit`, `answer` or `refuse: ...` of `pre`.
    pub from: String,
    /// What the candidate said.
    pub to: String,
    /// How often.
    pub calls: u64,
}

impl From<registry::Comparison> for Comparison {
    fn from(of: registry::Comparison) -> Self {
        let share = |part: u64| (of.compared > 0).then(|| part as f64 / of.compared as f64);
        let (active_us, candidate_us) = (share(of.active_us), share(of.candidate_us));
        let flips = of.flips.into_iter().map(|((from, to), calls)| Flip { from, to, calls });
        let mut flips: Vec<_> = flips.collect();
        flips.sort_by_key(|flip| Reverse(flip.calls));
        Self {
            compared: of.compared,
            agreed: of.agreed,
            agreement: share(of.agreed),
            flips,
            more_flips: of.more_flips,
            failures: of.failures.into_iter().map(|(code, n)| (code.into(), n)).collect(),
            dropped: of.dropped,
            active_us,
            candidate_us,
            added_us: candidate_us.zip(active_us).map(|(candidate, active)| candidate - active),
        }
    }
}

impl From<registry::ShadowStatus> for Shadow {
    fn from(of: registry::ShadowStatus) -> Self {
        let hooks = of.hooks.into_iter().map(|(hook, seen)| (hook.name().into(), seen.into()));
        Self {
            revision: of.revision,
            since_unix_ms: of.since_unix_ms,
            stopped: of.stopped,
            hooks: hooks.collect(),
        }
    }
}

/// What a component made of recorded calls, beside the revision in force. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {
    /// sha256 of the component.
    pub revision: String,
    /// The revision in force that it was compared with.
    pub against: String,
    /// Recorded calls that both were shown.
    pub calls: u64,
    /// Those that were not, because time was up or the candidate kept failing.
    pub left_out: u64,
    /// The share of verdicts that agree, over all hooks; `null` when there was none.
    pub agreement: Option<f64>,
    /// What came of it, per hook; `post` is not compared.
    pub hooks: BTreeMap<Word, Comparison>,
}

impl From<registry::Replayed> for Replay {
    fn from(of: registry::Replayed) -> Self {
        let sum = |part: fn(&registry::Comparison) -> u64| of.hooks.values().map(part).sum::<u64>();
        let (agreed, compared) = (sum(|seen| seen.agreed), sum(|seen| seen.compared));
        let hooks = of.hooks.into_iter().map(|(hook, seen)| (hook.name().into(), seen.into()));
        Self {
            revision: of.revision,
            against: of.against,
            calls: of.calls,
            left_out: of.left_out,
            agreement: (compared > 0).then(|| agreed as f64 / compared as f64),
            hooks: hooks.collect(),
        }
    }
}

/// A revision that answers a share of the calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Canary {
    /// sha256 of the component.
    pub revision: String,
    /// Its share.
    pub percent: u32,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// What both said since then, or since the start of the process, per hook; `post` is not compared.
    pub hooks: BTreeMap<Word, Sides>,
}

/// What two revisions said in one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sides {
    /// The revision in force.
    pub active: Side,
    /// The canary.
    pub canary: Side,
}

/// What one revision said in one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Calls that it said something of.
    pub calls: u64,
    /// Of these, the ones that it turned away.
    pub refusals: u64,
    /// What it said and how often.
    pub verdicts: BTreeMap<String, u64>,
}

impl From<registry::CanarySide> for Side {
    fn from(of: registry::CanarySide) -> Self {
        Self { calls: of.calls, refusals: of.refusals, verdicts: of.verdicts }
    }
}

impl From<registry::CanaryStatus> for Canary {
    fn from(of: registry::CanaryStatus) -> Self {
        let hooks = of.hooks.into_iter().map(|(hook, (active, canary))| {
            let sides = Sides { active: active.into(), canary: canary.into() };
            (hook.name().into(), sides)
        });
        Self {
            revision: of.revision,
            percent: of.percent,
            since_unix_ms: of.since_unix_ms,
            hooks: hooks.collect(),
        }
    }
}
