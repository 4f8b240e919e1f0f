//! A reply as HTTP: one JSON object, or a stream of them. A [`Dialect`] says what stands in them; heads that go out
//! early, what is said while a call waits, and the errors of its beginning are the same for all.

mod early;
mod frames;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{AppendHeaders, IntoResponse, Response},
};
use futures_util::{FutureExt, StreamExt, future::try_join_all, stream};
use serde::Serialize;
use signalbox_confine::clean;
use signalbox_engine::{Progress, Sampling, Stage};

use super::sampling::Delivery;
use crate::{
    App,
    admission::Permit,
    error::ApiError,
    pipeline::{Call, Deadline, Piece, Refused, Reply, Route, Whole},
    telemetry::Telemetry,
};
use early::{Answering, Waiter};
use frames::Frames;
pub(super) use frames::{Frame, Framing};

/// Names the expert that answered, or the policy that answered instead.
pub(crate) const EXPERT_HEADER: &str = "x-signalbox-expert";
const ROUTE_HEADER: &str = "x-signalbox-route";
const REASON_HEADER: &str = "x-signalbox-reason";
/// Names the call's record in the decision log.
const DECISION_HEADER: &str = "x-signalbox-decision";
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

/// How one dialect writes the replies to a call down.
pub(super) trait Dialect: Send + 'static {
    /// How its streams are framed.
    const FRAMING: Framing = Framing::Events;
    /// What it answers when all is there.
    type Whole: Serialize;

    /// These begin, of which there is one at least. Called once, before everything but `waits` and `failed`.
    fn begin(&mut self, replies: &[Reply]);
    /// Before the first text.
    fn opening(&mut self) -> Vec<Frame>;
    /// A piece of the reply `at`.
    fn frames(&mut self, at: usize, piece: Piece) -> Vec<Frame>;
    /// The call did not begin, after the head of its stream went out.
    fn failed(&mut self, error: &ApiError) -> Vec<Frame>;
    /// All of them.
    fn whole(self, replies: Vec<Whole>) -> Self::Whole;

    /// What is said while the call waits.
    fn waits(&mut self, stage: &Stage) -> Frame {
        Frame::Comment(stage.to_string())
    }
}

/// A call on its way to its reply, and how that is to be written down.
pub(super) struct Sending<D> {
    pub(super) dialect: D,
    pub(super) delivery: Delivery,
    /// Where the call stands.
    pub(super) progress: Progress,
}

impl<D: Dialect> Sending<D> {
    /// Has calls answered, of which there is one at least, and sends the replies the way the client asked for them.
    pub(super) async fn send(
        self,
        app: App,
        calls: Vec<Call>,
        permit: Permit,
        deadline: Deadline,
    ) -> Result<Response, ApiError> {
        let warning = warning(&self.delivery.warnings);
        let telemetry = app.pipeline().telemetry.clone();
        let calls = several(&app, calls, permit, self.delivery.choices)?;
        let answering = calls.into_iter().map(|(call, permit)| {
            let app = app.clone();
            async move { app.pipeline().answer(call, permit, deadline).await }
        });
        let answering = try_join_all(answering);
        let response = match self.delivery.stream {
            true => self.stream(answering.boxed(), telemetry).await?,
            false => self.whole(answering.await?).await?,
        };
        Ok((warning, response).into_response())
    }

    async fn whole(mut self, replies: Vec<Reply>) -> Result<Response, ApiError> {
        let headers = headers(&replies);
        self.dialect.begin(&replies);
        let replies = try_join_all(replies.into_iter().map(Reply::whole)).await?;
        Ok((headers, Json(self.dialect.whole(replies))).into_response())
    }

