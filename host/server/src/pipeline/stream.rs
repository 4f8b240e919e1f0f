//! The reply as it leaves: events of the expert, through the post policies, measured.

use std::{collections::VecDeque, sync::Arc};

use signalbox_engine::{
    CallReader, Event, Finish, Progress, Said, Timings, TokenLogprobs, ToolCall, Tools, Usage,
};
use signalbox_policy::PolicyRef;

use super::{
    choice::Route,
    deadline::Deadline,
    end::{End, Ending, Performance},
    experts::cut_off,
    meter::Meter,
    refusal::{Refusal, Refused},
    source::Source,
};
use crate::admission::Permit;

/// An answer under way. Dropping it cancels the generation within one step.
pub(crate) struct Reply {
    /// Who chose the expert.
    pub(crate) route: Route,
    source: Source,
    deadline: Deadline,
    meter: Meter,
    progress: Progress,
    /// `None` where nothing can be called: then all is text.
    calls: Option<CallReader>,
    /// What is to be sent next.
    said: VecDeque<Piece>,
    state: State,
    _permit: Permit,
}

/// How far a reply is.
enum State {
    /// More is to come.
    Open,
    /// The text is complete, the end is not sent.
    Ending(End),
    /// Everything is sent.
    Done,
}

/// What a [`Reply`] yields. `End` and `Failed` are last.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text for the client, never empty.
    Text(String),
    /// A call of a tool that was offered; in a stream perhaps its beginning.
    Call(ToolCall),
    /// More of the arguments of the call before, never empty.
    Arguments(String),
    /// The tokens that the next text is made of, where that was asked for.
    Logprobs(Vec<TokenLogprobs>),
    /// The reply is complete.
    End(End),
    /// The reply ended early.
    Failed(Refused),
}

/// A reply that is complete.
#[derive(Debug)]
pub(crate) struct Whole {
    /// What it says.
    pub(crate) text: String,
    /// What it calls.
    pub(crate) calls: Vec<ToolCall>,
    /// Its tokens, where that was asked for.
    pub(crate) logprobs: Vec<TokenLogprobs>,
    /// How it ended.
    pub(crate) end: End,
}

/// How a reply ended, as policies are told.
fn ending_view(reason: &Finish, cost: Usage) -> signalbox_policy::Ending {
    let reason = match reason {
        Finish::Stop | Finish::StopString(_) => signalbox_policy::Reason::Stop,
        Finish::Length => signalbox_policy::Reason::Length,
    };
    let Usage { prompt_tokens, cached_tokens, completion_tokens } = cost;
    signalbox_policy::Ending::of(reason, prompt_tokens, cached_tokens, completion_tokens)
}

impl Reply {
    pub(super) fn new(
        route: Route,
        source: Source,
        deadline: Deadline,
        meter: Meter,
        permit: Permit,
    ) -> Self {
        let (progress, state) = (meter.progress(), State::Open);
        let deadline = deadline.renewed(); // it has begun
        let (calls, said) = (None, VecDeque::new());
        Self { route, source, deadline, meter, progress, calls, said, state, _permit: permit }
    }

    /// The same, with calls of these tools in place of their text, which come in pieces where the client reads a
    /// stream. What a policy answers is text.
    pub(super) fn calling(self, tools: Arc<Tools>, streaming: bool) -> Self {
        let expert = !matches!(self.route, Route::Answered(_));
        let reads = expert && !tools.callable().is_empty();
        let reader = |tools| match streaming {
            true => CallReader::new(tools).early(),
            false => CallReader::new(tools),
        };
        Self { calls: reads.then(|| reader(tools)), ..self }
    }

    /// The expert that answers, or the policy that answered instead.
    pub(crate) fn model(&self) -> &str {
        &self.source.model
    }

    /// What it has cost until now.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What the call's record in the decision log is called.
    pub(crate) fn decision(&self) -> &str {
        self.meter.decision()
    }

    /// Why this expert, in the router's words.
    pub(crate) fn reason(&self) -> String {
        self.meter.reason()
    }

