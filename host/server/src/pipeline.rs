//! One call from admission to its reply: admit, snapshot, pre, route, generate, post. Read this file first.
//!
//! Nothing under `pipeline/` knows HTTP or JSON: calls come in as plain data, replies go out as a
//! stream of plain pieces. [`run`](Pipeline::run) is the whole sequence; the files beside it are its
//! steps, in order: `call` (with `pictures`), `choose`, `generate` (with `consensus`), `stream`.

mod call;
mod choose;
mod consensus;
mod convert;
mod generate;
mod pictures;
mod stream;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use signalbox_engine::Fleet;
use signalbox_policy::{Policies, PreVerdict};
use tokio::time::{Instant, timeout_at};

pub(crate) use call::{Call, Form, Refusal, Refused};
pub(crate) use choose::{Choice, Route};
pub(crate) use convert::expert_view;
pub(crate) use pictures::Pictures;
pub(crate) use stream::{End, Ending, Performance, Piece, Reply};

use crate::{
    admission::{Admission, Permit},
    decisions::{Decisions, Trace},
    telemetry::Telemetry,
};
use stream::Source;

/// What every call passes through.
pub(crate) struct Pipeline {
    pub(crate) fleet: Fleet,
    pub(crate) policies: Policies,
    pub(crate) admission: Admission,
    pub(crate) decisions: Decisions,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) bounds: Bounds,
}

/// What one call may take.
pub(crate) struct Bounds {
    /// From received to finished.
    pub(crate) answer: Duration,
    /// Tokens generated when nobody says otherwise.
    pub(crate) tokens_default: u32,
    /// Tokens that a policy may raise the bound to.
    pub(crate) tokens_max: u32,
    /// Tokens of one member's answer.
    pub(crate) member_tokens_max: u32,
}

impl Pipeline {
    /// Until when a call that is let in now has to be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.bounds.answer
    }

    /// Waits for what the call `id` needs, for no longer than it may take.
    ///
    /// # Errors
    /// It took longer.
    pub(crate) async fn within<T>(
        &self,
        deadline: Instant,
        id: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        let done = timeout_at(deadline, work).await;
        done.map_err(|_| Refused { id: id.to_owned(), refusal: self.too_slow() })
    }

    /// One call, from received to answering. Returns when the first token is there; dropping the
    /// reply cancels what is still to come.
    ///
    /// # Errors
    /// Everything known before the first token. What goes wrong later ends the reply.
    pub(crate) async fn answer(
        &self,
        call: Call,
        permit: Permit,
        deadline: Instant,
    ) -> Result<Reply, Refused> {
        let mut trace = self.decisions.begin(&call);
        let message = timeout_at(deadline, self.run(call, &mut trace)).await;
        match message.unwrap_or_else(|_| Err(self.too_slow())) {
            Ok((route, source)) => Ok(self.reply(route, source, trace, deadline, permit)),
            Err(refusal) => Err(trace.refused(refusal)),
        }
    }

    /// The steps in order.
    async fn run(&self, mut call: Call, trace: &mut Trace) -> Result<(Route, Source), Refusal> {
        let policies = self.policies.snapshot(); // fixed for this call, whatever is swapped now
        let seats = policies.seats()?; // or none at all: no reply is cut off for want of room
        let call = match policies.pre(std::mem::take(&mut call.view)).await? {
            PreVerdict::Proceed(view) => Call { view, ..call }.with_images_described(),
            PreVerdict::Answer { policy, text, .. } => {
                trace.answered_by(&policy);
                return Ok((Route::Answered(policy.clone()), Source::said(policy.name, text)));
            }
        };
        let choice = self.choose(&policies, &call).await?;
        trace.chose(&choice);
        let source = self.generate(&choice.plan, &call, trace).await?; // to the expert's thread
        let post = seats.post(&call.view, &source.model);
        Ok((choice.route, source.through(post))) // a stream, so the first token is not kept waiting
    }

    pub(crate) fn too_slow(&self) -> Refusal {
        Refusal::TooSlow { limit: self.bounds.answer }
    }
}
