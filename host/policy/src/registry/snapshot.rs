//! The policies in force at one moment, and a call's way through them. A call keeps its snapshot to
//! the end, whatever is swapped meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Call, Decision, ExpertView, Failure, Hook, Limits, OnFailure, PolicyError, PolicyRef,
    PreVerdict, Release,
    chain::{Chain, Recovery, Review},
    hook::{
        Answer, Policy,
        post::{Session, Step},
        pre::Handled,
    },
    instances::InstancePermit,
    runtime::Runtime,
    seat::{Seat, Ticket},
    window::Action,
};

/// Every policy in force: those the pipeline calls, and those that may step in for another.
pub(crate) struct Set {
    pub(crate) generation: u64,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) limits: Arc<Limits>,
    /// Why nobody knows what is in force; then no call is let through.
    pub(crate) sealed: Option<String>,
    pub(crate) pre: Vec<Arc<Seat>>,
    pub(crate) route: Option<Arc<Seat>>,
    pub(crate) post: Vec<Arc<Seat>>,
    pub(crate) active: BTreeMap<String, Arc<Seat>>,
}

/// What happens to a call after a policy failed in it.
enum Next {
    End(PolicyError),
    Skip,
    Ask(Arc<Seat>),
}

impl Set {
    /// Nothing in force, before a start has read what is.
    pub(super) fn empty(runtime: &Arc<Runtime>, limits: &Arc<Limits>) -> Self {
        Self {
            generation: 0,
            runtime: runtime.clone(),
            limits: limits.clone(),
            sealed: None,
            pre: vec![],
            route: None,
            post: vec![],
            active: BTreeMap::new(),
        }
    }

    /// The failure mode of a policy, made concrete.
    fn after(&self, seat: &Seat, hook: Hook, failure: Failure) -> Next {
        match seat.on_failure(hook) {
            OnFailure::Refuse => Next::End(seat.failed(hook, failure)),
            OnFailure::Skip | OnFailure::Native => Next::Skip,
            OnFailure::Policy(name) => match self.active.get(name) {
                Some(other) if other.hooks.contains(&hook) => Next::Ask(other.clone()),
                _ => Next::End(seat.failed(hook, failure)),
            },
        }
    }

    /// Why every call that meets `seat` in `hook` is turned away now; `None` when it is not.
    pub(super) fn refuses(&self, seat: &Seat, hook: Hook) -> Option<PolicyError> {
        let out = |seat: &Seat| seat.absence(hook).filter(|absence| !absence.on_trial);
        let absence = out(seat)?;
        match self.after(seat, hook, Failure::OutOfService(absence.outage)) {
            Next::End(error) => Some(error),
            Next::Skip => None,
            Next::Ask(other) => {
                out(&other).map(|out| other.failed(hook, Failure::OutOfService(out.outage)))
            }
        }
    }

    fn check_sealed(&self) -> Result<(), PolicyError> {
        match &self.sealed {
            Some(problem) => Err(PolicyError::Unreadable { problem: problem.clone() }),
            None => Ok(()),
        }
    }
}

/// The policies fixed for one call. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot(pub(super) Arc<Set>);

impl Snapshot {
    /// Grows by one with every change of the policies in force.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The router; `None` leaves routing to the host's own default.
    pub fn router(&self) -> Option<&PolicyRef> {
        self.0.route.as_deref().map(|seat| &seat.id)
    }

