//! One call as the decision log keeps it. Words of clients, policies and checkpoints stand in it on
//! one line each, and everything is cut: a record never takes more than [`RECORD_BYTES_MAX`].

use std::{
    fmt::Display,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use signalbox_engine::Usage;
use signalbox_policy::{ConsensusMode, ExpertState, ExpertView, Note, Plan, Run};

use super::{
    input_view::InputView,
    rating::RatingView,
    words::{Text, cut, list_bytes, name, text_bytes},
};
use crate::{
    caller::Caller,
    openai::finish_reason,
    pipeline::{call::Call, choice::Choice, end::End},
};

/// Most memory of one record.
#[cfg(test)]
pub(crate) const RECORD_BYTES_MAX: usize = 30 << 10;
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

/// One call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
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
    pub(super) asked_for: Option<Text>,
    streaming: bool,
    /// What policies were shown of it.
    input: InputView,
    /// `client`, `default` or `policy@revision`; `null` when it was refused before routing.
    pub(super) route: Option<Text>,
    plan: Option<PlanView>,
    pub(super) reason: Text,
    confidence: Option<f32>,
    tags: Vec<(Text, Text)>,
    /// The experts there were when it was routed.
    candidates: Vec<CandidateView>,
    /// Which policies worked on it, in the order they began.
    hooks: Vec<RunView>,
    /// What policies noted.
    notes: Vec<NoteView>,
    /// Experts that were asked and did not begin to answer.
    tried: Vec<Tried>,
    /// Who answered.
    pub(super) expert: Option<Text>,
    pub(super) outcome: Outcome,
    pub(super) finish_reason: Option<Text>,
    error: Option<Text>,
    pub(super) prompt_tokens: Option<u32>,
    pub(super) completion_tokens: Option<u32>,
    pub(super) timings: TimingsView,
    /// What its caller thinks of it; absent until it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rating: Option<RatingView>,
}

/// A plan as operators read it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PlanView {
    Expert(Text),
    Fallback(Vec<Text>),
    Consensus { members: Vec<Text>, judge: Option<Text>, mode: Text },
}

/// An expert that might have answered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct CandidateView {
    expert: Text,
    /// `resident`, `loading`, `cold` or `failed`.
    state: Text,
    /// Calls that ran or waited on it.
    queue_depth: u32,
    /// Absent before anything was measured.
    estimated_wait_ms: Option<u32>,
}

/// One policy in one hook.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct RunView {
    hook: Text,
    /// `policy@revision`.
    policy: Text,
    /// Calls into the component; a reply in `post` takes several.
    calls: u32,
    /// Wall clock of these, waiting and host imports included, in microseconds.
    total_us: u64,
    /// Of it, the guest's own time.
    guest_us: u64,
    /// What it asked of experts.
    #[serde(default)]
    asks: u32,
    /// Tokens that they spent on it.
    #[serde(default)]
    asked_tokens: u64,
    /// `refused`, or how it failed; `null` when it did its work.
    ended: Option<Text>,
}

/// What a policy noted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct NoteView {
    policy: Text,
    key: Text,
    value: Text,
}

/// An expert that did not begin to answer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Tried {
    expert: Text,
    error: Text,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct TimingsView {
    pub(super) routed_ms: Option<f64>,
    pub(super) first_text_ms: Option<f64>,
    pub(super) total_ms: f64,
}

