//! Writes replies down in OpenAI's form: as one object, or as the chunks of a stream. The choices of a call are
//! replies of their own, which a stream carries as they come.
//!
//! A stream that fails in the middle sends `data: {"error": ...}` and ends without `[DONE]`: OpenAI's clients
//! raise on the first, and whoever waits for `[DONE]` sees that the reply is torn.

use std::time::{SystemTime, UNIX_EPOCH};

use signalbox_engine::{TokenLogprobs, Usage as Counted};

use super::{
    logprobs,
    reply::{Dialect, Frame},
    sampling::Delivery,
};
use crate::{
    error::ApiError,
    openai::finish_reason,
    pipeline::{End, Form, Performance as Measured, Piece, Reply, Whole},
    request_id::RequestId,
    wire::{
        Word,
        completions::{
            Choice, Completion, Content, EnginePerformance, Message, Performance, ToolCall, Usage,
        },
    },
};

/// Writes the replies to one call down.
pub(super) struct Writer {
    form: Form,
    include_usage: bool,
    /// Replies to each prompt that are drawn.
    each: usize,
    /// Those of them that are sent.
    sent: usize,
    /// With what their tokens weigh.
    weighed: bool,
    /// The prompts, where they stand before their replies.
    echo: Vec<String>,
    choices: Vec<Written>,
    /// What those cost that are over; `None` once one did not say.
    spent: Option<Counted>,
    blank: Completion,
}

/// How far one choice is.
#[derive(Default)]
struct Written {
    /// Calls that were written.
    calls: u32,
    /// Tokens of the next text.
    weighed: Vec<TokenLogprobs>,
    /// Characters of the text that was written.
    offset: u32,
    over: bool,
}

impl Writer {
    /// For the replies to a call.
    pub(super) fn new(form: Form, delivery: &Delivery, id: &RequestId) -> Self {
        let (prefix, object) = match (form, delivery.stream) {
            (Form::Chat, false) => ("chatcmpl", "chat.completion"),
            (Form::Chat, true) => ("chatcmpl", "chat.completion.chunk"),
            (Form::Text, _) => ("cmpl", "text_completion"),
        };
        let blank = Completion {
            id: format!("{prefix}-{}", id.as_str()),
            object: object.into(),
            created: unix_seconds(SystemTime::now()),
            model: String::new(),
            choices: vec![],
            usage: None,
            performance: None,
        };
        let spent = Some(Counted::default());
        let (include_usage, weighed) = (delivery.include_usage, delivery.weighed);
        let (each, sent) = (delivery.choices as usize, delivery.sent as usize);
        let (echo, choices) = (vec![], vec![]);
        Self { form, include_usage, each, sent, weighed, echo, choices, spent, blank }
    }

    /// The same, with these prompts before their replies.
    pub(super) fn echoing(self, echo: Vec<String>) -> Self {
        Self { echo, ..self }
    }

    /// What stands before the reply `at`.
    fn echo(&self, at: usize) -> Option<&str> {
        self.echo.get(at / self.sent).map(String::as_str)
    }

    fn choice(&self, index: u32, whole: Whole) -> Choice {
        let Whole { text, calls, logprobs, end } = whole;
        let content = match self.form {
            Form::Chat => Content::Message(Message {
                role: Some("assistant".into()),
                content: Some((calls.is_empty() || !text.is_empty()).then_some(text)),
                tool_calls: calls.into_iter().map(|call| ToolCall::new(call, None)).collect(),
            }),
            Form::Text => {
                let echo = self.echo(index as usize).unwrap_or_default();
                Content::Text(format!("{echo}{text}"))
            }
        };
        let logprobs = if self.weighed { logprobs } else { vec![] };
        let logprobs = logprobs::written(self.form, logprobs, &mut 0);
        let finish_reason = Some(finish_reason(&end.ending).into());
        Choice { index, content, logprobs, finish_reason }
    }

    /// Of the replies to each prompt those that are sent: all, or the likeliest by token.
    fn likeliest(&self, replies: Vec<Whole>) -> Vec<Whole> {
        if self.sent == self.each {
            return replies;
        }
        let mut replies = replies.into_iter();
        let mut sent = vec![];
        while !replies.as_slice().is_empty() {
            let mut drawn: Vec<Whole> = replies.by_ref().take(self.each).collect();
            drawn.sort_by(|a, b| likelihood(b).total_cmp(&likelihood(a)));
            sent.extend(drawn.into_iter().take(self.sent));
        }
        sent
    }

    fn delta(&self, text: String) -> Content {
        match self.form {
            Form::Chat => Content::Delta(Message::said(text)),
            Form::Text => Content::Text(text),
        }
    }

