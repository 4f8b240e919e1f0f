//! Asking experts according to a plan. An expert that fails before its first token makes room for
//! the next one; every failure is recorded.

use signalbox_engine::{EngineError, Request, Usage};
use signalbox_policy::Plan;

use super::{
    call::{Bounds, Call},
    consensus::Consensus,
    convert,
    experts::{Experts, open},
    refusal::Refusal,
    source::Source,
};
use crate::decisions::Trace;

/// Carries a plan out up to the first token.
pub(super) async fn generate(
    experts: &dyn Experts,
    bounds: &Bounds,
    plan: &Plan,
    call: &Call,
    trace: &mut Trace,
) -> Result<Source, Refusal> {
    let request = convert::request(call, bounds);
    match plan {
        Plan::Expert(expert) => {
            first_of(experts, std::slice::from_ref(expert), request, trace).await
        }
        Plan::Fallback(fallbacks) => first_of(experts, fallbacks, request, trace).await,
        Plan::Consensus { members, judge, mode } => {
            let tokens_max = bounds.member_tokens_max;
            let judge = judge.as_ref().unwrap_or(&members[0]);
            Consensus { experts, call, request, tokens_max, members, judge }
                .answer(*mode, trace)
                .await
        }
    }
}

/// The first expert that begins to answer. When none does, the first one's error is the call's: the
/// others only stood in for it.
async fn first_of(
    experts: &dyn Experts,
    names: &[String],
    request: Request,
    trace: &mut Trace,
) -> Result<Source, Refusal> {
    let mut first = None;
    for expert in names {
        trace.asking();
        match open(experts, expert, request.clone()).await {
            Ok(opened) => return Ok(Source::expert(opened, Usage::default())),
            Err(error) => {
                trace.tried(expert, &error);
                first.get_or_insert(error);
            }
        }
    }
    Err(first.map_or(Refusal::NoExpert { failed: vec![] }, EngineError::into))
}
