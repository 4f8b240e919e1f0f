//! What is measured of a call, as spans: the call, the hooks of policies, and an expert's work on it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use signalbox_engine::Timings;
use signalbox_policy::Run;

use super::{
    asks::Ask,
    context::{Parent, SpanId, TraceId},
    settings::GenAi,
    span::{Kind, Span, TraceOfCall},
};

/// What this host is to a client: the provider of its models.
const PROVIDER: &str = "signalbox";

/// What is measured of a call that has ended.
pub(crate) struct Measured<'a> {
    /// Whose child it is.
    pub(crate) parent: Option<Parent>,
    /// When it was received, by the steady clock and by the wall's.
    pub(crate) received: (Instant, SystemTime),
    /// What the conventions call it: `chat`, `text_completion`, `embeddings`; or `rerank`, which they have no word for.
    pub(crate) operation: &'static str,
    /// What the client named.
    pub(crate) asked_for: Option<&'a str>,
    /// Who answered.
    pub(crate) expert: Option<&'a str>,
    /// Who chose it.
    pub(crate) route: Option<&'a str>,
    /// Its record in the decision log, and the client's id.
    pub(crate) ids: (&'a str, &'a str),
    /// How it ended, and whether that is a failure.
    pub(crate) outcome: (&'static str, bool),
    pub(crate) finish_reason: Option<&'a str>,
    /// Tokens of prompt and reply.
    pub(crate) tokens: (Option<u32>, Option<u32>),
    /// What policies did.
    pub(crate) runs: Vec<Run>,
    /// What they asked of experts.
    pub(crate) asks: Vec<Ask>,
    /// When the expert was asked, and its own account.
    pub(crate) work: Option<(Instant, Timings)>,
}

