//! The policies in force at one moment, and a call's way through them. A call keeps its snapshot to
//! the end, whatever is swapped meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    Call, Decision, ExpertView, Failure, Hook, Limits, OnFailure, PolicyError, PolicyRef,
    PreVerdict, Release,
    chain::{Chain, Recovery, Review},
    hook::{
        Policy,
        post::{Session, Step},
        pre::Handled,
    },
    rooms::Room,
    window::Action,
};

/// Every policy in force: those the pipeline calls, and those that may step in for another.
#[derive(Default)]
pub(crate) struct Set {
    pub(crate) generation: u64,
    pub(crate) limits: Arc<Limits>,
    pub(crate) pre: Vec<Arc<Policy>>,
    pub(crate) route: Option<Arc<Policy>>,
    pub(crate) post: Vec<Arc<Policy>>,
    pub(crate) active: BTreeMap<String, Arc<Policy>>,
}

/// What happens to a call after a policy failed in it.
enum Next {
    End(PolicyError),
    Skip,
    Ask(Arc<Policy>),
}

impl Set {
    /// The failure mode of `policy`, made concrete.
    fn after(&self, policy: &Policy, hook: Hook, failure: Failure) -> Next {
        match policy.on_failure(hook) {
            OnFailure::Refuse => Next::End(policy.failed(hook, failure)),
            OnFailure::Skip | OnFailure::Native => Next::Skip,
            OnFailure::Policy(name) => match self.active.get(name) {
                Some(other) if other.program.surface.hooks.contains(&hook) => {
                    Next::Ask(other.clone())
                }
                _ => Next::End(policy.failed(hook, failure)),
            },
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
        self.0.route.as_deref().map(Policy::id)
    }

    /// Shows `call` to every `pre` policy in order.
    ///
    /// # Errors
    /// [`PolicyError::Refused`] when a policy turns the call away, [`PolicyError::Failed`] when one
    /// fails and its failure mode is to refuse.
    pub async fn pre(&self, mut call: Call) -> Result<PreVerdict, PolicyError> {
        for policy in &self.0.pre {
            let shown = Arc::new(call);
            call = match self.handle(policy, &shown).await? {
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
        Ok(PreVerdict::Proceed(call))
    }

    /// Who handled the call and how; `None` when the policy failed and is skipped.
    async fn handle(
        &self,
        policy: &Arc<Policy>,
        call: &Arc<Call>,
    ) -> Result<Option<(PolicyRef, Handled)>, PolicyError> {
        let (policy, outcome) = match policy.handle(call.clone()).await {
            Err(failure) => match self.0.after(policy, Hook::Pre, failure) {
                Next::End(error) => return Err(error),
                Next::Skip => return Ok(None),
                Next::Ask(other) => (other.clone(), other.handle(call.clone()).await),
            },
            outcome => (policy.clone(), outcome),
        };
        let answer = outcome.map_err(|failure| policy.failed(Hook::Pre, failure))?;
        let handled = answer.map_err(|refusal| policy.refused(refusal))?;
        Ok(Some((policy.id().clone(), handled)))
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
        let Some(router) = &self.0.route else { return Ok(None) };
        let (call, menu) = (Arc::new(call.clone()), menu.into());
        let (router, outcome) = match router.choose(&call, &menu).await {
            Err(failure) => match self.0.after(router, Hook::Route, failure) {
                Next::End(error) => return Err(error),
                Next::Skip => return Ok(None),
                Next::Ask(other) => (other.clone(), other.choose(&call, &menu).await),
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
        let Some(first) = self.0.post.first() else { return Ok(Seats(None)) };
        let room = first.runtime.rooms.sessions(self.0.post.len());
        let room = room.map_err(|failure| first.failed(Hook::Post, failure))?;
        Ok(Seats(Some(room)))
    }

    /// The `post` policies for a reply by `expert`, in `seats` of this snapshot. No instance is made
    /// before the first text.
    pub fn post(&self, call: &Call, expert: &str, seats: Seats) -> PostChain {
        let Some(room) = seats.0 else {
            return PostChain(Chain::new([], &self.0.limits));
        };
        let reply = Arc::new(Reply { call: Arc::new(call.clone()), expert: expert.to_string() });
        let reviews = self.0.post.iter().map(|policy| PolicyReview {
            set: self.0.clone(),
            policy: policy.clone(),
            reply: reply.clone(),
            session: None,
            room: room.clone(),
            stepped_in: false,
        });
        PostChain(Chain::new(reviews, &self.0.limits))
    }
}

/// Room for the `post` policies of one reply; given back when its chain is dropped.
pub struct Seats(Option<Room>);

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

/// A policy at work on a reply; its session opens at the first step.
struct PolicyReview {
    set: Arc<Set>,
    policy: Arc<Policy>,
    reply: Arc<Reply>,
    session: Option<Session>,
    room: Room,
    stepped_in: bool,
}

impl Review for PolicyReview {
    fn policy(&self) -> &PolicyRef {
        self.policy.id()
    }

    async fn step(&mut self, step: Step, window: &str) -> Result<(Action, Duration), Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let (reply, room) = (&self.reply, self.room.clone());
                self.policy.open(&reply.call, &reply.expert, room).await?
            }
        };
        let (session, action, took) = self.policy.step(session, step, window).await?;
        self.session = Some(session);
        Ok((action, took))
    }

    fn recover(&self, failure: Failure) -> Recovery<Self> {
        if self.stepped_in {
            return Recovery::End(self.policy.failed(Hook::Post, failure));
        }
        match self.set.after(&self.policy, Hook::Post, failure) {
            Next::End(error) => Recovery::End(error),
            Next::Skip => Recovery::Skip,
            Next::Ask(policy) => Recovery::Instead(PolicyReview {
                set: self.set.clone(),
                policy,
                reply: self.reply.clone(),
                session: None,
                room: self.room.clone(),
                stepped_in: true,
            }),
        }
    }
}
