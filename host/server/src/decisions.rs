//! The decision log: what was chosen for each call, why, and how it ended. A ring bounded in records
//! and in bytes; a call is logged once, when it ends, however it ends.

mod record;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use signalbox_confine::{LINE_BYTES, clean};
use signalbox_engine::{EngineError, Progress, Usage};
use signalbox_policy::{Notes, PolicyRef};
use tokio::time::Instant;
use tracing::Span;

pub(crate) use record::Record;

use crate::pipeline::{
    call::Call,
    choice::Choice,
    end::End,
    refusal::{Refusal, Refused},
};
use record::Outcome;

/// Bytes of what an expert said that did not begin.
const DETOUR_BYTES_MAX: usize = 160;

/// Recent decisions, newest last. Cheap to clone; all clones are one log.
#[derive(Clone)]
pub(crate) struct Decisions(Arc<Log>);

struct Log {
    ring: Mutex<Ring>,
    kept: usize,
    bytes_max: usize,
    begun: AtomicU64,
    /// Distinguishes the calls of this process from those of another.
    process: u32,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Decisions {
    /// Keeps so many records, and fewer when they would take more than `bytes_max`.
    pub(crate) fn new(kept: usize, bytes_max: usize) -> Self {
        let (ring, begun) = (Mutex::default(), AtomicU64::new(0));
        let process = RandomState::new().hash_one(kept) as u32;
        Self(Arc::new(Log { ring, kept, bytes_max, begun, process }))
    }

    /// Begins the record of one call.
    pub(crate) fn begin(&self, call: &Call) -> Trace {
        let received = Instant::now();
        let span = tracing::info_span!("call", id = call.view.id);
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let decision = format!("{:08x}-{number}", self.0.process);
        let record = Some(Box::new(Record::of(call, number, &decision)));
        let (id, progress) = (call.view.id.clone(), call.progress.clone());
        let (notes, detour, log) = (call.view.notes.clone(), String::new(), self.clone());
        Trace { id, decision, record, received, progress, notes, detour, log, span }
    }

    /// The record of this name, while it is kept.
    pub(crate) fn find(&self, decision: &str) -> Option<Arc<Record>> {
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.records.iter().rev().find(|record| &*record.decision == decision).cloned()
    }

    /// The newest `limit` records, newest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Arc<Record>> {
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.records.iter().rev().take(limit).cloned().collect()
    }

    fn push(&self, record: Record) {
        let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += record.bytes();
        ring.records.push_back(Arc::new(record));
        while ring.records.len() > self.0.kept || ring.bytes > self.0.bytes_max {
            let Some(oldest) = ring.records.pop_front() else { break };
            ring.bytes -= oldest.bytes();
        }
    }
}

/// The record of one call under way; logged when the call ends or is dropped.
pub(crate) struct Trace {
    id: String,
    decision: String,
    record: Option<Box<Record>>,
    received: Instant,
    progress: Progress,
    /// What policies note about the call.
    notes: Notes,
    /// Experts that were asked before the one that answers, and what they said.
    detour: String,
    log: Decisions,
    /// Events of the call's steps stand in it.
    span: Span,
}

impl Trace {
    /// What its record is called.
    pub(crate) fn decision(&self) -> &str {
        &self.decision
    }

    /// Why this expert, and who was asked before it.
    pub(crate) fn reason(&self) -> String {
        let reason = self.record.as_ref().map_or("", |record| &record.reason);
        format!("{}{reason}", self.detour)
    }

    /// Where the call stands, and what it has cost.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// When the call was received.
    pub(crate) fn received(&self) -> Instant {
        self.received
    }

    /// What the steps of the call are logged in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The `pre` policies let it pass.
    pub(crate) fn examined(&self) {
        let ms = millis(self.received.elapsed());
        self.span.in_scope(|| tracing::debug!(ms, "pre policies are done"));
    }

    /// Who was chosen, and why.
    pub(crate) fn chose(&mut self, choice: &Choice) {
        let routed_ms = millis(self.received.elapsed());
        self.span.in_scope(|| {
            let (route, reason) = (&choice.route, clean(&choice.reason, LINE_BYTES));
            tracing::debug!(%route, plan = ?choice.plan, reason, ms = routed_ms, "routed");
        });
        self.write(|record| {
            record.chose(choice);
            record.timings.routed_ms = Some(routed_ms);
        });
    }

    /// A pre policy answered by itself.
    pub(crate) fn answered_by(&mut self, policy: &PolicyRef) {
        let reason = format!("policy {} answered by itself", policy.name);
        self.write(|record| record.routed(policy, &reason));
    }

    /// An expert did not begin to answer.
    pub(crate) fn tried(&mut self, expert: &str, error: &EngineError) {
        self.span.in_scope(|| tracing::debug!(expert, %error, "an expert did not begin"));
        let why = match error.blame() {
            signalbox_engine::Blame::Client => error.to_string(),
            _ => format!("'{expert}' can't answer now"), // the grounds are for operators
        };
        self.detour.push_str(&format!("not '{expert}': {}; then: ", clean(&why, DETOUR_BYTES_MAX)));
        self.write(|record| record.tried(expert, &error.to_string()));
    }

    /// Somebody begins to answer.
    pub(crate) fn answering(&mut self, model: &str) {
        let ms = millis(self.received.elapsed());
        self.span.in_scope(|| tracing::debug!(expert = model, ms, "generating"));
        self.write(|record| record.answering(model));
    }

