//! A reply as HTTP: one JSON object, or server-sent events. `writer` says what stands in them.
//!
//! A stream that fails in the middle sends `data: {"error": ...}` and ends without `[DONE]`:
//! OpenAI's clients raise on the first, and whoever waits for `[DONE]` sees that the reply is torn.

mod early;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        AppendHeaders, IntoResponse, Response,
        sse::{KeepAlive, Sse},
    },
};
use futures_util::{FutureExt, StreamExt, future::try_join_all, stream};
use signalbox_confine::clean;
use signalbox_engine::{Progress, Sampling};

use super::{
    sampling::Delivery,
    writer::{Writer, event},
};
use crate::{
    App,
    admission::Permit,
    error::ApiError,
    pipeline::{Call, Deadline, Form, Refused, Reply},
    request_id::RequestId,
    telemetry::Telemetry,
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
        let calls = several(&app, call, permit, self.delivery.choices)?;
        let answering = calls.into_iter().map(|(call, permit)| {
            let app = app.clone();
            async move { app.pipeline().answer(call, permit, deadline).await }
        });
        let answering = try_join_all(answering);
        let warning = (!warnings.is_empty()).then(|| (WARNING_HEADER, header_text(&warnings)));
        let response = match self.delivery.stream {
            true => self.stream(answering.boxed(), telemetry).await?,
            false => self.whole(answering.await?).await?,
        };
        Ok((AppendHeaders(warning), response).into_response())
    }

    async fn whole(self, replies: Vec<Reply>) -> Result<Response, ApiError> {
        let headers = headers(&replies);
        let writer = self.writer(&replies);
        let replies = try_join_all(replies.into_iter().map(Reply::whole)).await?;
        Ok((headers, Json(writer.whole(replies))).into_response())
    }

    async fn stream(
        self,
        answering: Answering<Answered>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Response, ApiError> {
        let (headers, events) = match early::soon(answering, PATIENCE).await {
            Ok(known) => {
                let replies = known?;
                (headers(&replies), self.events(replies))
            }
            Err(answering) => {
                let progress = self.progress.clone();
                let begin = move |answered: Answered| match answered {
                    Ok(replies) => self.events(replies),
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

    fn writer(&self, replies: &[Reply]) -> Writer {
        Writer::new(replies, self.form, &self.delivery, &self.id)
    }

    /// Dropping this stream drops the replies, which cancels the generation.
    fn events(&self, replies: Vec<Reply>) -> Events {
        let mut writer = self.writer(&replies);
        let opening = stream::iter(writer.opening());
        let pieces = replies.into_iter().enumerate().map(|(at, reply)| {
            let pieces = stream::unfold(reply, async |mut reply| {
                let piece = reply.next().await?;
                Some((piece, reply))
            });
            pieces.map(move |piece| (at, piece)).boxed()
        });
        let written = stream::select_all(pieces)
            .flat_map(move |(at, piece)| stream::iter(writer.events(at, piece)));
        opening.chain(written).map(Ok).boxed()
    }
}

/// A call for each choice that is wanted, with a permit of its own. They differ in their dice alone.
fn several(
    app: &App,
    call: Call,
    permit: Permit,
    choices: u32,
) -> Result<Vec<(Call, Permit)>, ApiError> {
    let other = |at: u32| {
        let seed = call.sampling.seed.map(|seed| seed.wrapping_add(u64::from(at)));
        let sampling = Sampling { seed, ..call.sampling.clone() };
        let other = Call { sampling, progress: Progress::default(), ..call.clone() };
        let permit = app.pipeline().admission.admit();
        let late = |refusal| Refused { id: call.view.id.clone(), refusal };
        Ok::<_, ApiError>((other, permit.map_err(late)?))
    };
    let others: Vec<_> = (1..choices).map(other).collect::<Result<_, _>>()?;
    Ok(std::iter::once((call, permit)).chain(others).collect())
}

/// How a call begins.
type Answered = Result<Vec<Reply>, Refused>;

/// Who answers and why, for people and for programs that log headers.
fn headers(replies: &[Reply]) -> HeaderMap {
    let reply = &replies[0]; // there is one at least
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
