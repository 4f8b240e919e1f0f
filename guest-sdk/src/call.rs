//! The call under way: what a policy may read of it, and what a `pre` policy may change.

use crate::bindings::signalbox::policy::types;
use crate::host;

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
}

/// An index as the contract has it. One that does not fit does not exist either.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
