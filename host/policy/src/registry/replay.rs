//! A component tried on recorded calls before it is uploaded for real, beside the revision in force: both under the
//! host's own limits, aside, and neither reaches anything.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Policies, Registry, names};
use crate::{
    Agreement, Call, Comparison, ExpertView, Hook, PolicyError, PolicyRef, Provenance,
    compile::Haste,
    policy::Policy,
    shadow::{is_comparable, try_on},
};

/// Replays whose outcome is remembered.
const REMEMBERED: usize = 64;

/// One call as it was recorded.
#[derive(Debug, Clone)]
pub struct RecordedCall {
    /// As it came.
    pub call: Call,
    /// As it was routed, where that was another.
    pub routed: Option<Call>,
    /// The experts there were; empty when it never came to a router.
    pub menu: Vec<ExpertView>,
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// sha256 of the component.
    pub revision: String,
    /// The revision in force that it was compared with.
    pub against: String,
    /// Recorded calls that both were shown.
    pub calls: u64,
    /// Those that were not, because time was up or the candidate kept failing.
    pub left_out: u64,
    /// What came of it, per hook.
    pub hooks: BTreeMap<Hook, Comparison>,
}

impl Policies {
    /// Compiles a component and shows recorded calls to it and to the revision of `name` in force. It is neither kept nor
    /// put in force, but what it has shown counts in [`Policies::check_agreement`]. What is not shown `within` this time is
    /// left out.
    ///
    /// # Errors
    /// [`PolicyError::NoShadow`] where there is nothing to compare it with, [`PolicyError::Rejected`], [`PolicyError::Busy`],
    /// [`PolicyError::Unsigned`].
    pub async fn replay(
        &self,
        name: &str,
        component: Bytes,
        source: Provenance<'_>,
        recorded: Vec<RecordedCall>,
        within: Duration,
    ) -> Result<Replayed, PolicyError> {
        names::check_letters(name)?;
        self.0.rules.load().settings.signing_keys.check(name, &component, source)?;
        let registry = self.0.clone();
        let (active, hooks) = registry.in_force(name)?;
        let (revision, built) = registry.compile(name, component, Haste::Upload).await?;
        let candidate = PolicyRef { name: name.into(), revision };
        let candidate = registry.aside(&candidate, &built.program);
        let hooks: Vec<Hook> = hooks
            .into_iter()
            .filter(|hook| candidate.program.surface.hooks.contains(hook) && is_comparable(*hook))
            .collect();
        if hooks.is_empty() {
            let why = "it has neither `pre` nor `route` in common with the revision in force";
            return Err(PolicyError::NoShadow { policy: candidate.id().clone(), why });
        }
        let replayed =
            compare(&active, &candidate, &hooks, recorded, Instant::now() + within).await;
        registry.remember_replay(name, &replayed);
        Ok(replayed)
    }
}

impl Registry {
    /// The revision of `name` in force, to be tried aside, and its hooks.
    fn in_force(&self, name: &str) -> Result<(Arc<Policy>, Vec<Hook>), PolicyError> {
        let unknown = || PolicyError::UnknownPolicy { name: name.into() };
        let set = self.current.load();
        let seat = set.active.get(name).ok_or_else(unknown)?;
        let policy = seat.policy.as_ref().map_err(|unusable| PolicyError::Unusable {
            policy: seat.id.clone(),
            problem: unusable.problem.clone(),
        })?;
        Ok((self.aside(&seat.id, &policy.program), seat.hooks.clone()))
    }

    fn remember_replay(&self, name: &str, replayed: &Replayed) {
        let replays = &self.upkeep.replays;
        if replays.len() >= REMEMBERED {
            replays.clear();
        }
        let of = |revision: &String| PolicyRef { name: name.into(), revision: revision.clone() };
        let key = (of(&replayed.revision), of(&replayed.against));
        replays.insert(key, Agreement::of(replayed.hooks.values()));
    }

    /// What a revision has shown in a replay beside the one in force now.
    pub(super) fn replayed(&self, name: &str, revision: &str) -> Agreement {
        let set = self.current.load();
        let Some(seat) = set.active.get(name) else { return Agreement::default() };
        let id = PolicyRef { name: name.into(), revision: revision.into() };
        self.upkeep.replays.get(&(id, seat.id.clone())).map(|shown| *shown).unwrap_or_default()
    }
}

async fn compare(
    active: &Arc<Policy>,
    candidate: &Arc<Policy>,
    hooks: &[Hook],
    recorded: Vec<RecordedCall>,
    until: Instant,
) -> Replayed {
    let all = recorded.len() as u64;
    let mut seen: BTreeMap<Hook, Comparison> =
        hooks.iter().map(|h| (*h, Comparison::default())).collect();
    let mut calls = 0;
    for RecordedCall { call, routed, menu } in recorded {
        if Instant::now() >= until || seen.values().any(Comparison::is_hopeless) {
            break;
        }
        let (routed, menu): (_, Arc<[ExpertView]>) =
            (routed.as_ref().unwrap_or(&call), menu.into());
        for (hook, comparison) in &mut seen {
            let shown = match hook {
                Hook::Pre => &call,
                Hook::Route if call.model.is_some() || menu.is_empty() => continue,
                _ => routed,
            };
            one(active, candidate, *hook, shown, &menu, comparison).await;
        }
        calls += 1;
    }
    Replayed {
        revision: candidate.id().revision.clone(),
        against: active.id().revision.clone(),
        calls,
        left_out: all - calls,
        hooks: seen,
    }
}

/// Shows one call to both. Where the revision in force fails, there is nothing to compare with.
async fn one(
    active: &Arc<Policy>,
    candidate: &Arc<Policy>,
    hook: Hook,
    call: &Call,
    menu: &Arc<[ExpertView]>,
    comparison: &mut Comparison,
) {
    let (was, was_us) = try_on(active, hook, call, menu).await;
    let Ok(was) = was else {
        comparison.dropped += 1;
        return;
    };
    match try_on(candidate, hook, call, menu).await {
        (Ok(is), is_us) => comparison.count((&was, was_us), (&is, is_us)),
        (Err(failure), is_us) => comparison.fail(was_us, &failure, is_us),
    }
}
