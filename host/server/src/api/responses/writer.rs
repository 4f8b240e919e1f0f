//! Writes a response down: one object, or events, counted, in the order that OpenAI's clients expect.

use std::{sync::Arc, time::SystemTime};

use signalbox_engine::{Finish, Progress, TokenLogprobs, ToolCall, Usage};

use super::read::Echo;
use crate::{
    api::{
        logprobs,
        reply::{Dialect, Frame},
        writer::unix_seconds,
    },
    caller::Caller,
    error::ApiError,
    pipeline::{
        Piece, Reply, Whole,
        end::{End, Ending},
    },
    request_id::RequestId,
    responses::Responses,
    wire::{
        completions::TokenLogprob,
        responses::{
            Incomplete, OutputItem, OutputPart, ResponseAnswer, ResponseEvent, ResponseUsage,
        },
    },
};

/// Where a response goes when it is complete.
pub(super) struct Keeping {
    pub(super) store: Responses,
    pub(super) caller: Caller,
    /// The conversation that it follows, and the items of its input.
    pub(super) history: (Option<Arc<str>>, String),
}

/// Writes one response down.
pub(super) struct Writer {
    blank: ResponseAnswer,
    keeping: Option<Keeping>,
    progress: Progress,
    /// The next event's number.
    sequence: u64,
    /// What is complete.
    output: Vec<OutputItem>,
    /// Text that goes on, and its tokens, where those are wanted.
    text: Option<(String, Vec<TokenLogprob>)>,
    /// Tokens of the next text.
    weighed: Vec<TokenLogprobs>,
    /// A call whose arguments may still come.
    call: Option<ToolCall>,
}

impl Writer {
    /// For the response to this request.
    pub(super) fn new(echo: Echo, keeping: Option<Keeping>) -> Self {
        let progress = Progress::default();
        Self {
            blank: blank(echo),
            keeping,
            progress,
            sequence: 0,
            output: vec![],
            text: None,
            weighed: vec![],
            call: None,
        }
    }

    fn usage(&self, counted: Option<Usage>) -> ResponseUsage {
        let usage = counted.unwrap_or_else(|| {
            let (prompt_tokens, completion_tokens) = self.progress.spent();
            Usage { prompt_tokens, completion_tokens, ..Usage::default() }
        });
        usage.into()
    }

    /// Names an item of this response.
    fn item_id(&self, prefix: &str) -> String {
        let name = self.blank.id.trim_start_matches("resp_");
        format!("{prefix}_{name}_{}", self.output.len())
    }

    fn message(&self, content: Vec<OutputPart>, status: &'static str) -> OutputItem {
        let role = "assistant".into();
        OutputItem::Message { id: self.item_id("msg"), status: status.into(), role, content }
    }

    fn called(&self, call: ToolCall, status: &'static str) -> OutputItem {
        let ToolCall { id: call_id, name, arguments } = call;
        let id = self.item_id("fc");
        OutputItem::FunctionCall { id, status: status.into(), call_id, name, arguments }
    }

    /// All of it, as it ended.
    fn ended(&self, end: &End) -> ResponseAnswer {
        let reason = match end.ending {
            Ending::Expert(Finish::Stop | Finish::StopString(_)) | Ending::Called => None,
            Ending::Expert(Finish::Length) => Some("max_output_tokens"),
            Ending::Stopped(_) => Some("content_filter"),
        };
        ResponseAnswer {
            status: if reason.is_none() { "completed" } else { "incomplete" }.into(),
            incomplete_details: reason.map(|reason| Incomplete { reason: reason.into() }),
            output: self.output.clone(),
            usage: Some(self.usage(end.usage)),
            ..self.blank.clone()
        }
    }

    /// Keeps it for those that follow, with all that came before it.
    fn keep(&mut self, answer: &ResponseAnswer) {
        let Some(Keeping { store, caller, history: (followed, items) }) = self.keeping.take()
        else {
            return;
        };
        let followed = followed.as_deref().unwrap_or_default();
        let input: Vec<&str> =
            [followed, &items].into_iter().filter(|items| !items.is_empty()).collect();
        let said = answer.output.iter().filter_map(|item| serde_json::to_string(item).ok());
        let output = said.collect::<Vec<_>>().join(",");
        if let Ok(json) = serde_json::to_string(answer) {
            store.keep(&answer.id, &caller, json, (&input.join(","), &output));
        }
    }