    /// The next piece; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        match self.state {
            State::Done => None,
            State::Open | State::Ending(_) => Some(self.piece().await),
        }
    }

    /// The whole reply. What was said before a silence that was too long stands, as a
    /// reply that was cut.
    ///
    /// # Errors
    /// What ended the reply early.
    pub(crate) async fn whole(mut self) -> Result<Whole, Refused> {
        let (mut text, mut calls, mut logprobs) = (String::new(), vec![], vec![]);
        loop {
            match self.piece().await {
                Piece::Text(more) => text.push_str(&more),
                Piece::Call(call) => calls.push(call),
                Piece::Arguments(more) => {
                    calls.last_mut().into_iter().for_each(|call| call.arguments.push_str(&more));
                }
                Piece::Logprobs(more) => logprobs.extend(more),
                Piece::End(end) => return Ok(Whole { text, calls, logprobs, end }),
                Piece::Failed(Refused { refusal: Refusal::TooSlow { .. }, .. })
                    if !text.is_empty() =>
                {
                    let ending = Ending::Expert(Finish::Length);
                    let (prompt_tokens, completion_tokens) = self.progress.spent();
                    let spent = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
                    let performance = self.meter.timed(Performance::default());
                    let end = End { ending, usage: Some(spent), performance };
                    return Ok(Whole { text, calls, logprobs, end });
                }
                Piece::Failed(refused) => return Err(refused),
            }
        }
    }

    async fn piece(&mut self) -> Piece {
        match self.deadline.within(self.step()).await.flatten() {
            Ok(Some(piece)) => {
                if !matches!(piece, Piece::Logprobs(_)) {
                    self.meter.text();
                }
                self.deadline = self.deadline.renewed();
                piece
            }
            Ok(None) => self.close(),
            Err(refusal) => {
                self.state = State::Done;
                Piece::Failed(self.meter.failed(refusal))
            }
        }
    }

    /// What is for the client; `None` when there is no more.
    async fn step(&mut self) -> Result<Option<Piece>, Refusal> {
        loop {
            if let Some(piece) = self.said.pop_front() {
                return Ok(Some(piece));
            }
            if !matches!(self.state, State::Open) {
                return Ok(None);
            }
            let release = match self.source.event().await? {
                Event::Text(text) => self.source.push(text).await?,
                Event::Logprobs(tokens) => {
                    self.said.push_back(Piece::Logprobs(tokens));
                    continue;
                }
                Event::Weighed(_) => continue, // nobody asked for it
                Event::Finished { reason, usage, timings } => {
                    let ending = ending_view(&reason, self.source.cost(usage));
                    self.state = State::Ending(self.finished(reason, usage, timings));
                    self.source.finish(ending).await?
                }
                Event::Failed(error) => return Err(error.into()),
            };
            if let Some(policy) = release.stop {
                self.stop(policy);
            }
            self.say(release.text);
        }
    }

    /// Distinguishes calls from text, in what the post policies let pass.
    fn say(&mut self, text: String) {
        let Some(calls) = &mut self.calls else {
            self.said.extend((!text.is_empty()).then_some(Piece::Text(text)));
            return;
        };
        let mut said = calls.push(&text);
        if let State::Ending(end) = &mut self.state {
            let stopped =
                matches!(end.ending, Ending::Expert(Finish::Stop | Finish::StopString(_)));
            said.extend(calls.finish(!stopped));
            if calls.calls() > 0 && stopped && !calls.is_torn() {
                end.ending = Ending::Called;
            }
        }
        self.said.extend(said.into_iter().map(|said| match said {
            Said::Text(text) => Piece::Text(text),
            Said::Call(call) => Piece::Call(call),
            Said::Arguments(more) => Piece::Arguments(more),
        }));
    }

    fn finished(&self, reason: Finish, usage: Usage, timings: Timings) -> End {
        let after_first = f64::from(usage.completion_tokens.saturating_sub(1));
        let decode = timings.decode.as_secs_f64();
        let performance = Performance {
            tokens_per_second: (after_first > 0.0 && decode > 0.0).then(|| after_first / decode),
            engine: self.source.is_experts(timings).then_some(timings),
            ..Performance::default()
        };
        End { ending: Ending::Expert(reason), usage: Some(self.source.cost(usage)), performance }
    }

    /// A post policy ends the reply: the expert stops within a step.
    fn stop(&mut self, policy: PolicyRef) {
        self.source.cancel();
        let ending = Ending::Stopped(policy);
        self.state = State::Ending(match std::mem::replace(&mut self.state, State::Done) {
            State::Ending(end) => End { ending, ..end },
            _ => End { ending, usage: None, performance: Performance::default() },
        });
    }

    /// Everything was sent but how it ended.
    fn close(&mut self) -> Piece {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Ending(end) => Piece::End(self.meter.finished(end)),
            State::Open | State::Done => {
                Piece::Failed(self.meter.failed(cut_off(&self.source.model).into()))
            }
        }
    }
}
