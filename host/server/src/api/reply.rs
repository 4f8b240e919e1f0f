//! A reply as HTTP: one JSON object, or server-sent events. Chat and text differ in their choices
//! only.
//!
//! A stream that fails in the middle sends `data: {"error": ...}` and ends without `[DONE]`:
//! OpenAI's clients raise on the first, and whoever waits for `[DONE]` sees that the reply is torn.

use std::{
    convert::Infallible,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use signalbox_confine::clean;

use super::sampling::Delivery;
use crate::{
    error::ApiError,
    openai::finish_reason,
    pipeline::{End, Form, Performance as Measured, Piece, Reply},
    request_id::RequestId,
    wire::{
        Word,
        completions::{
            Choice, Completion, Content, EnginePerformance, Message, Performance, Usage,
        },
    },
};

/// Names the expert that answered, or the policy that answered instead.
pub(crate) const EXPERT_HEADER: &str = "x-signalbox-expert";
const ROUTE_HEADER: &str = "x-signalbox-route";
const REASON_HEADER: &str = "x-signalbox-reason";

/// Bytes of a header made from a policy's words.
const HEADER_BYTES_MAX: usize = 200;

/// Sends a reply the way the client asked for it.
pub(super) async fn send(
    reply: Reply,
    form: Form,
    delivery: Delivery,
    id: &RequestId,
) -> Result<Response, ApiError> {
    let headers = headers(&reply);
    let writer = Writer::new(&reply, form, delivery, id);
    let response = if delivery.stream {
        let events = events(reply, writer);
        Sse::new(events).keep_alive(KeepAlive::default()).into_response()
    } else {
        let (text, end) = reply.whole().await?;
        Json(writer.whole(text, &end)).into_response()
    };
    Ok((headers, response).into_response())
}

/// Who answers and why, for people and for programs that log headers.
fn headers(reply: &Reply) -> HeaderMap {
    let values = [
        (EXPERT_HEADER, reply.model().to_owned()),
        (ROUTE_HEADER, reply.route.to_string()),
        (REASON_HEADER, reply.reason().to_owned()),
    ];
    let named = |(name, value): (_, String)| (HeaderName::from_static(name), header_text(&value));
    values.into_iter().map(named).collect()
}

/// Visible ASCII of bounded length. What would end the line is written out; other characters that a
/// header can't have are a `?`.
fn header_text(text: &str) -> HeaderValue {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let text: String = clean(text, HEADER_BYTES_MAX).chars().map(plain).collect();
    HeaderValue::from_str(text.trim()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Dropping this stream drops the reply, which cancels the generation.
fn events(reply: Reply, writer: Writer) -> impl Stream<Item = Result<Event, Infallible>> {
    let opening = stream::iter(writer.opening());
    let pieces = stream::unfold(reply, async |mut reply| {
        let piece = reply.next().await?;
        Some((piece, reply))
    });
    opening.chain(pieces.flat_map(move |piece| stream::iter(writer.events(piece)))).map(Ok)
}

/// Writes the pieces of one reply down.
struct Writer {
    form: Form,
    include_usage: bool,
    blank: Completion,
}

impl Writer {
    fn new(reply: &Reply, form: Form, delivery: Delivery, id: &RequestId) -> Self {
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
        Self { form, include_usage: delivery.include_usage, blank }
    }

    fn whole(self, text: String, end: &End) -> Completion {
        let content = match self.form {
            Form::Chat => {
                Content::Message(Message { role: Some("assistant".into()), content: Some(text) })
            }
            Form::Text => Content::Text(text),
        };
        Completion {
            choices: vec![choice(content, Some(finish_reason(&end.ending).into()))],
            usage: end.usage.map(|usage| Some(usage.into())),
            performance: Some(performance(&end.performance, &self.blank.model)),
            ..self.blank
        }
    }

    /// Before the first text: who speaks.
    fn opening(&self) -> Option<Event> {
        let speaker = Message { role: Some("assistant".into()), content: Some(String::new()) };
        (self.form == Form::Chat).then(|| event(&self.chunk(Content::Delta(speaker), None)))
    }

    fn events(&self, piece: Piece) -> Vec<Event> {
        match piece {
            Piece::Text(text) => vec![event(&self.chunk(self.delta(text), None))],
            Piece::End(end) => self.closing(&end),
            Piece::Failed(refused) => vec![event(&ApiError::from(refused).to_json())],
        }
    }

    fn delta(&self, text: String) -> Content {
        match self.form {
            Form::Chat => Content::Delta(Message { role: None, content: Some(text) }),
            Form::Text => Content::Text(text),
        }
    }

    /// Why it ended, what it cost where that was asked for, and the end mark.
    fn closing(&self, end: &End) -> Vec<Event> {
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

    fn chunk(&self, content: Content, finish_reason: Option<Word>) -> Completion {
        Completion {
            choices: vec![choice(content, finish_reason)],
            usage: self.include_usage.then_some(None),
            ..self.blank.clone()
        }
    }
}

fn choice(content: Content, finish_reason: Option<Word>) -> Choice {
    Choice { index: 0, content, logprobs: None, finish_reason }
}

#[expect(clippy::expect_used, reason = "these types have string keys and finite numbers only")]
fn event(value: &impl Serialize) -> Event {
    Event::default().json_data(value).expect("serialises")
}

fn performance(measured: &Measured, model: &str) -> Performance {
    Performance {
        time_to_first_token: measured.first_text,
        generation_time: measured.total,
        tokens_per_second: measured.tokens_per_second,
        routed_to: model.to_owned(),
        engine: measured.engine.map(EnginePerformance::from),
    }
}

/// Whole seconds since 1970, as OpenAI dates things.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
