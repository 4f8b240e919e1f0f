//! The record of one call under way, from received to ended.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use signalbox_confine::{LINE_BYTES, clean};
use signalbox_engine::{EngineError, Progress, Timings, Usage};
use signalbox_policy::{CallEnd, CallOutcome, ExpertView, Notes, PolicyRef, Run, Runs, Told};
use tokio::time::Instant;
use tracing::Span;

use super::{
    log::Decisions,
    outcome,
    record::{Outcome, Record},
    seen::Seen,
};
use crate::{
    otel::{Asks, Measured, Parent},
    pipeline::{
        call::{Call, Form},
        choice::Choice,
        end::End,
        refusal::{Refusal, Refused},
    },
    settings::LoggedText,
};

/// Bytes of what an expert said that did not begin.
const DETOUR_BYTES_MAX: usize = 160;

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
    /// What policies did with the call.
    runs: Runs,
    /// What they saw of it, where that is to be written down.
    seen: Option<Box<Seen>>,
    log: Decisions,
    /// Events of the call's steps stand in it.
    span: Span,
    /// What is said of it where traces go.
    traced: Traced,
    /// What is told to the router that decided it, where that wants to know.
    told: Option<Told>,
    ended: Ended,
}

/// How a call ended, as far as routers are told beyond its record.
struct Ended {
    how: CallEnd,
    cached_tokens: Option<u32>,
}

/// What a trace says of a call beside its record.
struct Traced {
    parent: Option<Parent>,
    at: SystemTime,
    operation: &'static str,
    /// The client's fault, or nobody's.
    blameless: bool,
    /// What policies ask of experts.
    asks: Asks,
    /// When the expert that answers was asked.
    asked: Option<Instant>,
    engine: Option<Timings>,
}

impl Decisions {
    /// Begins the record of one call.
    pub(crate) fn begin(&self, call: &Call) -> Trace {
        let received = Instant::now();
        let span = tracing::info_span!("call", id = call.view.id);
        let (number, decision) = self.next();
        let record = Some(Box::new(Record::of(call, number, &decision)));
        let (id, progress) = (call.view.id.clone(), call.progress.clone());
        let (notes, runs) = (call.view.notes.clone(), call.view.runs.clone());
        let (detour, seen, log) = (String::new(), None, self.clone());
        let traced = Traced::of(call, self.keep().tracer.is_on());
        let ended = Ended { how: CallEnd::Left, cached_tokens: None };
        Trace {
            id,
            decision,
            record,
            received,
            progress,
            notes,
            detour,
            runs,
            seen,
            log,
            span,
            traced,
            told: None,
            ended,
        }
    }
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

    /// Its texts become vectors, for this.
    pub(crate) fn embeds(&mut self, operation: &'static str) {
        self.traced.operation = operation;
    }

    /// Where it is written down what policies ask of experts.
    pub(crate) fn asks(&self) -> Asks {
        self.traced.asks.clone()
    }

    /// An expert is asked; if others were before, they did not begin to answer.
    pub(crate) fn asking(&mut self) {
        self.traced.asked = Some(Instant::now());
    }

    /// Policies are about to see it.
    pub(crate) fn shown(&mut self, call: &signalbox_policy::Call) {
        let keep = self.log.keep();
        if keep.text == LoggedText::Off {
            return;
        }
        let sha256 = digest(call);
        let full = keep.text == LoggedText::Full && call.written_bytes() <= keep.text_bytes_max;
        self.seen = full.then(|| Box::new(Seen::of(call)));
        self.write(|record| record.shown(&sha256, full));
    }

    /// It is about to be routed, to one of these.
    pub(crate) fn routing(&mut self, call: &signalbox_policy::Call, menu: &[ExpertView]) {
        let bytes_max = self.log.keep().text_bytes_max;
        if let Some(seen) = &mut self.seen {
            seen.routing(call, menu);
            if seen.routed.as_ref().is_some_and(|routed| routed.written_bytes() > bytes_max) {
                self.seen = None;
                self.write(Record::without_text);
            }
        }
        self.write(|record| record.routing(menu));
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
        self.told = choice.told.clone();
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

    /// The first text leaves for the client.
    pub(crate) fn speaking(&mut self) {
        let ms = millis(self.received.elapsed());
        self.write(|record| record.timings.first_text_ms = Some(ms));
    }

    /// The reply is complete.
    pub(crate) fn finished(&mut self, end: &End) {
        let ms = millis(self.received.elapsed());
        self.span
            .in_scope(|| tracing::debug!(ending = ?end.ending, usage = ?end.usage, ms, "done"));
        self.write(|record| record.finished(end));
        let cached_tokens = end.usage.map(|usage| usage.cached_tokens);
        self.ended = Ended { how: outcome::ended(&end.ending), cached_tokens };
        self.traced.engine = end.performance.engine;
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
        self.traced.blameless = !refusal.is_for_operators();
        self.ended.how = CallEnd::Failed(outcome::fault(&refusal));
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
        let runs = self.runs.all();
        record.noted(&self.notes.all());
        record.ran(&runs);
        self.log.keep().tracer.ended(self.traced.measured(&record, self.received, runs));
        if let Some(told) = self.told.take() {
            self.log.tell(&record, told, self.ended.of(&record));
        }
        self.log.push(*record, self.seen.take());
    }
}

impl Ended {
    fn of(&self, record: &Record) -> CallOutcome {
        let ms = |ms: f64| ms.round() as u32; // saturates
        CallOutcome {
            expert: record.expert.as_deref().map(str::to_owned),
            end: self.how,
            first_text_ms: record.timings.first_text_ms.map(ms),
            total_ms: ms(record.timings.total_ms),
            prompt_tokens: record.prompt_tokens,
            cached_tokens: self.cached_tokens,
            completion_tokens: record.completion_tokens,
            rating: None,
        }
    }
}

impl Traced {
    fn of(call: &Call, is_traced: bool) -> Self {
        let operation = match call.form {
            Form::Chat => "chat",
            Form::Text => "text_completion",
        };
        let (parent, at) = (call.caller.parent(), SystemTime::now());
        let (asks, asked, engine) = (Asks::of(is_traced), None, None);
        Self { parent, at, operation, blameless: true, asks, asked, engine }
    }

    fn measured<'r>(&self, record: &'r Record, received: Instant, runs: Vec<Run>) -> Measured<'r> {
        let failed = !self.blameless && record.outcome != Outcome::Completed;
        Measured {
            parent: self.parent,
            received: (received.into_std(), self.at),
            operation: self.operation,
            asked_for: record.asked_for.as_deref(),
            expert: record.expert.as_deref(),
            route: record.route.as_deref(),
            ids: (&record.decision, &record.id),
            outcome: (record.outcome.name(), failed),
            finish_reason: record.finish_reason.as_deref(),
            tokens: (record.prompt_tokens, record.completion_tokens),
            runs,
            asks: self.asks.all(),
            work: self.asked.map(Instant::into_std).zip(self.engine),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.close(Outcome::Cancelled);
    }
}

/// Who said what, in hexadecimal digits: texts that are the same have the same.
fn digest(call: &signalbox_policy::Call) -> String {
    let mut digest = Sha256::new();
    for message in &call.messages {
        for part in [&message.role, &message.content] {
            digest.update(part);
            digest.update([0]);
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