    /// Shows `call` to every `pre` policy in order.
    ///
    /// # Errors
    /// [`PolicyError::Refused`] when a policy turns the call away, [`PolicyError::Failed`] when one
    /// fails and its failure mode is to refuse, or when one that every reply has to pass is out of
    /// service; [`PolicyError::Unreadable`] when nobody knows which policies are in force.
    pub async fn pre(&self, mut call: Call) -> Result<PreVerdict, PolicyError> {
        self.0.check_sealed()?;
        for seat in &self.0.pre {
            let shown = Arc::new(call);
            call = match self.handle(seat, &shown).await? {
                None => Arc::unwrap_or_clone(shown),
                Some((_, Handled::Proceed(edits))) => {
                    drop(shown); // so that the texts are moved, not copied
                    edits.apply()
                }
                Some((policy, Handled::Answer(text))) => {
                    let call = Arc::unwrap_or_clone(shown);
                    return Ok(PreVerdict::Answer { policy, text, call });
                }
            };
        }
        // Better now than after an expert has worked for a reply that nobody may see.
        match self.0.post.iter().find_map(|seat| self.0.refuses(seat, Hook::Post)) {
            Some(error) => Err(error),
            None => Ok(PreVerdict::Proceed(call)),
        }
    }

    /// Who handled the call and how; `None` when the policy failed and is skipped.
    async fn handle(
        &self,
        seat: &Arc<Seat>,
        call: &Arc<Call>,
    ) -> Result<Option<(PolicyRef, Handled)>, PolicyError> {
        let (seat, outcome) = match handle(seat, call).await {
            Err(failure) => match self.0.after(seat, Hook::Pre, failure) {
                Next::End(error) => return Err(error),
                Next::Skip => return Ok(None),
                Next::Ask(other) => (other.clone(), handle(&other, call).await),
            },
            outcome => (seat.clone(), outcome),
        };
        let answer = outcome.map_err(|failure| seat.failed(Hook::Pre, failure))?;
        let handled = answer.map_err(|refusal| seat.refused(refusal))?;
        Ok(Some((seat.id.clone(), handled)))
    }

    /// Asks the router who answers `call`. `None` leaves the choice to the host's own default:
    /// there is no router, or it failed and is skipped.
    ///
    /// # Errors
    /// As [`Snapshot::pre`].
    pub async fn route(
        &self,
        call: &Call,
        menu: &[ExpertView],
    ) -> Result<Option<Decision>, PolicyError> {
        self.0.check_sealed()?;
        let Some(router) = &self.0.route else { return Ok(None) };
        let (call, menu) = (Arc::new(call.clone()), menu.into());
        let (router, outcome) = match choose(router, &call, &menu).await {
            Err(failure) => match self.0.after(router, Hook::Route, failure) {
                Next::End(error) => return Err(error),
                Next::Skip => return Ok(None),
                Next::Ask(other) => (other.clone(), choose(&other, &call, &menu).await),
            },
            outcome => (router.clone(), outcome),
        };
        let answer = outcome.map_err(|failure| router.failed(Hook::Route, failure))?;
        answer.map(Some).map_err(|refusal| router.refused(refusal))
    }

    /// Room for the sessions of every `post` policy, taken before anything is generated, so that no
    /// reply is cut off for want of it.
    ///
    /// # Errors
    /// [`PolicyError::Failed`] with [`Failure::NoRoom`]: as many sessions live as may.
    pub fn seats(&self) -> Result<Seats, PolicyError> {
        let set = self.0.clone();
        let Some(first) = set.post.first() else { return Ok(Seats { set, room: None }) };
        let room = set.runtime.instances.sessions(set.post.len());
        let room = Some(room.map_err(|failure| first.failed(Hook::Post, failure))?);
        Ok(Seats { set, room })
    }
}

/// The `post` policies of one reply that is still to begin, and room for them; given back when the
/// reply's chain is dropped.
pub struct Seats {
    set: Arc<Set>,
    /// `None` where there is no policy to have room for.
    room: Option<InstancePermit>,
}

impl Seats {
    /// The `post` policies for a reply by `expert`. No instance is made before the first text.
    pub fn post(self, call: &Call, expert: &str) -> PostChain {
        let Self { set, room } = self;
        let Some(room) = room else { return PostChain(Chain::new([], &set.limits)) };
        let reply = Arc::new(Reply { call: Arc::new(call.clone()), expert: expert.to_string() });
        let review = |seat: &Arc<Seat>| PolicyReview::new(&set, seat, &reply, &room, false);
        PostChain(Chain::new(set.post.iter().map(review), &set.limits))
    }
}
/// One call into a `pre` policy.
async fn handle(seat: &Arc<Seat>, call: &Arc<Call>) -> Result<Answer<Handled>, Failure> {
    let asked = |policy: Arc<Policy>| async move { policy.handle(call.clone()).await };
    seat.ask(Hook::Pre, call.caller, asked).await
}

