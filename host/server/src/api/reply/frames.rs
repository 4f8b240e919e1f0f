//! What a stream carries, whatever its dialect: frames of JSON, as server-sent events with or without names, or as
//! lines of their own.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream::BoxStream};
use serde::Serialize;

/// Frames of a stream.
pub(super) type Frames = BoxStream<'static, Frame>;

/// How frames are put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Framing {
    /// Server-sent events.
    Events,
    /// JSON objects, one a line, which have no comments.
    Lines,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum Frame {
    /// For people and proxies: clients don't read it.
    Comment(String),
    /// JSON on one line, or a mark.
    Data {
        /// The event's name, where the dialect has some.
        event: Option<&'static str>,
        data: String,
    },
}

impl Frame {
    /// JSON without a name.
    pub(in crate::api) fn json(value: &impl Serialize) -> Self {
        Self::Data { event: None, data: json(value) }
    }

    /// JSON as an event of this name.
    pub(in crate::api) fn named(event: &'static str, value: &impl Serialize) -> Self {
        Self::Data { event: Some(event), data: json(value) }
    }

    /// What is no JSON.
    pub(in crate::api) fn mark(text: &str) -> Self {
        Self::Data { event: None, data: text.to_owned() }
    }

    fn event(self) -> Event {
        match self {
            Self::Comment(text) => Event::default().comment(text),
            Self::Data { event: None, data } => Event::default().data(data),
            Self::Data { event: Some(event), data } => Event::default().event(event).data(data),
        }
    }

    fn line(self) -> Option<Bytes> {
        match self {
            Self::Comment(_) => None,
            Self::Data { data, .. } => Some(format!("{data}\n").into()),
        }
    }
}

#[expect(clippy::expect_used, reason = "these types have string keys and finite numbers only")]
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("serialises")
}

/// The body of a stream, and what says which kind it is.
pub(super) fn respond(framing: Framing, frames: Frames) -> Response {
    match framing {
        Framing::Events => {
            let events = frames.map(|frame| Ok::<_, Infallible>(frame.event()));
            Sse::new(events).keep_alive(KeepAlive::default()).into_response()
        }
        Framing::Lines => {
            let lines = frames.filter_map(async |frame| frame.line().map(Ok::<_, Infallible>));
            ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
        }
    }
}
