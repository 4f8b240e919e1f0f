//! A staged revision at work beside the one in force: it is shown what that one was shown, once its verdict is known
//! and away from the caller, and what it would have said is only compared. It changes nothing: it has room and memory of its own,
//! its turns come when nobody else waits for one, and what does not fit is dropped and counted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

use crate::{
    Agreement, Call, Comparison, ExpertView, Failure, Hook, Notes, PerHook, PolicyRef, Runs,
    ShadowStatus,
    comparison::Verdict,
    hook::{Answer, Handled},
    policy::Policy,
};

/// Calls with more text are not shown: they would take the memory of many others.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// One revision in the shadow of another.
pub(crate) struct Shadow {
    policy: Arc<Policy>,
    /// The revision in force.
    against: PolicyRef,
    /// In which both are compared.
    hooks: Vec<Hook>,
    since_unix_ms: u64,
    comparisons: PerHook<Mutex<Comparison>>,
}

/// A call that waits for the verdict of the revision in force.
pub(crate) struct Beside {
    shadow: Arc<Shadow>,
    hook: Hook,
    call: Arc<Call>,
    menu: Arc<[ExpertView]>,
}

/// Hooks of which a shadow can be shown calls. A reply in `post` would need a session of its own, open for as long as
/// the reply, and every piece of text twice.
pub(crate) fn is_comparable(hook: Hook) -> bool {
    match hook {
        Hook::Pre | Hook::Route => true,
        Hook::Post => false,
    }
}

impl Shadow {
    pub(crate) fn new(
        policy: Arc<Policy>,
        against: PolicyRef,
        hooks: Vec<Hook>,
        since_unix_ms: u64,
    ) -> Self {
        Self { policy, against, hooks, since_unix_ms, comparisons: PerHook::default() }
    }

    /// Whether it is this revision beside that one.
    pub(crate) fn is(&self, revision: &str, against: &PolicyRef) -> bool {
        self.is_revision(revision) && self.against == *against
    }

    /// A call of `active` in `hook`, if it is to be compared.
    pub(crate) fn beside(
        self: &Arc<Self>,
        active: &PolicyRef,
        hook: Hook,
        call: &Arc<Call>,
        menu: &Arc<[ExpertView]>,
    ) -> Option<Beside> {
        let wanted = *active == self.against && self.hooks.contains(&hook);
        if !wanted || self.comparison(hook).is_hopeless() {
            return None;
        }
        let (shadow, call, menu) = (self.clone(), call.clone(), menu.clone());
        Some(Beside { shadow, hook, call, menu })
    }

    pub(crate) fn is_revision(&self, revision: &str) -> bool {
        self.policy.id().revision == revision
    }

    pub(crate) fn agreement(&self) -> Agreement {
        let all: Vec<_> = self.hooks.iter().map(|hook| self.comparison(*hook).clone()).collect();
        Agreement::of(all.iter())
    }

    pub(crate) fn status(&self) -> ShadowStatus {
        let of = |hook: &Hook| (*hook, self.comparison(*hook).clone());
        let hooks: BTreeMap<_, _> = self.hooks.iter().map(of).collect();
        ShadowStatus {
            revision: self.policy.id().revision.clone(),
            since_unix_ms: self.since_unix_ms,
            stopped: hooks.values().any(Comparison::is_hopeless),
            hooks,
        }
    }

    fn comparison(&self, hook: Hook) -> MutexGuard<'_, Comparison> {
        self.comparisons[hook].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beside {
    /// `by` said this. What stepped in for the revision in force is nothing to compare with.
    pub(crate) fn said(self, by: &PolicyRef, verdict: Verdict) {
        if *by == self.shadow.against {
            self.go(verdict);
        }
    }

    /// Shows the call to the candidate, away from here.
    fn go(self, active: Verdict) {
        let Self { shadow, hook, call, menu } = self;
        let fits = call.text_bytes() <= TEXT_BYTES_MAX;
        let room = shadow.policy.runtime.instances.has_room_aside();
        let Some(runtime) = Handle::try_current().ok().filter(|_| fits && room) else {
            shadow.comparison(hook).dropped += 1;
            return;
        };
        let active_us = call.runs.guest_us(hook, &shadow.against);
        runtime.spawn(async move {
            let (said, own_us) = try_on(&shadow.policy, hook, &call, &menu).await;
            let mut comparison = shadow.comparison(hook);
            match said {
                Ok(candidate) => comparison.count((&active, active_us), (&candidate, own_us)),
                Err(failure) => comparison.fail(active_us, &failure, own_us),
            }
        });
    }
}

/// What `policy` makes of a call, and the microseconds it took for itself. Nothing of it reaches the call.
pub(crate) async fn try_on(
    policy: &Arc<Policy>,
    hook: Hook,
    call: &Call,
    menu: &Arc<[ExpertView]>,
) -> (Result<Verdict, Failure>, u64) {
    let (notes, runs) = (Notes::default(), Runs::default());
    let shown = Arc::new(Call { notes, runs: runs.clone(), ..call.clone() });
    let said = match hook {
        Hook::Pre => policy.handle(shown).await.map(|answer| handled(call, answer)),
        Hook::Route => policy.choose(&shown, menu).await.map(|answer| match answer {
            Ok(decision) => Verdict::chose(&decision),
            Err(refusal) => Verdict::refused(&refusal.kind),
        }),
        Hook::Post => Err(Failure::Invalid("a post hook is not compared".into())),
    };
    (said, runs.guest_us(hook, policy.id()))
}

fn handled(shown: &Call, answer: Answer<Handled>) -> Verdict {
    match answer {
        Ok(Handled::Proceed(edits)) => {
            let now = edits.apply();
            Verdict::passed(now.is_edited_from(shown).then_some(&now))
        }
        Ok(Handled::Answer(text)) => Verdict::answered(&text),
        Err(refusal) => Verdict::refused(&refusal.kind),
    }
}
