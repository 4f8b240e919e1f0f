//! One call as the decision log keeps it. Words of clients, policies and checkpoints stand in it on
//! one line each, and everything is cut: a record never takes more than [`RECORD_BYTES_MAX`].

use std::{
    fmt::Display,
    time::{SystemTime, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::Serialize;
use signalbox_confine::clean;
use signalbox_engine::Usage;
use signalbox_policy::{ConsensusMode, Note, Plan};

use crate::{
    openai::finish_reason,
    pipeline::{call::Call, choice::Choice, end::End},
};

/// Most memory of one record.
#[cfg(test)]
pub(crate) const RECORD_BYTES_MAX: usize = 30 << 10;
/// Bytes of the name of a call, an expert or a policy.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 500;
/// Bytes of the error that ended the call.
const ERROR_BYTES_MAX: usize = 1000;
/// Bytes of the error of one expert that did not begin to answer.
const TRIED_BYTES_MAX: usize = 300;
/// Bytes of the key and of the value of a tag.
const TAG_BYTES_MAX: (usize, usize) = (64, 256);
/// Experts of a plan, tags and tries that are kept of one call; of more, their number.
const LIST_MAX: usize = 16;

/// Text within its bound.
type Text = Box<str>;

/// One call.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Record {
    /// Counts the calls since the start. Clients may give several calls the same id.
    number: u64,
    /// Its name in the header `x-signalbox-decision`, which no other call has.
    pub(super) decision: Text,
    pub(super) id: Text,
    /// When it was received, milliseconds since 1970.
    at_ms: u64,
    /// Whose call it was: `key:NAME`, or `peer:ADDRESS` where there are no keys.
    caller: Text,
    /// What the client named; `null` left the choice to the router.
    asked_for: Option<Text>,
    streaming: bool,
    /// `client`, `default` or `policy@revision`; `null` when it was refused before routing.
    route: Option<Text>,
    plan: Option<PlanView>,
    pub(super) reason: Text,
    confidence: Option<f32>,
    tags: Vec<(Text, Text)>,
    /// What policies noted.
    notes: Vec<NoteView>,
    /// Experts that were asked and did not begin to answer.
    tried: Vec<Tried>,
    /// Who answered.
    expert: Option<Text>,
    pub(super) outcome: Outcome,
    finish_reason: Option<&'static str>,
    error: Option<Text>,
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    pub(super) timings: TimingsView,
}

/// A plan as operators read it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PlanView {
    Expert(Text),
    Fallback(Vec<Text>),
    Consensus { members: Vec<Text>, judge: Option<Text>, mode: &'static str },
}

/// What a policy noted.
#[derive(Debug, Serialize, JsonSchema)]
struct NoteView {
    policy: Text,
    key: Text,
    value: Text,
}

/// An expert that did not begin to answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Tried {
    expert: Text,
    error: Text,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
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
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct TimingsView {
    pub(super) routed_ms: Option<f64>,
    pub(super) first_text_ms: Option<f64>,
    pub(super) total_ms: f64,
}

impl Record {
    /// What a reply that ended early has cost.
    pub(super) fn spent(&mut self, spent: Usage) {
        let counted = (spent != Usage::default()).then_some(spent);
        self.prompt_tokens = counted.map(|spent| spent.prompt_tokens);
        self.completion_tokens = counted.map(|spent| spent.completion_tokens);
    }

    pub(super) fn of(call: &Call, number: u64, decision: &str) -> Self {
        Self {
            number,
            decision: decision.into(),
            id: name(&call.view.id),
            at_ms: unix_millis(),
            caller: name(&call.caller.to_string()),
            asked_for: call.view.model.as_deref().map(name),
            streaming: call.view.streaming,
            route: None,
            plan: None,
            reason: Text::default(),
            confidence: None,
            tags: vec![],
            notes: vec![],
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

    pub(super) fn chose(&mut self, choice: &Choice) {
        self.routed(&choice.route, &choice.reason);
        self.plan = Some(plan_view(&choice.plan));
        self.confidence = choice.confidence;
        self.tags = some(&choice.tags, tag, |more| (left_out(more), Text::default()));
    }

    pub(super) fn routed(&mut self, by: &impl Display, reason: &str) {
        self.route = Some(name(&by.to_string()));
        self.reason = cut(reason, REASON_BYTES_MAX);
    }

    pub(super) fn tried(&mut self, expert: &str, error: &str) {
        if self.tried.len() < LIST_MAX {
            let (expert, error) = (name(expert), cut(error, TRIED_BYTES_MAX));
            self.tried.push(Tried { expert, error });
        }
    }

    pub(super) fn noted(&mut self, notes: &[Note]) {
        let view = |note: &Note| NoteView {
            policy: name(&note.policy),
            key: cut(&note.key, TAG_BYTES_MAX.0),
            value: cut(&note.value, TAG_BYTES_MAX.1),
        };
        let rest = |more| {
            let (policy, value) = (Text::default(), Text::default());
            NoteView { policy, key: left_out(more), value }
        };
        self.notes = some(notes, view, rest);
    }

    pub(super) fn answering(&mut self, model: &str) {
        self.expert = Some(name(model));
    }

    pub(super) fn finished(&mut self, end: &End) {
        self.finish_reason = Some(finish_reason(&end.ending));
        self.prompt_tokens = end.usage.map(|usage: Usage| usage.prompt_tokens);
        self.completion_tokens = end.usage.map(|usage| usage.completion_tokens);
        self.timings.first_text_ms = end.performance.first_text.map(|seconds| seconds * 1e3);
        self.timings.total_ms = end.performance.total * 1e3;
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.error = Some(cut(error, ERROR_BYTES_MAX));
    }

    /// Bytes that this record takes, what it points to included.
    pub(super) fn bytes(&self) -> usize {
        let plan = match &self.plan {
            None => 0,
            Some(PlanView::Expert(expert)) => expert.len(),
            Some(PlanView::Fallback(experts)) => list_bytes(experts),
            Some(PlanView::Consensus { members, judge, .. }) => {
                list_bytes(members) + text_bytes(judge.as_ref())
            }
        };
        let tags = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let notes = self.notes.iter();
        let notes = notes.map(|note| note.policy.len() + note.key.len() + note.value.len());
        let tried = self.tried.iter().map(|tried| tried.expert.len() + tried.error.len());
        let texts = [&self.asked_for, &self.route, &self.expert, &self.error];
        size_of::<Self>()
            + self.decision.len()
            + self.id.len()
            + self.caller.len()
            + self.reason.len()
            + texts.into_iter().map(|text| text_bytes(text.as_ref())).sum::<usize>()
            + plan
            + self.tags.capacity() * size_of::<(Text, Text)>()
            + tags
            + self.notes.capacity() * size_of::<NoteView>()
            + notes.sum::<usize>()
            + self.tried.capacity() * size_of::<Tried>()
            + tried.sum::<usize>()
    }
}

fn text_bytes(text: Option<&Text>) -> usize {
    text.map_or(0, |text| text.len())
}

fn list_bytes(list: &Vec<Text>) -> usize {
    list.capacity() * size_of::<Text>() + list.iter().map(|text| text.len()).sum::<usize>()
}

fn plan_view(plan: &Plan) -> PlanView {
    let names = |experts: &[String]| some(experts, |expert| name(expert), left_out);
    match plan {
        Plan::Expert(expert) => PlanView::Expert(name(expert)),
        Plan::Fallback(experts) => PlanView::Fallback(names(experts)),
        Plan::Consensus { members, judge, mode } => PlanView::Consensus {
            members: names(members),
            judge: judge.as_deref().map(name),
            mode: match mode {
                ConsensusMode::Parallel => "parallel",
                ConsensusMode::Turns => "turns",
            },
        },
    }
}

fn tag((key, value): &(String, String)) -> (Text, Text) {
    (cut(key, TAG_BYTES_MAX.0), cut(value, TAG_BYTES_MAX.1))
}

/// The first of a list, and a last one that says how many were left out.
fn some<T, K>(list: &[T], keep: impl Fn(&T) -> K, rest: impl Fn(usize) -> K) -> Vec<K> {
    let more = list.len().saturating_sub(LIST_MAX);
    let rest = (more > 0).then(|| rest(more));
    let mut kept = Vec::with_capacity(list.len().min(LIST_MAX) + rest.iter().len());
    kept.extend(list.iter().take(LIST_MAX).map(keep));
    kept.extend(rest);
    kept
}

fn left_out(more: usize) -> Text {
    format!("… and {more} more").into()
}

fn name(text: &str) -> Text {
    cut(text, NAME_BYTES_MAX)
}

fn cut(text: &str, bytes_max: usize) -> Text {
    clean(text, bytes_max).into_boxed_str()
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
