//! What the decision log says of a call's text, without the text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What policies were shown of a call. Its texts stand nowhere unless `decision_log.text` says so.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct InputView {
    pub(super) messages: usize,
    pub(super) text_bytes: usize,
    /// Of each message's role and text, each with a zero byte behind it, unless `decision_log.text` is `off`.
    pub(super) sha256: Option<Box<str>>,
    /// Whether the texts are in `GET /decisions/{decision}`.
    pub(super) text: bool,
}

impl InputView {
    pub(super) fn of(call: &signalbox_policy::Call) -> Self {
        let text_bytes = call.messages.iter().map(|message| message.content.len()).sum();
        Self { messages: call.messages.len(), text_bytes, ..Self::default() }
    }
}
