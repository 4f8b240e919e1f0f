//! Several experts, one answer: the members answer in full, each within a token bound, and a judge
//! streams the merged answer. A member that fails is left out; when the judge can't begin, the
//! first member's answer stands. The usage of the reply is the sum of all of them.

use futures_util::{StreamExt, future::join_all};
use signalbox_engine::{
    Conversation, EngineError, Event, Finish, Message, Opening, Part, Prompt, Request, Timings,
    Usage,
};
use signalbox_policy::ConsensusMode;

use super::{
    call::Call,
    experts::{Experts, cut_off, open},
    refusal::Refusal,
    source::{Source, add},
};
use crate::decisions::Trace;

/// What several experts are asked together.
pub(super) struct Consensus<'a> {
    /// Those who can be asked.
    pub(super) experts: &'a dyn Experts,
    /// The call they answer.
    pub(super) call: &'a Call,
    /// What the judge generates with; its prompt is the call's own.
    pub(super) request: Request,
    /// Tokens of one member's answer.
    pub(super) tokens_max: u32,
    /// Who answers.
    pub(super) members: &'a [String],
    /// Who merges the answers.
    pub(super) judge: &'a str,
}

/// One member's whole answer.
struct Answer {
    expert: String,
    text: String,
    finish: Finish,
    usage: Usage,
    timings: Timings,
}

/// The answers so far, and why the newest one that is missing is.
#[derive(Default)]
struct Answers {
    given: Vec<Answer>,
    last_error: Option<EngineError>,
}

impl Consensus<'_> {
    /// Asks the members, then the judge.
    pub(super) async fn answer(
        self,
        mode: ConsensusMode,
        trace: &mut Trace,
    ) -> Result<Source, Refusal> {
        let answers = match mode {
            ConsensusMode::Parallel => self.in_parallel(trace).await,
            ConsensusMode::Turns => self.in_turns(trace).await,
        };
        let mut answers = answers.some()?;
        let spent = answers.iter().fold(Usage::default(), |sum, answer| add(sum, answer.usage));
        let prompt = asking(self.call, &answers, MERGE);
        let merging = Request { prompt, ..self.request };
        match open(self.experts, self.judge, merging).await {
            Ok(opened) => Ok(Source::expert(opened, spent)),
            Err(error) => {
                trace.tried(self.judge, &error);
                let Answer { expert, text, finish, timings, .. } = answers.swap_remove(0);
                Ok(Source::whole(expert, text, finish, spent, timings))
            }
        }
    }

    /// All members at once, each knowing only the call.
    async fn in_parallel(&self, trace: &mut Trace) -> Answers {
        let answering = self.members.iter().map(|member| self.whole(member, self.bounded()));
        let mut answers = Answers::default();
        for (member, answer) in self.members.iter().zip(join_all(answering).await) {
            answers.take(member, answer, trace);
        }
        answers
    }

    /// One member after the other, each seeing the answers before its own.
    async fn in_turns(&self, trace: &mut Trace) -> Answers {
        let mut answers = Answers::default();
        for member in self.members {
            let mut turn = self.bounded();
            if !answers.given.is_empty() {
                turn.prompt = asking(self.call, &answers.given, IMPROVE);
            }
            answers.take(member, self.whole(member, turn).await, trace);
        }
        answers
    }

    /// The request with a member's share of tokens.
    fn bounded(&self) -> Request {
        let bound = self.tokens_max;
        let max_tokens = Some(self.request.max_tokens.map_or(bound, |asked| asked.min(bound)));
        Request { max_tokens, ..self.request.clone() }
    }

    /// One expert's answer, read to its end.
    async fn whole(&self, expert: &str, request: Request) -> Result<Answer, EngineError> {
        let mut tokens = self.experts.generate(expert, request).await?;
        let mut text = String::new();
        while let Some(event) = tokens.next().await {
            match event {
                Event::Text(more) => text.push_str(&more),
                Event::Logprobs(_) | Event::Weighed(_) => {} // a member's tokens are not the reply's
                Event::Failed(error) => return Err(error),
                Event::Finished { reason: finish, usage, timings } => {
                    return Ok(Answer { expert: expert.to_owned(), text, finish, usage, timings });
                }
            }
        }
        Err(cut_off(expert))
    }
}

impl Answers {
    /// Keeps an answer, or records why there is none.
    fn take(&mut self, member: &str, answer: Result<Answer, EngineError>, trace: &mut Trace) {
        match answer {
            Ok(answer) => self.given.push(answer),
            Err(error) => {
                trace.tried(member, &error);
                self.last_error = Some(error);
            }
        }
    }

    /// The answers; an error when there is none.
    fn some(self) -> Result<Vec<Answer>, Refusal> {
        match self.last_error {
            Some(error) if self.given.is_empty() => Err(error.into()),
            _ => Ok(self.given),
        }
    }
}

const MERGE: &str = "Several assistants answered the question above. Give the one best answer to \
    it, in the question's language, using what is right in theirs. Do not mention them.";
const IMPROVE: &str = "Other assistants answered the question above. Answer it yourself, in its \
    language: keep what is right in theirs and correct what is wrong.";

/// The conversation, with answers and a task at the end of its last message, because some chat
/// templates refuse two user messages in a row.
fn asking(call: &Call, answers: &[Answer], task: &str) -> Prompt {
    let mut messages = call.turns();
    let given = answers.iter().map(|answer| format!("[{}]\n{}", answer.expert, answer.text));
    let addition = format!("{}\n\n{task}", given.collect::<Vec<_>>().join("\n\n"));
    match messages.last_mut() {
        Some(last) if last.role == "user" => {
            let addition = format!("\n\n{addition}");
            // Templates that read parts trim each by itself, and the blank line would be lost.
            match last.content.last_mut() {
                Some(Part::Text(text)) => text.push_str(&addition),
                _ => last.content.push(Part::Text(addition)),
            }
        }
        _ => messages.push(Message::text("user", addition)),
    }
    let (tools, opening) = (call.wishes.tools.clone(), Opening::Reply);
    Prompt::Chat(Conversation { messages, tools, opening })
}
