//! A reply as HTTP: one JSON object, or server-sent events. Chat and text differ in their choices
//! only.
//!
//! A stream that fails in the middle sends `data: {"error": ...}` and ends without `[DONE]`:
//! OpenAI's clients raise on the first, and whoever waits for `[DONE]` sees that the reply is torn.

mod early;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        AppendHeaders, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{FutureExt, StreamExt, stream};
use serde::Serialize;
use signalbox_confine::clean;
use signalbox_engine::{Progress, TokenLogprobs};

use super::{logprobs, sampling::Delivery};
use crate::{
    App,
    admission::Permit,
    error::ApiError,
    openai::finish_reason,
    pipeline::{Call, Deadline, End, Form, Performance as Measured, Piece, Refused, Reply, Whole},
    request_id::RequestId,
    telemetry::Telemetry,
    wire::{
        Word,
        completions::{
            Choice, Completion, Content, EnginePerformance, Message, Performance, ToolCall, Usage,
        },
    },
};
use early::{Answering, Events};

/// Names the expert that answered, or the policy that answered instead.
pub(crate) const EXPERT_HEADER: &str = "x-signalbox-expert";
const ROUTE_HEADER: &str = "x-signalbox-route";
const REASON_HEADER: &str = "x-signalbox-reason";
/// What the caller should know about the call.
const WARNING_HEADER: &str = "x-signalbox-warning";

/// Tells nginx to pass events on as they come.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");
/// How long the status of a stream waits for what may go wrong.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two comments of a stream that has not begun.
const PULSE: Duration = Duration::from_secs(3);

/// Bytes of a header made from a policy's words.
const HEADER_BYTES_MAX: usize = 200;

/// A call on its way to its reply, and how that is to be written down.
pub(super) struct Sending {
    pub(super) form: Form,
    pub(super) delivery: Delivery,
    pub(super) id: RequestId,
    /// Where the call stands.
    pub(super) progress: Progress,
}

impl Sending {
    /// Has a call answered, and sends the reply the way the client asked for it.
    pub(super) async fn send(
        self,
        app: App,
        call: Call,
        permit: Permit,
        deadline: Deadline,
    ) -> Result<Response, ApiError> {
        let warnings = self.delivery.warnings.join("; ");
        if !warnings.is_empty() {
            tracing::warn!(warnings, "a call has unknown fields");
        }
        let telemetry = app.pipeline().telemetry.clone();
        let answering = async move { app.pipeline().answer(call, permit, deadline).await };
        let warning = (!warnings.is_empty()).then(|| (WARNING_HEADER, header_text(&warnings)));
        let response = match self.delivery.stream {
            true => self.stream(answering.boxed(), telemetry).await?,
            false => self.whole(answering.await?).await?,
        };
        Ok((AppendHeaders(warning), response).into_response())
    }

    async fn whole(self, reply: Reply) -> Result<Response, ApiError> {
        let headers = headers(&reply);
        let writer = self.writer(&reply);
        let whole = reply.whole().await?;
        Ok((headers, Json(writer.whole(whole))).into_response())
    }

