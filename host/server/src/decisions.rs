//! The decision log: what was chosen for each call, why, and how it ended. A bounded ring; a call
//! is logged once, when it ends, however it ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use signalbox_engine::{EngineError, Usage};
use signalbox_policy::{ConsensusMode, Plan, PolicyRef};
use tokio::time::Instant;

use crate::pipeline::{Call, Choice, End, Performance, Refusal};

/// Characters of a reason or an error that are kept.
const TEXT_CHARS_MAX: usize = 500;

/// Recent decisions, newest last. Cheap to clone; all clones are one log.
#[derive(Clone)]
pub(crate) struct Decisions {
    ring: Arc<Mutex<VecDeque<Record>>>,
    kept: usize,
}

/// One call.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    id: String,
    /// When it was received, milliseconds since 1970.
    at_ms: u64,
    /// Whose call it was: `key:NAME`, or `peer:ADDRESS` where there are no keys.
    caller: String,
    /// What the client named; `null` left the choice to the router.
    asked_for: Option<String>,
    streaming: bool,
    /// `client`, `default` or `policy@revision`; `null` when it was refused before routing.
    route: Option<String>,
    plan: Option<PlanView>,
    reason: String,
    confidence: Option<f32>,
    tags: Vec<(String, String)>,
    /// Experts that were asked and did not begin to answer.
    tried: Vec<Tried>,
    /// Who answered.
    expert: Option<String>,
    outcome: Outcome,
    finish_reason: Option<&'static str>,
    error: Option<String>,
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    timings: TimingsView,
}

/// A plan as operators read it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum PlanView {
    Expert(String),
    Fallback(Vec<String>),
    Consensus { members: Vec<String>, judge: Option<String>, mode: &'static str },
}

/// An expert that did not begin to answer.
#[derive(Debug, Clone, Serialize)]
struct Tried {
    expert: String,
    error: String,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// Answered to the end.
    Completed,
    /// Turned away, or failed before the first token.
    Refused,
    /// Failed in the middle of the reply.
    Failed,
    /// The client went away.
    Cancelled,
}

/// Milliseconds since the call was received; absent when it never came so far.
#[derive(Debug, Clone, Default, Serialize)]
struct TimingsView {
    routed_ms: Option<f64>,
    first_text_ms: Option<f64>,
    total_ms: f64,
}

impl Decisions {
    pub(crate) fn new(kept: usize) -> Self {
        Self { ring: Arc::default(), kept }
    }

    /// Begins the record of one call.
    pub(crate) fn begin(&self, call: &Call) -> Trace {
        let received = Instant::now();
        Trace { record: Some(Box::new(Record::of(call))), received, log: self.clone() }
    }

    /// The newest `limit` records, newest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Record> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().rev().take(limit).cloned().collect()
    }

    fn push(&self, record: Record) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= self.kept {
            ring.pop_front();
        }
        ring.push_back(record);
    }
}

impl Record {
    fn of(call: &Call) -> Self {
        Self {
            id: call.view.id.clone(),
            at_ms: unix_millis(),
            caller: call.caller.to_string(),
            asked_for: call.view.model.clone(),
            streaming: call.view.streaming,
            route: None,
            plan: None,
            reason: String::new(),
            confidence: None,
            tags: vec![],
            tried: vec![],
            expert: None,
            outcome: Outcome::Cancelled,
            finish_reason: None,
            error: None,
            prompt_tokens: None,
            completion_tokens: None,
            timings: TimingsView::default(),
        }
    }
}

/// The record of one call under way; logged when the call ends or is dropped.
pub(crate) struct Trace {
    record: Option<Box<Record>>,
    received: Instant,
    log: Decisions,
}

impl Trace {
    /// Why this expert.
    pub(crate) fn reason(&self) -> &str {
        self.record.as_ref().map_or("", |record| &record.reason)
    }

    /// When the call was received.
    pub(crate) fn received(&self) -> Instant {
        self.received
    }

    /// Who was chosen, and why.
    pub(crate) fn chose(&mut self, choice: &Choice) {
        let routed_ms = millis(self.received.elapsed());
        self.write(|record| {
            record.route = Some(choice.route.to_string());
            record.plan = Some(plan_view(&choice.plan));
            record.reason = bounded(&choice.reason);
            record.confidence = choice.confidence;
            record.tags.clone_from(&choice.tags);
            record.timings.routed_ms = Some(routed_ms);
        });
    }

    /// A pre policy answered by itself.
    pub(crate) fn answered_by(&mut self, policy: &PolicyRef) {
        self.write(|record| {
            record.route = Some(policy.to_string());
            record.reason = format!("policy {} answered by itself", policy.name);
        });
    }

    /// An expert did not begin to answer.
    pub(crate) fn tried(&mut self, expert: &str, error: &EngineError) {
        let tried = Tried { expert: expert.to_owned(), error: bounded(&error.to_string()) };
        self.write(|record| record.tried.push(tried));
    }

    /// Somebody begins to answer.
    pub(crate) fn answering(&mut self, model: &str) {
        self.write(|record| record.expert = Some(model.to_owned()));
    }

    /// The reply is complete.
    pub(crate) fn finished(&mut self, end: &End) {
        let Performance { first_text, total, .. } = end.performance;
        self.write(|record| {
            record.finish_reason = Some(end.ending.name());
            record.prompt_tokens = end.usage.map(|usage: Usage| usage.prompt_tokens);
            record.completion_tokens = end.usage.map(|usage| usage.completion_tokens);
            record.timings.first_text_ms = first_text.map(|seconds| seconds * 1e3);
            record.timings.total_ms = total * 1e3;
        });
        self.close(Outcome::Completed);
    }

    /// The call gets no reply.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.write(|record| record.error = Some(bounded(&refusal.to_string())));
        self.close(Outcome::Refused);
    }

    /// The reply ended early.
    pub(crate) fn failed(&mut self, refusal: &Refusal) {
        self.write(|record| record.error = Some(bounded(&refusal.to_string())));
        self.close(Outcome::Failed);
    }

    fn write(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    fn close(&mut self, outcome: Outcome) {
        let Some(mut record) = self.record.take() else { return };
        if outcome != Outcome::Completed {
            record.timings.total_ms = millis(self.received.elapsed());
        }
        record.outcome = outcome;
        self.log.push(*record);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.close(Outcome::Cancelled);
    }
}

fn plan_view(plan: &Plan) -> PlanView {
    match plan {
        Plan::Expert(expert) => PlanView::Expert(expert.clone()),
        Plan::Fallback(experts) => PlanView::Fallback(experts.clone()),
        Plan::Consensus { members, judge, mode } => PlanView::Consensus {
            members: members.clone(),
            judge: judge.clone(),
            mode: match mode {
                ConsensusMode::Parallel => "parallel",
                ConsensusMode::Turns => "turns",
            },
        },
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
