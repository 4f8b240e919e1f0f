//! One call as it travels, and what it may take.

use std::{sync::Arc, time::Duration};

use signalbox_engine::{
    Ends, Format, KeepAlive, Message, Opening, Progress, Sampling, Tools, read_calls,
};
use signalbox_policy::HAS_IMAGES;

use super::pictures::Pictures;
use crate::caller::Caller;

/// What one call may take.
pub(crate) struct Bounds {
    /// Longest silence: from received to the first text, and between two of them.
    pub(crate) answer: Duration,
    /// Tokens generated when nobody says otherwise.
    pub(crate) tokens_default: u32,
    /// Tokens that a policy may raise the bound to.
    pub(crate) tokens_max: u32,
    /// Tokens of one member's answer.
    pub(crate) member_tokens_max: u32,
    /// What experts said to policies and is kept.
    pub(crate) ask_cache_bytes_max: usize,
}

/// What the prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A conversation, rendered by the expert's chat template.
    Chat,
    /// Bare text to continue, without images. Policies see it as one user message.
    Text,
}

/// What belongs to a message of the client's and is no text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Ids of the tool calls that stand at the end of its text, as `write_calls` puts them there: policies
    /// see and edit them as text.
    pub(crate) calls: Vec<String>,
    /// The id of the call whose result it is.
    pub(crate) answers: Option<String>,
}

/// A text that was sent as tokens of one expert's own. Policies see it as text.
#[derive(Debug)]
pub(crate) struct TokenPrompt {
    pub(crate) ids: Vec<u32>,
    /// What they stand for.
    pub(crate) text: String,
}

/// What a call asks for beyond words, whatever the dialect it came in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    /// What the expert may call, and whether it has to.
    pub(crate) tools: Arc<Tools>,
    /// By the client's message; shorter where nothing is attached.
    pub(crate) attached: Vec<Attached>,
    /// The tokens of a text, where it was sent as such.
    pub(crate) tokens: Option<Arc<TokenPrompt>>,
    /// Whether the second message of a text is what stands behind a gap, which the reply fills.
    pub(crate) infill: bool,
    /// What comes behind the last message.
    pub(crate) opening: Opening,
    /// What the reply has to look like.
    pub(crate) format: Format,
    /// Whether log probabilities are wanted, and of how many other tokens for each.
    pub(crate) logprobs: Option<u32>,
    /// What much of the reply may be.
    pub(crate) prediction: Option<Arc<str>>,
    /// How long the expert is to stay in memory behind it.
    pub(crate) keep_alive: Option<KeepAlive>,
}

/// One call, checked for form.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What policies see and may edit: messages, bounds, hints.
    pub(crate) view: signalbox_policy::Call,
    /// Who calls.
    pub(crate) caller: Caller,
    /// The images behind the marks in the messages.
    pub(crate) pictures: Pictures,
    /// What it asks for beyond words.
    pub(crate) wishes: Wishes,
    /// How the messages become a prompt.
    pub(crate) form: Form,
    /// How tokens are drawn; the temperature is in the view.
    pub(crate) sampling: Sampling,
    /// Generation ends before the first of these.
    pub(crate) stop: Vec<String>,
    /// What else ends it, or does not.
    pub(crate) ends: Ends,
    /// Where it stands, for whoever waits for it.
    pub(crate) progress: Progress,
}

impl Call {
    /// Bytes of its messages.
    pub(crate) fn text_bytes(&self) -> usize {
        self.view.messages.iter().map(|message| message.content.len()).sum()
    }

    /// The same without what policies see of it.
    pub(super) fn unseen(&self) -> Self {
        Self {
            view: signalbox_policy::Call::default(),
            caller: self.caller.clone(),
            pictures: self.pictures.clone(),
            wishes: self.wishes.clone(),
            form: self.form,
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            ends: self.ends.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Its messages as the engine takes them: with images in place of marks, and calls in place of their
    /// text. Calls that a policy changed beyond recognition stay text.
    pub(super) fn turns(&self) -> Vec<Message> {
        self.view.messages.iter().map(|message| self.turn(message)).collect()
    }

    pub(super) fn turn(&self, message: &signalbox_policy::Message) -> Message {
        let attached = message.origin.and_then(|index| self.wishes.attached.get(index));
        let Some(attached) = attached else { return self.pictures.message(message) };
        let (content, calls) = read_calls(&message.content, &attached.calls);
        let text = signalbox_policy::Message { content: content.to_owned(), ..message.clone() };
        let answers = attached.answers.clone();
        Message { calls, answers, ..self.pictures.message(&text) }
    }

    /// Whether an expert has to see for this call.
    pub(super) fn has_images(&self) -> bool {
        self.pictures.shown(&self.view.messages) > 0
    }

    /// States the number of images in the hint of policies, so that it is true whatever the policies
    /// before did.
    pub(crate) fn with_images_described(mut self) -> Self {
        let shown = self.pictures.shown(&self.view.messages);
        self.view.hints.retain(|(key, _)| key != HAS_IMAGES);
        if shown > 0 {
            self.view.hints.push((HAS_IMAGES.to_owned(), shown.to_string()));
        }
        self
    }
}
