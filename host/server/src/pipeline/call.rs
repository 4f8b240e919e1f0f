//! One call as it travels, and what it may take.

use std::time::Duration;

use signalbox_engine::{Ends, Progress, Sampling};
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
}

/// What the prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A conversation, rendered by the expert's chat template.
    Chat,
    /// Bare text to continue, without images. Policies see it as one user message.
    Text,
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
