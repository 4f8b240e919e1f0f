//! Several experts, one answer: the members answer in full, each within a token bound, and a judge
//! streams the merged answer. A member that fails is left out; when the judge can't begin, the
//! first member's answer stands. The usage of the reply is the sum of all of them.

use futures_util::future::join_all;
use signalbox_engine::{
    EngineError, Event, Finish, Message, Part, Prompt, Request, Timings, Usage,
};
use signalbox_policy::ConsensusMode;

use super::{
    Call, Pipeline, Refusal,
    generate::cut_off,
    stream::{Source, add},
};
use crate::decisions::Trace;

/// One member's whole answer.
struct Answer {
    expert: String,
    text: String,
    finish: Finish,
    usage: Usage,
    timings: Timings,
}

impl Pipeline {
    /// Asks the members, then the judge (without one, the first member).
    pub(super) async fn consensus(
        &self,
        members: &[String],
        judge: Option<&str>,
        mode: ConsensusMode,
        call: &Call,
        request: Request,
        trace: &mut Trace,
    ) -> Result<Source, Refusal> {
        let mut answers = match mode {
            ConsensusMode::Parallel => self.in_parallel(members, &request, trace).await?,
            ConsensusMode::Turns => self.in_turns(members, call, &request, trace).await?,
        };
        let spent = answers.iter().fold(Usage::default(), |sum, answer| add(sum, answer.usage));
        let judge = judge.unwrap_or(&members[0]);
        let merging = Request { prompt: asking(call, &answers, MERGE), ..request };
        match self.open(judge, merging).await {
            Ok(opened) => Ok(opened.source(spent)),
            Err(error) => {
                trace.tried(judge, &error);
                let Answer { expert, text, finish, timings, .. } = answers.swap_remove(0);
                Ok(Source::whole(expert, text, finish, spent, timings))
            }
        }
    }

    /// All members at once, each knowing only the call.
    async fn in_parallel(
        &self,
        members: &[String],
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Vec<Answer>, Refusal> {
        let answering = members.iter().map(|member| self.whole(member, self.bounded(request)));
        let mut answers = Vec::with_capacity(members.len());
        let mut last = None;
        for (member, answer) in members.iter().zip(join_all(answering).await) {
            sort_out(member, answer, &mut answers, &mut last, trace);
        }
        some(answers, last)
    }

    /// One member after the other, each seeing the answers before its own.
    async fn in_turns(
        &self,
        members: &[String],
        call: &Call,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Vec<Answer>, Refusal> {
        let mut answers = Vec::with_capacity(members.len());
        let mut last = None;
        for member in members {
            let mut turn = self.bounded(request);
            if !answers.is_empty() {
                turn.prompt = asking(call, &answers, IMPROVE);
            }
            sort_out(member, self.whole(member, turn).await, &mut answers, &mut last, trace);
        }
        some(answers, last)
    }

    /// The request with a member's share of tokens.
    fn bounded(&self, request: &Request) -> Request {
        let bound = self.bounds.member_tokens_max;
        let max_tokens = Some(request.max_tokens.map_or(bound, |asked| asked.min(bound)));
        Request { max_tokens, ..request.clone() }
    }

    /// One expert's answer, read to its end.
    async fn whole(&self, expert: &str, request: Request) -> Result<Answer, EngineError> {
        let mut tokens = self.fleet.generate(expert, request).await?;
        let mut text = String::new();
        while let Some(event) = tokens.next().await {
            match event {
                Event::Text(more) => text.push_str(&more),
                Event::Failed(error) => return Err(error),
                Event::Finished { reason: finish, usage, timings } => {
                    return Ok(Answer { expert: expert.to_owned(), text, finish, usage, timings });
                }
            }
        }
        Err(cut_off(expert))
    }
}

/// Keeps an answer, or records why there is none.
fn sort_out(
    member: &str,
    answer: Result<Answer, EngineError>,
    answers: &mut Vec<Answer>,
    last: &mut Option<EngineError>,
    trace: &mut Trace,
) {
    match answer {
        Ok(answer) => answers.push(answer),
        Err(error) => {
            trace.tried(member, &error);
            *last = Some(error);
        }
    }
}

fn some(answers: Vec<Answer>, last: Option<EngineError>) -> Result<Vec<Answer>, Refusal> {
    match last {
        Some(error) if answers.is_empty() => Err(error.into()),
        _ => Ok(answers),
    }
}

const MERGE: &str = "Several assistants answered the question above. Give the one best answer to \
    it, in the question's language, using what is right in theirs. Do not mention them.";
const IMPROVE: &str = "Other assistants answered the question above. Answer it yourself, in its \
    language: keep what is right in theirs and correct what is wrong.";

/// The conversation, with answers and a task at the end of its last message, because some chat
/// templates refuse two user messages in a row.
fn asking(call: &Call, answers: &[Answer], task: &str) -> Prompt {
    let mut messages: Vec<Message> =
        call.view.messages.iter().map(|m| call.pictures.message(m)).collect();
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
    Prompt::Chat(messages)
}