impl Measured<'_> {
    /// Its spans; `None` where whoever began the trace does not want it written down.
    pub(super) fn trace(&self, gen_ai: GenAi) -> Option<TraceOfCall> {
        if self.parent.is_some_and(|parent| !parent.sampled) {
            return None;
        }
        let call = SpanId::fresh();
        let mut spans = vec![self.call(call, gen_ai)];
        let hooks: Vec<Span> = self.runs.iter().map(|run| self.hook(call, run)).collect();
        let asks = self.asks.iter().map(|ask| {
            let mut runs = self.runs.iter().zip(&hooks);
            let asker =
                runs.find(|(run, _)| (run.hook, &run.policy) == (ask.asker.0, &ask.asker.1));
            self.ask(asker.map_or(call, |(_, hook)| hook.id), ask, gen_ai)
        });
        let asks: Vec<Span> = asks.collect();
        spans.extend(hooks);
        spans.extend(asks);
        if let Some((asked, timings)) = &self.work {
            spans.extend(self.work(call, *asked, timings));
        }
        let trace = self.parent.map_or_else(TraceId::fresh, |parent| parent.trace);
        Some(TraceOfCall { trace, spans })
    }

    fn call(&self, id: SpanId, gen_ai: GenAi) -> Span {
        let model = self.expert.or(self.asked_for);
        let name =
            [Some(self.operation), model].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let mut attributes = vec![
            ("signalbox.request", json!(self.ids.1)),
            ("signalbox.decision", json!(self.ids.0)),
            ("signalbox.outcome", json!(self.outcome.0)),
        ];
        attributes.extend(self.route.map(|route| ("signalbox.route", json!(route))));
        attributes.extend(self.gen_ai(gen_ai));
        let (begin, end) = (self.received.1, self.at(Instant::now()));
        Span {
            id,
            parent: self.parent.map(|parent| parent.span),
            name,
            kind: Kind::Server,
            begin,
            end,
            attributes,
            failed: self.outcome.1,
        }
    }

    fn gen_ai(&self, version: GenAi) -> Vec<(&'static str, Value)> {
        let model = (self.asked_for, self.expert);
        let mut attributes = gen_ai(version, self.operation, model, self.tokens);
        if version != GenAi::Off {
            let reason = self.finish_reason.map(|reason| json!([reason]));
            attributes.extend(reason.map(|reason| ("gen_ai.response.finish_reasons", reason)));
        }
        attributes
    }

    /// What a policy asked of an expert, from its question to the answer.
    fn ask(&self, hook: SpanId, ask: &Ask, version: GenAi) -> Span {
        let model = (ask.asked_for.as_deref(), Some(&*ask.expert));
        let tokens = (Some(ask.tokens.0), Some(ask.tokens.1));
        let mut attributes = vec![("signalbox.import", json!(ask.import))];
        attributes.extend(gen_ai(version, ask.operation, model, tokens));
        let name = format!("{} {}", ask.operation, ask.expert);
        Span { failed: ask.failed, attributes, ..self.step(hook, name, ask.began, ask.until) }
    }

    /// From the first call into the component to the end of the last: a reply in `post` takes several.
    fn hook(&self, call: SpanId, run: &Run) -> Span {
        let mut attributes = vec![
            ("signalbox.hook", json!(run.hook.name())),
            ("signalbox.policy", json!(run.policy.name)),
            ("signalbox.revision", json!(run.policy.revision)),
            ("signalbox.hook.calls", json!(run.calls)),
            ("signalbox.hook.total_us", json!(run.total_us)),
            ("signalbox.hook.guest_us", json!(run.guest_us)),
        ];
        attributes.extend(run.ended.map(|how| ("signalbox.hook.ended", json!(how))));
        Span {
            failed: run.ended.is_some_and(|how| how != "refused"),
            attributes,
            ..self.step(
                call,
                format!("{} {}", run.hook.name(), run.policy.name),
                run.began,
                run.until,
            )
        }
    }

    /// Waiting, loading, reading and writing, one behind the other as the engine measured them: their lengths are
    /// measured, and pauses between them are not known of.
    fn work(&self, call: SpanId, asked: Instant, timings: &Timings) -> Vec<Span> {
        let begun = asked + timings.queued;
        let read = begun + timings.prefill;
        let queue = self.step(call, "queue".into(), asked, begun);
        let load = timings.loading.map(|took| {
            self.step(queue.id, "load".into(), asked, asked + took.min(timings.queued))
        });
        let prefill = self.step(call, "prefill".into(), begun, read);
        let decode = (timings.decode > Duration::ZERO)
            .then(|| self.step(call, "decode".into(), read, read + timings.decode));
        [Some(queue), load, Some(prefill), decode].into_iter().flatten().collect()
    }

    fn step(&self, parent: SpanId, name: String, begin: Instant, end: Instant) -> Span {
        Span {
            id: SpanId::fresh(),
            parent: Some(parent),
            name,
            kind: Kind::Internal,
            begin: self.at(begin),
            end: self.at(end),
            attributes: Vec::new(),
            failed: false,
        }
    }

    /// A moment by the wall's clock as it was when the call was received: no step of the clock shows.
    fn at(&self, moment: Instant) -> SystemTime {
        let (steady, wall) = self.received;
        wall + moment.saturating_duration_since(steady)
    }
}

/// What the conventions have for work of a model: whom it was asked of and who did it, and tokens of prompt and reply.
fn gen_ai(
    version: GenAi,
    operation: &str,
    (asked_for, expert): (Option<&str>, Option<&str>),
    tokens: (Option<u32>, Option<u32>),
) -> Vec<(&'static str, Value)> {
    let provider = match version {
        GenAi::Off => return Vec::new(),
        GenAi::V1_36 => "gen_ai.system",
        GenAi::V1_37 => "gen_ai.provider.name",
    };
    let always = [(provider, json!(PROVIDER)), ("gen_ai.operation.name", json!(operation))];
    let known = [
        ("gen_ai.request.model", asked_for.map(|model| json!(model))),
        ("gen_ai.response.model", expert.map(|model| json!(model))),
        ("gen_ai.usage.input_tokens", tokens.0.map(|tokens| json!(tokens))),
        ("gen_ai.usage.output_tokens", tokens.1.map(|tokens| json!(tokens))),
    ];
    let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
    always.into_iter().chain(known).collect()
}