    fn event(&mut self, kind: &'static str, event: ResponseEvent) -> Frame {
        let sequence_number = self.sequence;
        self.sequence += 1;
        Frame::named(kind, &ResponseEvent { r#type: kind.into(), sequence_number, ..event })
    }

    fn whole_event(&mut self, kind: &'static str, response: ResponseAnswer) -> Frame {
        self.event(kind, ResponseEvent { response: Some(response), ..ResponseEvent::default() })
    }

    fn item_event(&mut self, kind: &'static str, item: OutputItem) -> Frame {
        let (item, output_index) = (Some(item), Some(self.output.len()));
        self.event(kind, ResponseEvent { item, output_index, ..ResponseEvent::default() })
    }

    /// An event of the text that goes on.
    fn text_event(&mut self, kind: &'static str, event: ResponseEvent) -> Frame {
        let (item_id, output_index) = (Some(self.item_id("msg")), Some(self.output.len()));
        let content_index = Some(0);
        self.event(kind, ResponseEvent { item_id, output_index, content_index, ..event })
    }

    fn say(&mut self, text: &str) -> Vec<Frame> {
        let mut frames = self.complete("completed");
        if self.text.is_none() {
            let item = self.message(vec![], "in_progress");
            frames.push(self.item_event("response.output_item.added", item));
            let part = Some(part(String::new(), vec![]));
            let added = ResponseEvent { part, ..ResponseEvent::default() };
            frames.push(self.text_event("response.content_part.added", added));
        }
        let logprobs = logprobs::listed(std::mem::take(&mut self.weighed));
        let (all, tokens) = self.text.get_or_insert_default();
        all.push_str(text);
        tokens.extend_from_slice(&logprobs);
        let (delta, logprobs) = (Some(text.to_owned()), Some(logprobs));
        let delta = ResponseEvent { delta, logprobs, ..ResponseEvent::default() };
        frames.push(self.text_event("response.output_text.delta", delta));
        frames
    }

    /// The text that went on is complete.
    fn said(&mut self, status: &'static str) -> Vec<Frame> {
        let Some((text, tokens)) = self.text.take() else { return vec![] };
        let (whole, logprobs) = (Some(text.clone()), Some(tokens.clone()));
        let done = ResponseEvent { text: whole, logprobs, ..ResponseEvent::default() };
        let part = part(text, tokens);
        let item = self.message(vec![part.clone()], status);
        let part = ResponseEvent { part: Some(part), ..ResponseEvent::default() };
        let frames = vec![
            self.text_event("response.output_text.done", done),
            self.text_event("response.content_part.done", part),
            self.item_event("response.output_item.done", item.clone()),
        ];
        self.output.push(item);
        frames
    }

    fn call(&mut self, call: ToolCall) -> Vec<Frame> {
        self.weighed.clear(); // a call has no place for them
        let mut frames = self.closed("completed");
        let empty = ToolCall { arguments: String::new(), ..call.clone() };
        let begun = self.called(empty.clone(), "in_progress");
        frames.push(self.item_event("response.output_item.added", begun));
        self.call = Some(empty);
        frames.extend((!call.arguments.is_empty()).then(|| self.arguments(call.arguments)));
        frames
    }

    /// More of the call that goes on.
    fn arguments(&mut self, more: String) -> Frame {
        self.call.iter_mut().for_each(|call| call.arguments.push_str(&more));
        let delta = ResponseEvent { delta: Some(more), ..ResponseEvent::default() };
        self.call_event("response.function_call_arguments.delta", delta)
    }

    /// An event of the call that goes on.
    fn call_event(&mut self, kind: &'static str, event: ResponseEvent) -> Frame {
        let (item_id, output_index) = (Some(self.item_id("fc")), Some(self.output.len()));
        self.event(kind, ResponseEvent { item_id, output_index, ..event })
    }

    /// The call that went on is complete.
    fn complete(&mut self, status: &'static str) -> Vec<Frame> {
        let Some(call) = self.call.take() else { return vec![] };
        let (name, arguments) = (Some(call.name.clone()), Some(call.arguments.clone()));
        let done = ResponseEvent { name, arguments, ..ResponseEvent::default() };
        let item = self.called(call, status);
        let frames = vec![
            self.call_event("response.function_call_arguments.done", done),
            self.item_event("response.output_item.done", item.clone()),
        ];
        self.output.push(item);
        frames
    }

    /// What went on is complete: text or a call.
    fn closed(&mut self, status: &'static str) -> Vec<Frame> {
        let mut frames = self.said(status);
        frames.extend(self.complete(status));
        frames
    }

    fn end(&mut self, end: &End) -> Vec<Frame> {
        let complete = !matches!(end.ending, Ending::Expert(Finish::Length) | Ending::Stopped(_));
        let (status, kind) = match complete {
            true => ("completed", "response.completed"),
            false => ("incomplete", "response.incomplete"),
        };
        let mut frames = self.closed(status);
        let answer = self.ended(end);
        self.keep(&answer);
        frames.push(self.whole_event(kind, answer));
        frames
    }

    /// A response that began and did not come to its end.
    fn broke(&mut self, error: &ApiError) -> Vec<Frame> {
        let failed = ResponseAnswer {
            status: "failed".into(),
            error: Some(error.to_json().error.into()),
            output: self.output.clone(),
            ..self.blank.clone()
        };
        vec![self.whole_event("response.failed", failed)]
    }
}

fn part(text: String, logprobs: Vec<TokenLogprob>) -> OutputPart {
    OutputPart::OutputText { text, annotations: [], logprobs }
}

/// A response of which nothing is known yet. Its id is no client's choice: whoever knows it can follow it.
fn blank(echo: Echo) -> ResponseAnswer {
    ResponseAnswer {
        id: format!("resp_{}", RequestId::of(None).as_str().trim_start_matches("req_")),
        object: "response".into(),
        created_at: unix_seconds(SystemTime::now()),
        status: "in_progress".into(),
        background: false,
        error: None,
        incomplete_details: None,
        instructions: echo.instructions,
        max_output_tokens: echo.max_output_tokens,
        model: String::new(),
        output: vec![],
        parallel_tool_calls: echo.parallel,
        previous_response_id: echo.previous,
        store: echo.store,
        temperature: echo.temperature,
        text: echo.text,
        tool_choice: echo.tool_choice,
        tools: echo.tools,
        top_p: echo.top_p,
        truncation: "disabled".into(),
        usage: None,
        metadata: echo.metadata,
    }
}

impl Dialect for Writer {
    type Whole = ResponseAnswer;

    fn begin(&mut self, replies: &[Reply]) {
        replies[0].model().clone_into(&mut self.blank.model);
        self.progress = replies[0].progress().clone();
    }

    fn opening(&mut self) -> Vec<Frame> {
        let begun = self.blank.clone();
        vec![
            self.whole_event("response.created", begun.clone()),
            self.whole_event("response.in_progress", begun),
        ]
    }

    fn frames(&mut self, _: usize, piece: Piece) -> Vec<Frame> {
        match piece {
            Piece::Text(text) => self.say(&text),
            Piece::Call(call) => self.call(call),
            Piece::Arguments(more) => vec![self.arguments(more)],
            Piece::Logprobs(tokens) => {
                self.weighed.extend(tokens);
                vec![]
            }
            Piece::End(end) => self.end(&end),
            Piece::Failed(refused) => self.broke(&refused.into()),
        }
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        let error = error.to_json().error;
        let (code, message) = (Some(error.code), Some(error.message));
        vec![self.event("error", ResponseEvent { code, message, ..ResponseEvent::default() })]
    }

    fn whole(mut self, replies: Vec<Whole>) -> ResponseAnswer {
        let mut answer = self.blank.clone();
        for Whole { text, calls, logprobs, end } in replies {
            let status = match end.ending {
                Ending::Expert(Finish::Length) | Ending::Stopped(_) => "incomplete",
                _ => "completed",
            };
            if !text.is_empty() || calls.is_empty() {
                let part = part(text, logprobs::listed(logprobs));
                self.output.push(self.message(vec![part], status));
            }
            for call in calls {
                self.output.push(self.called(call, "completed"));
            }
            answer = self.ended(&end);
        }
        self.keep(&answer);
        answer
    }
}