    async fn stream(
        self,
        answering: Answering<Answered>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Response, ApiError> {
        let (headers, events) = match early::soon(answering, PATIENCE).await {
            Ok(known) => {
                let reply = known?;
                (headers(&reply), self.events(reply))
            }
            Err(answering) => {
                let progress = self.progress.clone();
                let begin = move |answered: Answered| match answered {
                    Ok(reply) => self.events(reply),
                    Err(refused) => {
                        telemetry.reply_failed(""); // its status was counted as 200 long ago
                        stream::iter([Ok(event(&ApiError::from(refused).to_json()))]).boxed()
                    }
                };
                let comments = early::comments(answering, progress, PULSE, begin);
                (HeaderMap::new(), comments.boxed())
            }
        };
        let events = Sse::new(events).keep_alive(KeepAlive::default());
        Ok((headers, AppendHeaders([UNBUFFERED]), events).into_response())
    }

    fn writer(&self, reply: &Reply) -> Writer {
        Writer::new(reply, self.form, &self.delivery, &self.id)
    }

    /// Dropping this stream drops the reply, which cancels the generation.
    fn events(&self, reply: Reply) -> Events {
        let mut writer = self.writer(&reply);
        let opening = stream::iter(writer.opening());
        let written = stream::unfold((reply, writer), async |(mut reply, mut writer)| {
            let piece = reply.next().await?;
            Some((stream::iter(writer.events(piece)), (reply, writer)))
        });
        let written = written.flatten();
        opening.chain(written).map(Ok).boxed()
    }
}

/// How a call begins.
type Answered = Result<Reply, Refused>;

/// Who answers and why, for people and for programs that log headers.
fn headers(reply: &Reply) -> HeaderMap {
    let values = [
        (EXPERT_HEADER, reply.model().to_owned()),
        (ROUTE_HEADER, reply.route.to_string()),
        (REASON_HEADER, reply.reason()),
    ];
    let named = |(name, value): (_, String)| (HeaderName::from_static(name), header_text(&value));
    values.into_iter().map(named).collect()
}

/// Visible ASCII of bounded length. What would end the line is written out; letters that a header can't
/// have are written with those that it can, as in "funcion".
fn header_text(text: &str) -> HeaderValue {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let ascii = deunicode::deunicode(&clean(text, HEADER_BYTES_MAX));
    let text: String = clean(&ascii, HEADER_BYTES_MAX).chars().map(plain).collect();
    HeaderValue::from_str(text.trim()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Writes the pieces of one reply down.
struct Writer {
    form: Form,
    include_usage: bool,
    /// Calls that were written.
    calls: u32,
    /// Tokens of the next text.
    weighed: Vec<TokenLogprobs>,
    /// Characters of the text that was written.
    offset: u32,
    blank: Completion,
}

impl Writer {
    fn new(reply: &Reply, form: Form, delivery: &Delivery, id: &RequestId) -> Self {
        let (prefix, object) = match (form, delivery.stream) {
            (Form::Chat, false) => ("chatcmpl", "chat.completion"),
            (Form::Chat, true) => ("chatcmpl", "chat.completion.chunk"),
            (Form::Text, _) => ("cmpl", "text_completion"),
        };
        let blank = Completion {
            id: format!("{prefix}-{}", id.as_str()),
            object: object.into(),
            created: unix_seconds(SystemTime::now()),
            model: reply.model().to_owned(),
            choices: vec![],
            usage: None,
            performance: None,
        };
        Self {
            form,
            include_usage: delivery.include_usage,
            calls: 0,
            weighed: vec![],
            offset: 0,
            blank,
        }
    }

    fn whole(self, whole: Whole) -> Completion {
        let Whole { text, calls, logprobs, end } = whole;
        let content = match self.form {
            Form::Chat => Content::Message(Message {
                role: Some("assistant".into()),
                content: Some((calls.is_empty() || !text.is_empty()).then_some(text)),
                tool_calls: calls.into_iter().map(|call| ToolCall::new(call, None)).collect(),
            }),
            Form::Text => Content::Text(text),
        };
        Completion {
            choices: vec![Choice {
                index: 0,
                content,
                logprobs: logprobs::written(self.form, logprobs, &mut 0),
                finish_reason: Some(finish_reason(&end.ending).into()),
            }],
            usage: end.usage.map(|usage| Some(usage.into())),
            performance: Some(performance(&end.performance, &self.blank.model)),
            ..self.blank
        }
    }

    /// Before the first text: who speaks.
    fn opening(&mut self) -> Option<Event> {
        let speaker = Message { role: Some("assistant".into()), ..Message::said(String::new()) };
        (self.form == Form::Chat).then(|| event(&self.chunk(Content::Delta(speaker), None)))
    }

    fn events(&mut self, piece: Piece) -> Vec<Event> {
        match piece {
            Piece::Text(text) => {
                let delta = self.delta(text);
                vec![event(&self.chunk(delta, None))]
            }
            Piece::Call(call) => {
                let tool_calls = vec![ToolCall::new(call, Some(self.calls))];
                self.calls += 1;
                let delta = Message { tool_calls, ..Message::default() };
                vec![event(&self.chunk(Content::Delta(delta), None))]
            }
            Piece::Logprobs(tokens) => {
                self.weighed.extend(tokens);
                vec![]
            }
            Piece::End(end) => self.closing(&end),
            Piece::Failed(refused) => vec![event(&ApiError::from(refused).to_json())],
        }
    }

    fn delta(&self, text: String) -> Content {
        match self.form {
            Form::Chat => Content::Delta(Message::said(text)),
            Form::Text => Content::Text(text),
        }
    }

    /// Why it ended, what it cost where that was asked for, and the end mark.
    fn closing(&mut self, end: &End) -> Vec<Event> {
        let empty = match self.form {
            Form::Chat => Content::Delta(Message::default()),
            Form::Text => Content::Text(String::new()),
        };
        let mut last = self.chunk(empty, Some(finish_reason(&end.ending).into()));
        last.performance = Some(performance(&end.performance, &self.blank.model));
        let mut events = vec![event(&last)];
        if self.include_usage {
            let usage = Some(end.usage.map(Usage::from));
            events.push(event(&Completion { usage, ..self.blank.clone() }));
        }
        events.push(Event::default().data("[DONE]"));
        events
    }

    fn chunk(&mut self, content: Content, finish_reason: Option<Word>) -> Completion {
        let weighed = std::mem::take(&mut self.weighed);
        let logprobs = logprobs::written(self.form, weighed, &mut self.offset);
        Completion {
            choices: vec![Choice { index: 0, content, logprobs, finish_reason }],
            usage: self.include_usage.then_some(None),
            ..self.blank.clone()
        }
    }
}

#[expect(clippy::expect_used, reason = "these types have string keys and finite numbers only")]
fn event(value: &impl Serialize) -> Event {
    Event::default().json_data(value).expect("serialises")
}

fn performance(measured: &Measured, model: &str) -> Performance {
    Performance {
        time_to_first_token: measured.first_text,
        ttft: measured.first_text,
        generation_time: measured.total,
        total_time: measured.total,
        tokens_per_second: measured.tokens_per_second,
        routed_to: model.to_owned(),
        engine: measured.engine.map(EnginePerformance::from),
    }
}

/// Whole seconds since 1970, as OpenAI dates things.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stays_readable() {
        let check = |text: &str, expect: &str| assert_eq!(header_text(text), expect, "{text}");
        check("keyword 'función'", "keyword 'funcion'");
        check("naïve Straße, año", "naive Strasse, ano");
        check("plain", "plain");
        assert!(header_text(&"日本".repeat(500)).len() <= HEADER_BYTES_MAX + 8);
    }
}
