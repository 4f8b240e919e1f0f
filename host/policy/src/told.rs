//! A decision whose router wants to know what comes of it. Whoever answers the call keeps it and says so at the end.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use crate::{
    Call, CallOutcome, Decision, Failure, Notes, OnBehalf, PolicyRef, Runs,
    learn::Decided,
    lessons::{Lesson, Lessons, SIZE},
    policy::Policy,
    seat::Seat,
    snapshot::Snapshot,
};

/// A call with more text is not kept beside the one that is answered: every call in flight may be kept so.
const TOLD_BYTES_MAX: usize = 256 << 10;
/// Bytes of a decision and of what stands around a call, roughly.
const AROUND_BYTES: usize = 1024;

/// A decision whose router wants to know what comes of it. Clones are one.
#[derive(Clone)]
pub struct Told(Arc<Inner>);

struct Inner {
    id: PolicyRef,
    router: Weak<Policy>,
    decided: Arc<Decided>,
    bytes: usize,
    lessons: Arc<Lessons>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.id).finish()
    }
}

impl Snapshot {
    /// What is kept of a decision about `call` until it is known what came of it; `None` where its router does not want to
    /// know, or the call has too much text to be kept.
    pub fn told(&self, call: &Call, decision: &Decision) -> Option<Told> {
        let (id, lessons) = (&decision.policy, &self.set().lessons);
        let router = self.seat_of(id)?.policy.as_ref().ok()?.learner.as_ref()?;
        let bytes = call.written_bytes() + AROUND_BYTES;
        if bytes > TOLD_BYTES_MAX {
            lessons.dropped(&id.name, SIZE);
            return None;
        }
        let (notes, runs) = (Notes::default(), Runs::default());
        let call = Call { notes, runs, on_behalf: OnBehalf::default(), ..call.clone() };
        let decided = Decided { call: Arc::new(call), decision: decision.clone() };
        Some(Told(Arc::new(Inner {
            id: id.clone(),
            router: Arc::downgrade(router),
            decided: Arc::new(decided),
            bytes,
            lessons: lessons.clone(),
        })))
    }

    /// The seat of the revision that decided: the router's, that of the one behind a canary, or that of who stepped in.
    fn seat_of(&self, id: &PolicyRef) -> Option<&Arc<Seat>> {
        let router = self.pipeline().route.as_ref();
        let routers = router.into_iter().chain(router.and_then(|seat| seat.instead.as_ref()));
        routers.chain(self.set().active.values()).find(|seat| seat.id == *id)
    }
}

impl Told {
    /// What came of it. Told to the revision that decided, or to the one in force of the same policy where that one is gone;
    /// later, and by somebody else.
    pub fn tell(&self, outcome: CallOutcome) {
        let Inner { id, router, decided, bytes, lessons } = &*self.0;
        let (id, router, decided, bytes) = (id.clone(), router.clone(), decided.clone(), *bytes);
        lessons.put(Lesson { id, router, decided, outcome, bytes });
    }

    /// The same here and now, for tools.
    ///
    /// # Errors
    /// How the router failed to learn from it.
    pub async fn teach(&self, outcome: CallOutcome) -> Result<(), Failure> {
        let gone = || Failure::Broken("the revision that decided is not loaded any more".into());
        let router = self.0.router.upgrade().ok_or_else(gone)?;
        router.learn(&self.0.decided, outcome).await
    }

    /// Bytes of what it keeps.
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }
}
