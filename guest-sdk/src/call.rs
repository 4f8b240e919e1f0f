//! The call under way: what a policy may read of it, and what a `pre` policy may change.

use std::time::Duration;

use crate::bindings::signalbox::policy::types;
use crate::host;
use crate::{ResponseFormat, Tool, ToolChoice};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Plain text. [`IMAGE_MARK`] stands where an image stands.
    pub content: String,
}

/// What stands in a text for an image: U+FFFC. Text around it may be changed freely; without it the
/// image is gone.
pub const IMAGE_MARK: char = '\u{fffc}';

impl Message {
    /// A message of `role` that says `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

impl From<types::Message> for Message {
    fn from(message: types::Message) -> Self {
        Self { role: message.role, content: message.content }
    }
}

impl From<Message> for types::Message {
    fn from(message: Message) -> Self {
        Self { role: message.role, content: message.content }
    }
}

/// The call under way, as the policies before this one left it. Read only.
///
/// Every method asks the host, so read once what you need often. Nothing is copied into the
/// component that you do not ask for.
#[derive(Debug)]
pub struct Request<'a>(pub(crate) host::Request<'a>);

impl Request<'_> {
    /// The id that the client also gets, in `x-request-id`.
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// The expert the client named; `None` when the client left the choice to the router.
    pub fn model(&self) -> Option<String> {
        self.0.model()
    }

    /// How many messages there are.
    pub fn message_count(&self) -> usize {
        self.0.message_count() as usize
    }

    /// The message at `index`, oldest first.
    pub fn message(&self, index: usize) -> Option<Message> {
        self.0.message(narrow(index)).map(Message::from)
    }

    /// Every message. Prefer [`Request::last_user_text`] where the newest is enough.
    pub fn messages(&self) -> Vec<Message> {
        self.0.messages().into_iter().map(Message::from).collect()
    }

    /// The text of the newest user message; empty when there is none.
    pub fn last_user_text(&self) -> String {
        self.0.last_user_text()
    }

    /// Upper bound on generated tokens, when the client or an earlier policy set one.
    pub fn max_tokens(&self) -> Option<u32> {
        self.0.max_tokens()
    }

    /// Sampling temperature, when set. 0 is greedy.
    pub fn temperature(&self) -> Option<f32> {
        self.0.temperature()
    }

    /// Whether the client reads the reply as a stream.
    pub fn streaming(&self) -> bool {
        self.0.streaming()
    }

    /// Free-form facts about the call: what the host knows (`has-images`; see
    /// [`Request::has_images`]), what earlier policies added.
    pub fn hints(&self) -> Vec<(String, String)> {
        self.0.hints()
    }

    /// What the reply may call, in the client's order. Their calls and results stand in the messages.
    pub fn tools(&self) -> Vec<Tool> {
        self.0.tools().into_iter().map(Tool::from).collect()
    }

    /// Whether tools may or have to be called.
    pub fn tool_choice(&self) -> ToolChoice {
        self.0.tool_choice().into()
    }

    /// What the reply has to look like.
    pub fn response_format(&self) -> ResponseFormat {
        self.0.response_format().into()
    }

    /// The share of probability that is drawn from, when set.
    pub fn top_p(&self) -> Option<f32> {
        self.0.top_p()
    }

    /// Where the chance of drawing starts, when set: the same seed draws the same tokens.
    pub fn seed(&self) -> Option<u64> {
        self.0.seed()
    }

    /// The reply ends before the first of these.
    pub fn stop(&self) -> Vec<String> {
        self.0.stop()
    }

    /// Whether the client wants log probabilities, and of how many other tokens for each.
    pub fn logprobs(&self) -> Option<u32> {
        self.0.logprobs()
    }

    /// Who calls: `key:NAME` for a key of that name, `peer:ADDRESS` where there are no keys.
    pub fn caller(&self) -> String {
        self.0.caller()
    }

    /// The client's name for the conversation, where it gave one; it is not checked.
    pub fn session(&self) -> Option<String> {
        self.0.session()
    }

    /// A header of the call, by its name in lower case; only those that the operator lets policies see.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    /// The expert that answered the conversation before its newest messages; `None` for a new
    /// conversation, and when the host has forgotten.
    pub fn previous_expert(&self) -> Option<String> {
        self.0.previous_expert()
    }

    /// Whether the newest message is the result of a tool: the expert that called it waits to go on.
    pub fn tool_loop_open(&self) -> bool {
        self.0.tool_loop_open()
    }

    /// How much of its own time this hook has left.
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(self.0.time_left_ms().into())
    }

    /// How many images the call has. An expert that [can](crate::Expert::can) `images` sees them.
    pub fn image_count(&self) -> usize {
        self.hint("has-images").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Whether the call has images, so that only an expert that [can](crate::Expert::can) `images`
    /// answers it.
    pub fn has_images(&self) -> bool {
        self.image_count() > 0
    }

    /// The newest hint called `key`.
    pub fn hint(&self, key: &str) -> Option<String> {
        self.hints().into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Changes that a [`Pre`](crate::Pre) policy wants.
///
/// They take effect, all together, when the hook answers [`Outcome::Proceed`](crate::Outcome); a
/// policy that fails or refuses changes nothing. Every index counts the messages as they were when
/// the hook was called.
#[derive(Debug)]
pub struct Edits<'a>(pub(crate) host::Edits<'a>);

impl Edits<'_> {
    /// Replaces the content of the message at `index`. An index that does not exist makes the
    /// policy's answer invalid.
    pub fn set_content(&self, index: usize, content: &str) {
        self.0.set_content(narrow(index), content);
    }

    /// Inserts a message before `index`; `index` equal to the message count appends.
    pub fn insert_message(&self, index: usize, message: Message) {
        self.0.insert_message(narrow(index), &message.into());
    }

    /// Bounds the number of generated tokens (at least 1).
    pub fn set_max_tokens(&self, max_tokens: u32) {
        self.0.set_max_tokens(max_tokens);
    }

    /// Sets the sampling temperature, 0 to 2.
    pub fn set_temperature(&self, temperature: f32) {
        self.0.set_temperature(temperature);
    }

    /// Leaves a fact for later policies and the router.
    pub fn add_hint(&self, key: &str, value: &str) {
        self.0.add_hint(key, value);
    }

    /// Leaves only these of the tools that the client offered, by their names. A name that it did not offer
    /// makes the policy's answer invalid.
    pub fn keep_tools(&self, names: &[String]) {
        self.0.keep_tools(names);
    }

    /// Sets whether tools may or have to be called.
    pub fn set_tool_choice(&self, choice: ToolChoice) {
        self.0.set_tool_choice(&choice.into());
    }

    /// Sets what the reply has to look like.
    pub fn set_response_format(&self, format: ResponseFormat) {
        self.0.set_response_format(&format.into());
    }

    /// Sets the share of probability that is drawn from: above 0, at most 1.
    pub fn set_top_p(&self, top_p: f32) {
        self.0.set_top_p(top_p);
    }

    /// Sets where the chance of drawing starts.
    pub fn set_seed(&self, seed: u64) {
        self.0.set_seed(seed);
    }

    /// Sets what the reply ends before, in place of what the client set: at most 16, none empty.
    pub fn set_stop(&self, stop: &[String]) {
        self.0.set_stop(stop);
    }
}

/// An index as the contract has it. One that does not fit does not exist either.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