/// One call into a router.
async fn choose(
    seat: &Arc<Seat>,
    call: &Arc<Call>,
    menu: &Arc<[ExpertView]>,
) -> Result<Answer<Decision>, Failure> {
    let asked = |policy: Arc<Policy>| async move { policy.choose(call, menu).await };
    seat.ask(Hook::Route, call.caller, asked).await
}

/// The `post` policies of one reply. Every chunk goes through all of them; what they hold back
/// comes with a later chunk, or at the end.
pub struct PostChain(Chain<PolicyReview>);

impl PostChain {
    /// Whether there is no `post` policy, so that text may go straight to the client.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows new text, for which the reply `waited`, to the policies: what the client gets now.
    ///
    /// # Errors
    /// [`PolicyError::Failed`] when a policy fails and its failure mode is to refuse: the reply
    /// must end without another byte. Every later call gives the same error.
    pub async fn push(&mut self, text: String, waited: Duration) -> Result<Release, PolicyError> {
        self.0.push(text, waited).await
    }

    /// The expert is done: what the client still gets. Not to be called after a stop.
    ///
    /// # Errors
    /// As [`PostChain::push`].
    pub async fn finish(&mut self) -> Result<Release, PolicyError> {
        self.0.finish().await
    }
}

/// What a session is opened with.
struct Reply {
    call: Arc<Call>,
    expert: String,
}

/// A policy at work on a reply; its session opens at the first step. To the breaker a whole reply is
/// one call.
struct PolicyReview {
    set: Arc<Set>,
    seat: Arc<Seat>,
    reply: Arc<Reply>,
    ticket: Option<Ticket>,
    session: Option<Session>,
    room: InstancePermit,
    stepped_in: bool,
}

impl PolicyReview {
    fn new(
        set: &Arc<Set>,
        seat: &Arc<Seat>,
        reply: &Arc<Reply>,
        room: &InstancePermit,
        stepped_in: bool,
    ) -> Self {
        let (set, seat, reply, room) = (set.clone(), seat.clone(), reply.clone(), room.clone());
        Self { set, seat, reply, ticket: None, session: None, room, stepped_in }
    }

    fn settle(&mut self, failure: Option<&Failure>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(failure);
        }
    }
}

impl Review for PolicyReview {
    fn policy(&self) -> &PolicyRef {
        &self.seat.id
    }

    async fn step(&mut self, step: Step, window: &str) -> Result<(Action, Duration), Failure> {
        let policy = match &self.ticket {
            Some(ticket) => ticket.policy().clone(),
            None => {
                let ticket = self.seat.admit(Hook::Post, self.reply.call.caller)?;
                self.ticket.insert(ticket).policy().clone()
            }
        };
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let (reply, room) = (&self.reply, self.room.clone());
                policy.open(&reply.call, &reply.expert, room).await?
            }
        };
        let (session, action, took) = policy.step(session, step, window).await?;
        self.session = Some(session);
        Ok((action, took))
    }

    fn ended(&mut self) {
        self.settle(None);
    }

    fn recover(&mut self, failure: Failure) -> Recovery<Self> {
        self.settle(Some(&failure));
        if self.stepped_in {
            return Recovery::End(self.seat.failed(Hook::Post, failure));
        }
        match self.set.after(&self.seat, Hook::Post, failure) {
            Next::End(error) => Recovery::End(error),
            Next::Skip => Recovery::Skip,
            Next::Ask(seat) => Recovery::Instead(PolicyReview::new(
                &self.set,
                &seat,
                &self.reply,
                &self.room,
                true,
            )),
        }
    }
}
