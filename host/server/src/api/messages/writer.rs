//! Writes a reply down in Anthropic's form: one object, or events in the order that its clients expect.

use serde_json::Value;
use signalbox_engine::{Finish, Progress, Stage, ToolCall, Usage};

use crate::{
    api::reply::{Dialect, Frame},
    error::{ApiError, dialects},
    pipeline::{
        Piece, Reply, Whole,
        end::{End, Ending},
    },
    request_id::RequestId,
    wire::messages::{Block, BlockDelta, Ended, MessageAnswer, MessageEvent, MessageUsage},
};

/// Writes the reply to one call down.
pub(super) struct Writer {
    stops: Vec<String>,
    id: RequestId,
    model: String,
    progress: Progress,
    /// Blocks that began.
    blocks: u32,
    /// What the last of them is, if it goes on.
    open: Option<Open>,
}

/// A block that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Call,
}

impl Writer {
    /// For the reply to a call with these stop sequences.
    pub(super) fn new(id: &RequestId, stops: Vec<String>) -> Self {
        let (model, progress) = (String::new(), Progress::default());
        Self { stops, id: id.clone(), model, progress, blocks: 0, open: None }
    }

    fn answer(&self, content: Vec<Block>, ended: Ended, usage: MessageUsage) -> MessageAnswer {
        MessageAnswer {
            id: format!("msg_{}", self.id.as_str()),
            r#type: "message".into(),
            role: "assistant".into(),
            model: self.model.clone(),
            content,
            stop_reason: ended.stop_reason,
            stop_sequence: ended.stop_sequence,
            usage,
        }
    }

    fn ended(&self, ending: &Ending) -> Ended {
        let (reason, which) = match ending {
            Ending::Expert(Finish::Stop) => ("end_turn", None),
            Ending::Expert(Finish::StopString(which)) => ("stop_sequence", Some(*which)),
            Ending::Expert(Finish::Length) => ("max_tokens", None),
            Ending::Called => ("tool_use", None),
            Ending::Stopped(_) => ("refusal", None),
        };
        let stop_sequence = which.and_then(|which| self.stops.get(which).cloned());
        Ended { stop_reason: Some(reason.into()), stop_sequence }
    }

    /// What it cost: as the engine says at the end, or as far as it came.
    fn usage(&self, counted: Option<Usage>) -> MessageUsage {
        match counted {
            Some(usage) => MessageUsage {
                input_tokens: usage.prompt_tokens.saturating_sub(usage.cached_tokens),
                cache_read_input_tokens: Some(usage.cached_tokens),
                cache_creation_input_tokens: Some(0),
                output_tokens: usage.completion_tokens,
            },
            None => {
                let (input_tokens, output_tokens) = self.progress.spent();
                MessageUsage { input_tokens, output_tokens, ..MessageUsage::default() }
            }
        }
    }

    /// A block begins, behind the one that was open.
    fn begins(&mut self, block: Block, open: Open, frames: &mut Vec<Frame>) {
        self.closes(frames);
        let index = self.blocks;
        (self.blocks, self.open) = (index + 1, Some(open));
        frames.push(frame(&MessageEvent::ContentBlockStart { index, content_block: block }));
        if index == 0 {
            frames.push(frame(&MessageEvent::Ping));
        }
    }

    fn closes(&mut self, frames: &mut Vec<Frame>) {
        if self.open.take().is_some() {
            frames.push(frame(&MessageEvent::ContentBlockStop { index: self.blocks - 1 }));
        }
    }

    fn text(&mut self, text: String) -> Vec<Frame> {
        let mut frames = vec![];
        if self.open != Some(Open::Text) {
            self.begins(Block::Text { text: String::new() }, Open::Text, &mut frames);
        }
        frames.push(self.delta(BlockDelta::TextDelta { text }));
        frames
    }

    /// More of the block that is open.
    fn delta(&self, delta: BlockDelta) -> Frame {
        frame(&MessageEvent::ContentBlockDelta { index: self.blocks - 1, delta })
    }

    fn call(&mut self, call: ToolCall) -> Vec<Frame> {
        let mut frames = vec![];
        let ToolCall { id, name, arguments } = call;
        let input = Value::Object(serde_json::Map::new());
        self.begins(Block::ToolUse { id, name, input }, Open::Call, &mut frames);
        frames.push(self.delta(BlockDelta::InputJsonDelta { partial_json: arguments }));
        frames
    }

    fn end(&mut self, end: &End) -> Vec<Frame> {
        let mut frames = vec![];
        self.closes(&mut frames);
        let (delta, usage) = (self.ended(&end.ending), self.usage(end.usage));
        frames.push(frame(&MessageEvent::MessageDelta { delta, usage }));
        frames.push(frame(&MessageEvent::MessageStop));
        frames
    }
}

fn frame(event: &MessageEvent) -> Frame {
    let name = match event {
        MessageEvent::MessageStart { .. } => "message_start",
        MessageEvent::Ping => "ping",
        MessageEvent::ContentBlockStart { .. } => "content_block_start",
        MessageEvent::ContentBlockDelta { .. } => "content_block_delta",
        MessageEvent::ContentBlockStop { .. } => "content_block_stop",
        MessageEvent::MessageDelta { .. } => "message_delta",
        MessageEvent::MessageStop => "message_stop",
    };
    Frame::named(name, event)
}

fn tool_use(call: ToolCall) -> Block {
    let ToolCall { id, name, arguments } = call;
    // Calls are read out of the reply as JSON; an expert that calls with something else has called with nothing.
    let input = serde_json::from_str(&arguments).unwrap_or_default();
    Block::ToolUse { id, name, input }
}

impl Dialect for Writer {
    type Whole = MessageAnswer;

    fn begin(&mut self, replies: &[Reply]) {
        replies[0].model().clone_into(&mut self.model);
        self.progress = replies[0].progress().clone();
    }

    fn opening(&mut self) -> Vec<Frame> {
        let begun = Ended { stop_reason: None, stop_sequence: None };
        let usage = MessageUsage { output_tokens: 0, ..self.usage(None) }; // nothing was said yet
        let message = self.answer(vec![], begun, usage);
        vec![frame(&MessageEvent::MessageStart { message })]
    }

    fn frames(&mut self, _: usize, piece: Piece) -> Vec<Frame> {
        match piece {
            Piece::Text(text) => self.text(text),
            Piece::Call(call) => self.call(call),
            Piece::Arguments(partial_json) => {
                vec![self.delta(BlockDelta::InputJsonDelta { partial_json })]
            }
            Piece::Logprobs(_) => vec![],
            Piece::End(end) => self.end(&end),
            Piece::Failed(refused) => self.failed(&refused.into()),
        }
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::named("error", &dialects::anthropic(error, &self.id))]
    }

    fn whole(self, replies: Vec<Whole>) -> MessageAnswer {
        let (mut content, mut ended, mut usage) =
            (vec![], Ended { stop_reason: None, stop_sequence: None }, self.usage(None));
        for Whole { text, calls, end, .. } in replies {
            content.extend((!text.is_empty()).then_some(Block::Text { text }));
            content.extend(calls.into_iter().map(tool_use));
            (ended, usage) = (self.ended(&end.ending), self.usage(end.usage));
        }
        self.answer(content, ended, usage)
    }

    /// Agents give up on silence, and not all of them count comments as a sign of life.
    fn waits(&mut self, _: &Stage) -> Frame {
        frame(&MessageEvent::Ping)
    }
}
