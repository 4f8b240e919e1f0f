//! The reply as it leaves: events of the expert, through the post policies, measured.

use signalbox_engine::{Event, Finish, Progress, Timings, Usage};
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
    /// The reply is complete.
    End(End),
    /// The reply ended early.
    Failed(Refused),
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
        Self { route, source, deadline, meter, progress, state, _permit: permit }
    }

    /// The expert that answers, or the policy that answered instead.
    pub(crate) fn model(&self) -> &str {
        &self.source.model
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

    /// The whole text and how it ended. What was said before a silence that was too long stands, as a
    /// reply that was cut.
    ///
    /// # Errors
    /// What ended the reply early.
    pub(crate) async fn whole(mut self) -> Result<(String, End), Refused> {
        let mut text = String::new();
        loop {
            match self.piece().await {
                Piece::Text(more) => text.push_str(&more),
                Piece::End(end) => return Ok((text, end)),
                Piece::Failed(Refused { refusal: Refusal::TooSlow { .. }, .. })
                    if !text.is_empty() =>
                {
                    let ending = Ending::Expert(Finish::Length);
                    let (prompt_tokens, completion_tokens) = self.progress.spent();
                    let usage = Some(Usage { prompt_tokens, completion_tokens });
                    let performance = self.meter.timed(Performance::default());
                    return Ok((text, End { ending, usage, performance }));
                }
                Piece::Failed(refused) => return Err(refused),
            }
        }
    }

    async fn piece(&mut self) -> Piece {
        match self.deadline.within(self.step()).await.flatten() {
            Ok(Some(text)) => {
                self.meter.text();
                self.deadline = self.deadline.renewed();
                Piece::Text(text)
            }
            Ok(None) => self.close(),
            Err(refusal) => {
                self.state = State::Done;
                Piece::Failed(self.meter.failed(refusal))
            }
        }
    }

    /// Text for the client; `None` when there is no more.
    async fn step(&mut self) -> Result<Option<String>, Refusal> {
        while let State::Open = self.state {
            let release = match self.source.event().await? {
                Event::Text(text) => self.source.push(text).await?,
                Event::Finished { reason, usage, timings } => {
                    self.state = State::Ending(self.finished(reason, usage, timings));
                    self.source.finish().await?
                }
                Event::Failed(error) => return Err(error.into()),
            };
            if let Some(policy) = release.stop {
                self.stop(policy);
            }
            if !release.text.is_empty() {
                return Ok(Some(release.text));
            }
        }
        Ok(None)
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
