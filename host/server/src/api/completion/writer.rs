//! Writes a reply down in llama.cpp's form: one object, or an event for each piece and a last one with the counts.

use signalbox_engine::Finish;

use crate::{
    api::reply::{Dialect, Frame},
    error::ApiError,
    pipeline::{
        Piece, Reply, Whole,
        end::{End, Ending},
    },
    wire::completion::CompletionAnswer,
};

/// Writes the reply to one call down.
pub(super) struct Writer {
    stops: Vec<String>,
    model: String,
}

impl Writer {
    /// For the reply to a call with these stop strings.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops, model: String::new() }
    }

    fn ended(&self, content: String, end: &End) -> CompletionAnswer {
        let (kind, which) = match &end.ending {
            Ending::Expert(Finish::Stop) | Ending::Called => ("eos", None),
            Ending::Expert(Finish::StopString(which)) => ("word", Some(*which)),
            Ending::Expert(Finish::Length) => ("limit", None),
            Ending::Stopped(_) => ("filter", None),
        };
        let word = which.and_then(|which| self.stops.get(which).cloned());
        CompletionAnswer {
            content,
            stop: true,
            model: Some(self.model.clone()),
            stop_type: Some(kind.into()),
            stopping_word: Some(word.unwrap_or_default()),
            tokens_predicted: end.usage.map(|usage| usage.completion_tokens),
            tokens_evaluated: end.usage.map(|usage| usage.prompt_tokens),
            tokens_cached: end.usage.map(|usage| usage.cached_tokens),
        }
    }
}

impl Dialect for Writer {
    type Whole = CompletionAnswer;

    fn begin(&mut self, replies: &[Reply]) {
        replies[0].model().clone_into(&mut self.model);
    }

    fn opening(&mut self) -> Vec<Frame> {
        vec![]
    }

    fn frames(&mut self, _: usize, piece: Piece) -> Vec<Frame> {
        match piece {
            Piece::Text(content) => {
                vec![Frame::json(&CompletionAnswer { content, ..CompletionAnswer::default() })]
            }
            Piece::Call(_) | Piece::Arguments(_) | Piece::Logprobs(_) => vec![], // none can be asked for here
            Piece::End(end) => vec![Frame::json(&self.ended(String::new(), &end))],
            Piece::Failed(refused) => self.failed(&refused.into()),
        }
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::json(&error.to_json())]
    }

    fn whole(self, replies: Vec<Whole>) -> CompletionAnswer {
        let mut answer = CompletionAnswer::default();
        for Whole { text, end, .. } in replies {
            answer = self.ended(text, &end);
        }
        answer
    }
}
