//! The reply as it leaves: events of the expert, through the post policies, measured.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use signalbox_engine::{Event, Finish, Timings, TokenStream, Usage};
use signalbox_policy::{PolicyRef, PostChain, Release};
use tokio::time::{Instant, timeout_at};

use super::{Pipeline, Refusal, Refused, Route, generate::cut_off};
use crate::{admission::Permit, decisions::Trace, telemetry::Telemetry};

/// Where a reply's text comes from.
pub(super) struct Source {
    /// The expert that answers, or the policy that answered instead.
    pub(super) model: String,
    /// Events that are there already; they come before the tokens.
    ready: VecDeque<Event>,
    tokens: Option<TokenStream>,
    post: Option<PostChain>,
    /// How long the newest event was waited for.
    waited: Duration,
    /// What other experts spent on this reply.
    spent: Usage,
}

impl Source {
    /// An expert that has begun to answer.
    pub(super) fn expert(tokens: TokenStream, first: Event, spent: Usage) -> Self {
        let ready = VecDeque::from([first]);
        Self {
            model: tokens.expert.clone(),
            ready,
            tokens: Some(tokens),
            post: None,
            waited: Duration::ZERO,
            spent,
        }
    }

    /// An expert's answer that is complete; `spent` includes it.
    pub(super) fn whole(
        model: String,
        text: String,
        reason: Finish,
        spent: Usage,
        timings: Timings,
    ) -> Self {
        let finished = Event::Finished { reason, usage: Usage::default(), timings };
        let ready = [Event::Text(text), finished].into();
        Self { model, ready, tokens: None, post: None, waited: Duration::ZERO, spent }
    }

    /// A policy's own answer: no expert was asked, so it cost no tokens.
    pub(super) fn said(policy: String, text: String) -> Self {
        Self::whole(policy, text, Finish::Stop, Usage::default(), Timings::default())
    }

    /// The same, seen through the post policies.
    pub(super) fn through(self, post: PostChain) -> Self {
        Self { post: (!post.is_empty()).then_some(post), ..self }
    }

    async fn event(&mut self) -> Result<Event, Refusal> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(event);
        }
        let asked = Instant::now();
        let event = match &mut self.tokens {
            Some(tokens) => tokens.next().await,
            None => None,
        };
        self.waited = asked.elapsed();
        event.ok_or_else(|| cut_off(&self.model).into())
    }

    async fn push(&mut self, text: String) -> Result<Release, Refusal> {
        match &mut self.post {
            Some(post) => Ok(post.push(text, self.waited).await?),
            None => Ok(Release { text, stop: None }),
        }
    }

    async fn finish(&mut self) -> Result<Release, Refusal> {
        match &mut self.post {
            Some(post) => Ok(post.finish().await?),
            None => Ok(Release { text: String::new(), stop: None }),
        }
    }
}

/// An answer under way. Dropping it cancels the generation within one step.
pub(crate) struct Reply {
    /// Who chose the expert.
    pub(crate) route: Route,
    source: Source,
    end: Option<End>,
    done: bool,
    deadline: Instant,
    limit: Duration,
    first_text: Option<Instant>,
    last_text: Option<Instant>,
    trace: Trace,
    telemetry: Arc<Telemetry>,
    _permit: Permit,
}

/// What a [`Reply`] yields. `End` and `Failed` are last.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text for the client, never empty.
    Text(String),
    /// The reply is complete.
    End(End),
    /// The reply ended early.
    Failed(Refused),
}

/// How a reply ended and what it cost.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// Why it ended.
    pub(crate) ending: Ending,
    /// Tokens of all experts that worked on it; absent when a policy stopped the expert early.
    pub(crate) usage: Option<Usage>,
    /// Measured times.
    pub(crate) performance: Performance,
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The expert ended it.
    Expert(Finish),
    /// A post policy ended it.
    Stopped(PolicyRef),
}

impl Ending {
    /// OpenAI's word for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Expert(Finish::Stop) => "stop",
            Self::Expert(Finish::Length) => "length",
            Self::Stopped(_) => "content_filter",
        }
    }
}

/// Measured times of one reply, in seconds; absent when nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Performance {
    /// From received to the first text for the client.
    pub(crate) first_text: Option<f64>,
    /// From received to the end.
    pub(crate) total: f64,
    /// Decode speed: tokens after the first one per second.
    pub(crate) tokens_per_second: Option<f64>,
    /// The engine's own account; absent when no expert finished.
    pub(crate) engine: Option<Timings>,
}