    async fn stream(
        self,
        answering: Answering<Answered>,
        telemetry: Arc<Telemetry>,
    ) -> Result<Response, ApiError> {
        let Self { dialect, progress, .. } = self;
        let (headers, frames) = match early::soon(answering, PATIENCE).await {
            Ok(known) => {
                let replies = known?;
                (headers(&replies), written(dialect, replies))
            }
            Err(answering) => {
                let waiter = Early { dialect, telemetry };
                (HeaderMap::new(), early::comments(answering, progress, PULSE, waiter))
            }
        };
        let body = frames::respond(D::FRAMING, frames);
        Ok((headers, AppendHeaders([UNBUFFERED]), body).into_response())
    }
}

/// Dropping this stream drops the replies, which cancels the generation.
fn written<D: Dialect>(mut dialect: D, replies: Vec<Reply>) -> Frames {
    dialect.begin(&replies);
    let opening = stream::iter(dialect.opening());
    let pieces = replies.into_iter().enumerate().map(|(at, reply)| {
        let pieces = stream::unfold(reply, async |mut reply| {
            let piece = reply.next().await?;
            Some((piece, reply))
        });
        pieces.map(move |piece| (at, piece)).boxed()
    });
    let written = stream::select_all(pieces)
        .flat_map(move |(at, piece)| stream::iter(dialect.frames(at, piece)));
    opening.chain(written).boxed()
}

/// A stream whose head went out before its call began.
struct Early<D> {
    dialect: D,
    telemetry: Arc<Telemetry>,
}

impl<D: Dialect> Waiter<Answered> for Early<D> {
    fn waits(&mut self, stage: &Stage) -> Frame {
        self.dialect.waits(stage)
    }

    fn begins(self, answered: Answered) -> Frames {
        let Self { mut dialect, telemetry } = self;
        match answered {
            Ok(replies) => written(dialect, replies),
            Err(refused) => {
                telemetry.reply_failed(""); // its status was counted as 200 long ago
                stream::iter(dialect.failed(&refused.into())).boxed()
            }
        }
    }
}

/// A call for each choice that is wanted, with a permit of its own. Those of one prompt differ in their dice alone.
fn several(
    app: &App,
    calls: Vec<Call>,
    permit: Permit,
    choices: u32,
) -> Result<Vec<(Call, Permit)>, ApiError> {
    let mut first = Some(permit);
    let mut drawn = Vec::with_capacity(calls.len() * choices as usize);
    for call in calls {
        for at in 0..choices {
            let seed = call.sampling.seed.map(|seed| seed.wrapping_add(u64::from(at)));
            let sampling = Sampling { seed, ..call.sampling.clone() };
            let progress = if at == 0 { call.progress.clone() } else { Progress::default() };
            let late = |refusal| Refused { id: call.view.id.clone(), refusal };
            let permit = match first.take() {
                Some(permit) => permit,
                None => app.pipeline().admission.beside(&call.caller).map_err(late)?,
            };
            drawn.push((Call { sampling, progress, ..call.clone() }, permit));
        }
    }
    Ok(drawn)
}

/// How a call begins.
type Answered = Result<Vec<Reply>, Refused>;

/// What the caller should know about the call; operators read it, too.
pub(super) fn warning(warnings: &[String]) -> AppendHeaders<Option<(&'static str, HeaderValue)>> {
    let warnings = warnings.join("; ");
    if warnings.is_empty() {
        return AppendHeaders(None);
    }
    tracing::warn!(warnings, "a call has unknown fields");
    AppendHeaders(Some((WARNING_HEADER, header_text(&warnings))))
}

fn headers(replies: &[Reply]) -> HeaderMap {
    let reply = &replies[0]; // there is one at least
    account(reply.model(), &reply.route, &reply.reason(), reply.decision())
}

/// Who answers and why, for people and for programs that log headers.
pub(super) fn account(model: &str, route: &Route, reason: &str, decision: &str) -> HeaderMap {
    let values = [
        (EXPERT_HEADER, model),
        (ROUTE_HEADER, &route.to_string()),
        (REASON_HEADER, reason),
        (DECISION_HEADER, decision),
    ];
    let named = |(name, value): (_, &str)| (HeaderName::from_static(name), header_text(value));
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