impl Outcome {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
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
            input: InputView::of(&call.view),
            route: None,
            plan: None,
            reason: Text::default(),
            confidence: None,
            tags: vec![],
            candidates: vec![],
            hooks: vec![],
            notes: vec![],
            tried: vec![],
            expert: None,
            outcome: Outcome::Cancelled,
            finish_reason: None,
            error: None,
            prompt_tokens: None,
            completion_tokens: None,
            timings: TimingsView::default(),
            rating: None,
        }
    }

    /// Whether this is what it is called in `x-signalbox-decision`.
    pub(super) fn is_called(&self, decision: &str) -> bool {
        *self.decision == *decision
    }

    /// What it is called in `x-signalbox-decision`.
    pub(super) fn name(&self) -> &str {
        &self.decision
    }

    /// The same with what its caller thinks of it, where that is known.
    pub(super) fn rated(self: Arc<Self>, rating: Option<RatingView>) -> Arc<Self> {
        match rating {
            Some(rating) => Arc::new(Self { rating: Some(rating), ..Arc::unwrap_or_clone(self) }),
            None => self,
        }
    }

    /// Whether this is whose call it was.
    pub(super) fn is_of(&self, caller: &Caller) -> bool {
        self.caller == name(&caller.to_string())
    }

    /// When it was received, milliseconds since 1970.
    pub(super) fn received_ms(&self) -> u64 {
        self.at_ms
    }

    /// Whether what policies saw of it was written down beside it.
    pub(super) fn has_text(&self) -> bool {
        self.input.text
    }

    /// What its messages say comes to this, and whether they are written down.
    pub(super) fn shown(&mut self, sha256: &str, text: bool) {
        self.input.sha256 = Some(sha256.into());
        self.input.text = text;
    }

    /// Its text is too long to be written down.
    pub(super) fn without_text(&mut self) {
        self.input.text = false;
    }

    pub(super) fn routing(&mut self, menu: &[ExpertView]) {
        self.candidates = some(menu, candidate, |more| CandidateView {
            expert: left_out(more),
            state: Text::default(),
            queue_depth: 0,
            estimated_wait_ms: None,
        });
    }

    pub(super) fn ran(&mut self, runs: &[Run]) {
        self.hooks = some(runs, run, |more| RunView {
            hook: Text::default(),
            policy: left_out(more),
            calls: 0,
            total_us: 0,
            guest_us: 0,
            asks: 0,
            asked_tokens: 0,
            ended: None,
        });
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
        self.finish_reason = Some(finish_reason(&end.ending).into());
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
        let texts = [
            &self.asked_for,
            &self.route,
            &self.expert,
            &self.error,
            &self.finish_reason,
            &self.input.sha256,
        ];
        let candidates = self.candidates.iter().map(|c| c.expert.len() + c.state.len());
        let hooks = self.hooks.iter();
        let hooks =
            hooks.map(|run| run.hook.len() + run.policy.len() + text_bytes(run.ended.as_ref()));
        size_of::<Self>()
            + self.decision.len()
            + self.id.len()
            + self.caller.len()
            + self.reason.len()
            + texts.into_iter().map(|text| text_bytes(text.as_ref())).sum::<usize>()
            + plan
            + self.rating.as_ref().map_or(0, RatingView::bytes)
            + self.tags.capacity() * size_of::<(Text, Text)>()
            + tags
            + self.candidates.capacity() * size_of::<CandidateView>()
            + candidates.sum::<usize>()
            + self.hooks.capacity() * size_of::<RunView>()
            + hooks.sum::<usize>()
            + self.notes.capacity() * size_of::<NoteView>()
            + notes.sum::<usize>()
            + self.tried.capacity() * size_of::<Tried>()
            + tried.sum::<usize>()
    }
}

/// Reads a record that is to be shared.
pub(super) fn shared<'d, D: Deserializer<'d>>(from: D) -> Result<Arc<Record>, D::Error> {
    Record::deserialize(from).map(Arc::new)
}

/// Writes a shared record as it is.
pub(crate) fn as_it_is<S: Serializer>(record: &Arc<Record>, to: S) -> Result<S::Ok, S::Error> {
    record.serialize(to)
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
                ConsensusMode::Parallel => "parallel".into(),
                ConsensusMode::Turns => "turns".into(),
            },
        },
    }
}

fn candidate(expert: &ExpertView) -> CandidateView {
    let state = match expert.state {
        ExpertState::Resident => "resident",
        ExpertState::Loading => "loading",
        ExpertState::Cold => "cold",
        ExpertState::Failed(_) => "failed",
    };
    CandidateView {
        expert: name(&expert.id),
        state: state.into(),
        queue_depth: expert.queue_depth,
        estimated_wait_ms: expert.estimated_wait_ms,
    }
}

fn run(run: &Run) -> RunView {
    RunView {
        hook: run.hook.name().into(),
        policy: name(&run.policy.to_string()),
        calls: run.calls,
        total_us: run.total_us,
        guest_us: run.guest_us,
        asks: run.asks,
        asked_tokens: run.asked_tokens,
        ended: run.ended.map(Into::into),
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

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
