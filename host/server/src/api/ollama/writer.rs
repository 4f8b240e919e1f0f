//! Writes a reply down in Ollama's form: one object, or a line for each piece and a last one with what was measured.

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use signalbox_engine::{Stage, TokenLogprobs, ToolCall};

use crate::{
    api::{
        logprobs,
        reply::{Dialect, Frame, Framing},
    },
    date,
    error::{ApiError, dialects},
    openai::finish_reason,
    pipeline::{
        Piece, Reply, Whole,
        end::{End, Ending},
    },
    wire::ollama::{OllamaAnswer, OllamaCall, OllamaFunction, OllamaMessage},
};

/// What a call without a name names.
const AUTO: &str = "auto";

/// Which of the two forms a reply has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Generate,
    Chat,
}

/// Writes the reply to one call down.
pub(super) struct Writer {
    endpoint: Endpoint,
    model: String,
    /// Tokens of the next text.
    weighed: Vec<TokenLogprobs>,
    /// A call whose arguments may still come: this form has no pieces of calls.
    call: Option<ToolCall>,
}

impl Writer {
    /// For the reply to a call that names this model.
    pub(super) fn new(endpoint: Endpoint, model: Option<&str>) -> Self {
        Self { endpoint, model: model.unwrap_or(AUTO).to_owned(), weighed: vec![], call: None }
    }

    fn answer(&mut self, text: String, tool_calls: Vec<OllamaCall>) -> OllamaAnswer {
        let (response, message) = match self.endpoint {
            Endpoint::Generate => (Some(text), None),
            Endpoint::Chat => {
                let message = OllamaMessage { role: "assistant".into(), content: text, tool_calls };
                (None, Some(message))
            }
        };
        OllamaAnswer {
            model: self.model.clone(),
            created_at: date::rfc_3339(SystemTime::now()),
            response,
            message,
            logprobs: logprobs::listed(std::mem::take(&mut self.weighed)),
            ..OllamaAnswer::default()
        }
    }
}

impl Writer {
    /// The call whose arguments came. One that was torn is not told: here it would be one without arguments.
    fn complete(&mut self) -> Option<OllamaAnswer> {
        let call = self.call.take()?;
        serde_json::from_str::<&RawValue>(&call.arguments).ok()?;
        Some(self.answer(String::new(), vec![called(call)]))
    }
}

/// With how it ended and what was measured.
fn ended(answer: OllamaAnswer, end: &End) -> OllamaAnswer {
    let reason = match &end.ending {
        Ending::Called => "stop", // Ollama has no other word for it
        ending => finish_reason(ending),
    };
    let timings = end.performance.engine;
    OllamaAnswer {
        done: true,
        done_reason: Some(reason.into()),
        total_duration: Some(nanos(Duration::from_secs_f64(end.performance.total))),
        load_duration: timings.map(|timings| nanos(timings.loading.unwrap_or_default())),
        prompt_eval_count: end.usage.map(|usage| usage.prompt_tokens),
        prompt_eval_duration: timings.map(|timings| nanos(timings.prefill)),
        eval_count: end.usage.map(|usage| usage.completion_tokens),
        eval_duration: timings.map(|timings| nanos(timings.decode)),
        ..answer
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The answer to a call that asks nothing.
pub(super) fn without_reply(
    endpoint: Endpoint,
    model: Option<String>,
    loaded: bool,
) -> OllamaAnswer {
    let answer = Writer::new(endpoint, model.as_deref()).answer(String::new(), vec![]);
    OllamaAnswer { done: true, done_reason: loaded.then_some("load".into()), ..answer }
}

fn called(call: ToolCall) -> OllamaCall {
    let ToolCall { id, name, arguments } = call;
    // Calls are read out of the reply as JSON; an expert that calls with something else has called with nothing.
    let arguments = serde_json::from_str(&arguments).unwrap_or_default();
    OllamaCall { id, function: OllamaFunction { name, arguments } }
}

impl Dialect for Writer {
    const FRAMING: Framing = Framing::Lines;
    type Whole = OllamaAnswer;

    fn begin(&mut self, replies: &[Reply]) {
        replies[0].model().clone_into(&mut self.model);
    }

    fn opening(&mut self) -> Vec<Frame> {
        vec![]
    }

    fn frames(&mut self, _: usize, piece: Piece) -> Vec<Frame> {
        let mut answers = vec![];
        match piece {
            Piece::Arguments(more) => {
                self.call.iter_mut().for_each(|call| call.arguments.push_str(&more));
            }
            Piece::Logprobs(tokens) => self.weighed.extend(tokens),
            Piece::Call(call) => {
                answers.extend(self.complete());
                self.call = Some(call);
            }
            Piece::Text(text) => {
                answers.extend(self.complete());
                answers.push(self.answer(text, vec![]));
            }
            Piece::End(end) => {
                answers.extend(self.complete());
                answers.push(ended(self.answer(String::new(), vec![]), &end));
            }
            Piece::Failed(refused) => return self.failed(&refused.into()),
        }
        answers.iter().map(Frame::json).collect()
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::json(&dialects::ollama(error))]
    }

    fn whole(mut self, replies: Vec<Whole>) -> OllamaAnswer {
        let mut whole = OllamaAnswer::default();
        for Whole { text, calls, logprobs, end } in replies {
            self.weighed = logprobs;
            whole = ended(self.answer(text, calls.into_iter().map(called).collect()), &end);
        }
        whole
    }

    /// Lines have no comments; a piece without text changes nothing.
    fn waits(&mut self, _: &Stage) -> Frame {
        Frame::json(&self.answer(String::new(), vec![]))
    }
}
