//! A reply's way through the `post` policies: room for their sessions, then every piece of text.

use std::{sync::Arc, time::Duration};

use super::{
    Ending, SPEC, Session, Step,
    chain::{Chain, Review},
    window::Action,
};
use crate::{
    Call, Failure, Hook, PolicyError, PolicyRef, Release,
    fallback::{Asked, Next},
    instances::InstancePermit,
    seat::{Seat, Ticket},
    snapshot::{Set, Snapshot},
};

impl Snapshot {
    /// Room for the sessions of every `post` policy, taken before anything is generated, so that no
    /// reply is cut off for want of it.
    ///
    /// # Errors
    /// [`PolicyError::Failed`] with [`Failure::NoRoom`]: as many sessions live as may.
    pub fn seats(&self) -> Result<Seats, PolicyError> {
        let (set, post) = (self.set().clone(), self.pipeline().post.clone());
        let Some(first) = post.first() else { return Ok(Seats { set, post, room: None }) };
        let room = set.runtime.instances.sessions(post.len());
        let room = Some(room.map_err(|failure| first.failed(Hook::Post, failure))?);
        Ok(Seats { set, post, room })
    }
}

/// The `post` policies of one reply that is still to begin, and room for them; given back when the
/// reply's chain is dropped.
pub struct Seats {
    set: Arc<Set>,
    post: Vec<Arc<Seat>>,
    /// `None` where there is no policy to have room for.
    room: Option<InstancePermit>,
}

impl Seats {
    /// Whether there is no `post` policy, so that nobody examines the reply.
    pub fn is_empty(&self) -> bool {
        self.room.is_none()
    }

    /// The `post` policies for a reply by `expert`. No instance is made before the first text.
    pub fn post(self, call: &Call, expert: &str) -> PostChain {
        let Self { set, post, room } = self;
        let Some(room) = room else { return PostChain(Chain::new([], &set.limits)) };
        let reply = Arc::new(Reply { call: Arc::new(call.clone()), expert: expert.to_string() });
        let review = |seat: &Arc<Seat>| PolicyReview::new(&set, Asked::first(seat), &reply, &room);
        PostChain(Chain::new(post.iter().map(review), &set.limits))
    }
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

    /// The expert is done, and how: what the client still gets. Not to be called after a stop.
    ///
    /// # Errors
    /// As [`PostChain::push`].
    pub async fn finish(&mut self, ending: Ending) -> Result<Release, PolicyError> {
        self.0.finish(ending).await
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
    asked: Asked,
    reply: Arc<Reply>,
    ticket: Option<Ticket>,
    session: Option<Session>,
    room: InstancePermit,
}

impl PolicyReview {
    fn new(set: &Arc<Set>, asked: Asked, reply: &Arc<Reply>, room: &InstancePermit) -> Self {
        let (set, reply, room) = (set.clone(), reply.clone(), room.clone());
        Self { set, asked, reply, ticket: None, session: None, room }
    }

    fn settle(&mut self, failure: Option<&Failure>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(failure);
        }
    }
}

impl Review for PolicyReview {
    fn policy(&self) -> &PolicyRef {
        &self.asked.seat.id
    }

    async fn step(&mut self, step: Step, window: &str) -> Result<(Action, Duration), Failure> {
        let policy = match &self.ticket {
            Some(ticket) => ticket.policy().clone(),
            None => {
                let ticket = self.asked.seat.admit(Hook::Post, self.reply.call.caller)?;
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

    fn recover(&mut self, failure: Failure) -> Next<Self> {
        self.settle(Some(&failure));
        self.reply.call.runs.ended(Hook::Post, &self.asked.seat.id, failure.code());
        let next = self.asked.after(&SPEC, failure, &self.set.active);
        next.map(|other| Self::new(&self.set, other, &self.reply, &self.room))
    }
}
