//! Asking experts according to a plan. An expert that fails before its first token makes room for
//! the next one; every failure is recorded.

use signalbox_engine::{EngineError, Event, Request, TokenStream, Usage};
use signalbox_policy::Plan;

use super::{Call, Pipeline, Refusal, convert, stream::Source};
use crate::decisions::Trace;

/// An expert that has begun to answer.
pub(super) struct Opened {
    /// The rest of the reply.
    pub(super) tokens: TokenStream,
    /// Its first event; never `Failed`.
    pub(super) first: Event,
}

impl Opened {
    /// The reply, with what other experts spent on it.
    pub(super) fn source(self, spent: Usage) -> Source {
        Source::expert(self.tokens, self.first, spent)
    }
}

impl Pipeline {
    /// Carries a plan out up to the first token.
    pub(super) async fn generate(
        &self,
        plan: &Plan,
        call: &Call,
        trace: &mut Trace,
    ) -> Result<Source, Refusal> {
        let request = convert::request(call, &self.bounds);
        match plan {
            Plan::Expert(expert) => {
                self.first_of(std::slice::from_ref(expert), request, trace).await
            }
            Plan::Fallback(experts) => self.first_of(experts, request, trace).await,
            Plan::Consensus { members, judge, mode } => {
                self.consensus(members, judge.as_deref(), *mode, call, request, trace).await
            }
        }
    }

    /// The first expert that begins to answer. The last one's error is the call's, but for experts
    /// that were only too blind to step in for one that broke.
    async fn first_of(
        &self,
        experts: &[String],
        request: Request,
        trace: &mut Trace,
    ) -> Result<Source, Refusal> {
        let mut refusal = Refusal::NoExpert { failed: vec![] };
        for expert in experts {
            match self.open(expert, request.clone()).await {
                Ok(opened) => return Ok(opened.source(Usage::default())),
                Err(error) => {
                    trace.tried(expert, &error);
                    let blind = matches!(error, EngineError::Blind { .. });
                    if !(blind && matches!(refusal, Refusal::Engine(_))) {
                        refusal = error.into();
                    }
                }
            }
        }
        Err(refusal)
    }

    /// Asks one expert and waits for its first event, so that early failures are still errors.
    pub(super) async fn open(&self, expert: &str, request: Request) -> Result<Opened, EngineError> {
        let mut tokens = self.fleet.generate(expert, request).await?;
        match tokens.next().await {
            Some(Event::Failed(error)) => Err(error),
            Some(first) => Ok(Opened { tokens, first }),
            None => Err(cut_off(expert)),
        }
    }
}

/// A reply that ended without its last event.
pub(super) fn cut_off(expert: &str) -> EngineError {
    EngineError::Crashed {
        expert: expert.to_owned(),
        problem: "its reply ended without an end".to_owned(),
    }
}