    /// The reply is complete.
    pub(crate) fn finished(&mut self, end: &End) {
        let ms = millis(self.received.elapsed());
        self.span
            .in_scope(|| tracing::debug!(ending = ?end.ending, usage = ?end.usage, ms, "done"));
        self.write(|record| record.finished(end));
        self.close(Outcome::Completed);
    }

    /// The call gets no reply.
    pub(crate) fn refused(&mut self, refusal: Refusal) -> Refused {
        self.fail(refusal, Outcome::Refused)
    }

    /// The reply ended early.
    pub(crate) fn failed(&mut self, refusal: Refusal) -> Refused {
        self.fail(refusal, Outcome::Failed)
    }

    /// The grounds go to operators, here and in the process's log; what the client reads has the
    /// same id.
    fn fail(&mut self, refusal: Refusal, outcome: Outcome) -> Refused {
        let grounds = refusal.to_string();
        self.write(|record| record.failed(&grounds));
        if refusal.is_for_operators() {
            let error = clean(&grounds, 4 * LINE_BYTES);
            tracing::warn!(id = self.id, error, "a call failed");
        }
        self.close(outcome);
        Refused { id: self.id.clone(), refusal }
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
            let (prompt_tokens, completion_tokens) = self.progress.spent();
            let spent = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
            record.spent(spent);
            if spent != Usage::default() {
                let id = &self.id;
                tracing::info!(
                    id,
                    ?outcome,
                    prompt_tokens,
                    completion_tokens,
                    "a reply ended early"
                );
            }
        }
        record.outcome = outcome;
        record.noted(&self.notes.all());
        self.log.push(*record);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.close(Outcome::Cancelled);
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use signalbox_engine::{Ends, Sampling};
    use signalbox_policy::{ConsensusMode, Plan};

    use super::{record::RECORD_BYTES_MAX, *};
    use crate::{
        caller::Caller,
        pipeline::{Form, Pictures, Route, Wishes},
    };

    fn call(id: &str) -> Call {
        let view = signalbox_policy::Call {
            id: id.to_owned(),
            model: Some(hostile()),
            ..signalbox_policy::Call::default()
        };
        Call {
            view,
            caller: Caller::owner(&hostile()),
            pictures: Pictures::default(),
            wishes: Wishes::default(),
            form: Form::Chat,
            sampling: Sampling::default(),
            stop: vec![],
            ends: Ends::default(),
            progress: Progress::default(),
        }
    }

    /// Long, of several lines, and with a change of direction.
    fn hostile() -> String {
        "a\nforged\u{202e} line ".repeat(20_000)
    }

    fn choice(plan: Plan) -> Choice {
        let tags = vec![(hostile(), hostile()); 500];
        let route = Route::Policy(PolicyRef { name: hostile(), revision: "0".into() });
        Choice { route, plan, reason: hostile(), confidence: Some(1.0), tags }
    }

    /// Logs one call in which everything is as large as it can be.
    fn fill(log: &Decisions) {
        let mut trace = log.begin(&call(&hostile()));
        let (members, mode) = (vec![hostile(); 100], ConsensusMode::Turns);
        trace.chose(&choice(Plan::Consensus { members, judge: Some(hostile()), mode }));
        for _ in 0..100 {
            trace.tried(&hostile(), &EngineError::UnknownExpert { expert: hostile() });
        }
        trace.answering(&hostile());
        trace.failed(Refusal::NoExpert { failed: vec![hostile()] });
    }

    #[test]
    fn a_record_has_a_largest_size_whatever_strangers_write() {
        let log = Decisions::new(1, 1 << 30);
        fill(&log);
        let record = log.recent(1).remove(0);
        assert!(record.bytes() <= RECORD_BYTES_MAX, "{}", record.bytes());
        let json = serde_json::to_value(&*record).unwrap();
        assert_eq!(json["plan"]["consensus"]["members"].as_array().unwrap().len(), 17);
        assert_eq!(json["plan"]["consensus"]["members"][16], "… and 84 more");
        assert_eq!(json["tags"].as_array().unwrap().len(), 17);
        let text = json.to_string();
        assert!(text.len() <= 2 * RECORD_BYTES_MAX, "{}", text.len());
        assert!(!text.contains("a\\nforged") && !text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn the_log_has_a_largest_size() {
        let log = Decisions::new(1000, 64 << 10);
        (0..50).for_each(|_| fill(&log));
        let ring = log.0.ring.lock().unwrap();
        let sum: usize = ring.records.iter().map(|record| record.bytes()).sum();
        assert_eq!(ring.bytes, sum);
        assert!(sum <= 64 << 10 && ring.records.len() >= 3, "{sum}");
    }

    #[test]
    fn the_newest_are_kept_and_calls_of_one_name_are_distinguished() {
        let log = Decisions::new(2, 1 << 20);
        for _ in 0..3 {
            drop(log.begin(&call("mine")));
        }
        let json = |record: &Arc<Record>| serde_json::to_value(&**record).unwrap();
        let kept: Vec<_> = log.recent(9).iter().map(json).collect();
        let message = |record: &serde_json::Value| (record["id"].clone(), record["number"].clone());
        let expect = |number: u64| ("mine".into(), number.into());
        assert_eq!(kept.iter().map(message).collect::<Vec<_>>(), [expect(3), expect(2)]);
    }
}