    /// Why a choice ended; behind the last one what all cost, where that was asked for, and the end mark.
    fn closing(&mut self, at: usize, end: &End) -> Vec<Frame> {
        let empty = match self.form {
            Form::Chat => Content::Delta(Message::default()),
            Form::Text => Content::Text(String::new()),
        };
        self.count(at, end.usage);
        self.choices[at].over = true;
        let mut last = self.chunk(at, empty, Some(finish_reason(&end.ending).into()));
        last.performance = Some(performance(&end.performance, &self.blank.model));
        let mut frames = vec![Frame::json(&last)];
        if self.choices.iter().all(|choice| choice.over) {
            if self.include_usage {
                let usage = Some(self.spent.map(Usage::from));
                frames.push(Frame::json(&Completion { usage, ..self.blank.clone() }));
            }
            frames.push(Frame::mark("[DONE]"));
        }
        frames
    }

    /// The choices of one prompt share it, and it is counted once.
    fn count(&mut self, at: usize, usage: Option<Counted>) {
        let first = at.is_multiple_of(self.each);
        let prompt = |usage: Counted| if first { usage } else { Counted::default() };
        self.spent = self.spent.zip(usage).map(|(spent, usage)| Counted {
            prompt_tokens: spent.prompt_tokens.saturating_add(prompt(usage).prompt_tokens),
            cached_tokens: spent.cached_tokens.saturating_add(prompt(usage).cached_tokens),
            completion_tokens: spent.completion_tokens.saturating_add(usage.completion_tokens),
        });
    }

    fn chunk(&mut self, at: usize, content: Content, finish_reason: Option<Word>) -> Completion {
        let written = &mut self.choices[at];
        let weighed = std::mem::take(&mut written.weighed);
        let logprobs = logprobs::written(self.form, weighed, &mut written.offset);
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        Completion {
            choices: vec![Choice { index, content, logprobs, finish_reason }],
            usage: self.include_usage.then_some(None),
            ..self.blank.clone()
        }
    }
}

impl Dialect for Writer {
    type Whole = Completion;

    fn begin(&mut self, replies: &[Reply]) {
        replies[0].model().clone_into(&mut self.blank.model);
        self.choices = replies.iter().map(|_| Written::default()).collect();
    }

    /// Who speaks, or what stands before the text.
    fn opening(&mut self) -> Vec<Frame> {
        let mut frames = vec![];
        for at in 0..self.choices.len() {
            let content = match (self.form, self.echo(at)) {
                (Form::Chat, _) => {
                    let role = Some("assistant".into());
                    Content::Delta(Message { role, ..Message::said(String::new()) })
                }
                (Form::Text, Some(echo)) => Content::Text(echo.to_owned()),
                (Form::Text, None) => continue,
            };
            frames.push(Frame::json(&self.chunk(at, content, None)));
        }
        frames
    }

    fn frames(&mut self, at: usize, piece: Piece) -> Vec<Frame> {
        match piece {
            Piece::Text(text) => {
                let delta = self.delta(text);
                vec![Frame::json(&self.chunk(at, delta, None))]
            }
            Piece::Call(call) => {
                let tool_calls = vec![ToolCall::new(call, Some(self.choices[at].calls))];
                self.choices[at].calls += 1;
                let delta = Message { tool_calls, ..Message::default() };
                vec![Frame::json(&self.chunk(at, Content::Delta(delta), None))]
            }
            Piece::Arguments(more) => {
                let tool_calls = vec![ToolCall::goes_on(more, self.choices[at].calls - 1)];
                let delta = Message { tool_calls, ..Message::default() };
                vec![Frame::json(&self.chunk(at, Content::Delta(delta), None))]
            }
            Piece::Logprobs(tokens) => {
                self.choices[at].weighed.extend(tokens);
                vec![]
            }
            Piece::End(end) => self.closing(at, &end),
            Piece::Failed(refused) => self.failed(&refused.into()),
        }
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::json(&error.to_json())]
    }

    /// All of it; the first reply's times are the call's.
    fn whole(mut self, replies: Vec<Whole>) -> Completion {
        let measured = replies.first().map(|whole| whole.end.performance);
        for (at, whole) in replies.iter().enumerate() {
            self.count(at, whole.end.usage);
        }
        let sent = self.likeliest(replies);
        let choices = (0..).zip(sent).map(|(index, whole)| self.choice(index, whole)).collect();
        Completion {
            choices,
            usage: self.spent.map(|spent| Some(spent.into())),
            performance: measured.map(|measured| performance(&measured, &self.blank.model)),
            ..self.blank
        }
    }
}

/// How likely a reply's tokens were, on average.
fn likelihood(whole: &Whole) -> f64 {
    let tokens = whole.logprobs.len().max(1) as f64;
    whole.logprobs.iter().map(|token| f64::from(token.drawn.logprob)).sum::<f64>() / tokens
}

fn performance(measured: &Measured, model: &str) -> Performance {
    Performance {
        time_to_first_token: measured.first_text,
        ttft: measured.first_text,
        generation_time: measured.total,
        total_time: measured.total,
        tokens_per_second: measured.tokens_per_second,
        routed_to: model.to_owned(),
        engine: measured.engine.map(EnginePerformance::from),
    }
}

/// Whole seconds since 1970, as OpenAI dates things.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