impl Pipeline {
    pub(super) fn reply(
        &self,
        route: Route,
        source: Source,
        mut trace: Trace,
        deadline: Instant,
        permit: Permit,
    ) -> Reply {
        trace.answering(&source.model);
        Reply {
            route,
            source,
            end: None,
            done: false,
            deadline,
            limit: self.bounds.answer,
            first_text: None,
            last_text: None,
            trace,
            telemetry: self.telemetry.clone(),
            _permit: permit,
        }
    }
}

impl Reply {
    /// The expert that answers, or the policy that answered instead.
    pub(crate) fn model(&self) -> &str {
        &self.source.model
    }

    /// Why this expert, in the router's words.
    pub(crate) fn reason(&self) -> &str {
        self.trace.reason()
    }

    /// The next piece; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        if self.done { None } else { Some(self.piece().await) }
    }

    /// The whole text and how it ended.
    ///
    /// # Errors
    /// What ended the reply early; the text so far is not worth keeping.
    pub(crate) async fn whole(mut self) -> Result<(String, End), Refused> {
        let mut text = String::new();
        loop {
            match self.piece().await {
                Piece::Text(more) => text.push_str(&more),
                Piece::End(end) => return Ok((text, end)),
                Piece::Failed(refused) => return Err(refused),
            }
        }
    }

    async fn piece(&mut self) -> Piece {
        let step = timeout_at(self.deadline, self.step()).await;
        let piece = step.unwrap_or(Err(Refusal::TooSlow { limit: self.limit }));
        self.record(piece)
    }

    async fn step(&mut self) -> Result<Piece, Refusal> {
        loop {
            if let Some(end) = self.end.take() {
                return Ok(Piece::End(end));
            }
            let release = match self.source.event().await? {
                Event::Text(text) => self.source.push(text).await?,
                Event::Finished { reason, usage, timings } => {
                    self.end = Some(self.finished(reason, usage, timings));
                    self.source.finish().await?
                }
                Event::Failed(error) => return Err(error.into()),
            };
            if let Some(policy) = release.stop {
                self.stop(policy);
            }
            if !release.text.is_empty() {
                return Ok(Piece::Text(release.text));
            }
        }
    }

    fn finished(&self, reason: Finish, usage: Usage, timings: Timings) -> End {
        let asked = self.source.tokens.is_some() || timings != Timings::default();
        let after_first = f64::from(usage.completion_tokens.saturating_sub(1));
        let decode = timings.decode.as_secs_f64();
        let performance = Performance {
            tokens_per_second: (after_first > 0.0 && decode > 0.0).then(|| after_first / decode),
            engine: asked.then_some(timings),
            ..Performance::default()
        };
        let usage = Some(add(usage, self.source.spent));
        End { ending: Ending::Expert(reason), usage, performance }
    }

    /// A post policy ends the reply: the expert stops within a step.
    fn stop(&mut self, policy: PolicyRef) {
        self.source.tokens = None;
        let ending = Ending::Stopped(policy);
        self.end = Some(match self.end.take() {
            Some(end) => End { ending, ..end },
            None => End { ending, usage: None, performance: Performance::default() },
        });
    }

    /// Measures a piece, and closes the books on the last one.
    fn record(&mut self, piece: Result<Piece, Refusal>) -> Piece {
        let now = Instant::now();
        match piece {
            Ok(Piece::End(end)) => Piece::End(self.close(end, now)),
            Ok(piece) => {
                self.measure_text(now);
                piece
            }
            Err(refusal) => {
                self.done = true;
                self.telemetry.reply_failed(&self.source.model);
                Piece::Failed(self.trace.failed(refusal))
            }
        }
    }

    fn close(&mut self, mut end: End, now: Instant) -> End {
        self.done = true;
        let received = self.trace.received();
        end.performance.first_text = self.first_text.map(|at| (at - received).as_secs_f64());
        end.performance.total = (now - received).as_secs_f64();
        self.telemetry.reply_ended(&self.source.model, &end.ending, end.usage);
        self.trace.finished(&end);
        end
    }

    fn measure_text(&mut self, now: Instant) {
        match self.last_text.replace(now) {
            Some(last) => self.telemetry.between_texts(&self.source.model, now - last),
            None => {
                self.first_text = Some(now);
                self.telemetry.first_text(&self.source.model, now - self.trace.received());
            }
        }
    }
}

/// The sum of two costs.
pub(super) fn add(a: Usage, b: Usage) -> Usage {
    Usage {
        prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
        completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
    }
}
