//! What policies are shown of a call and of the experts: plain data with public fields.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Serialize};

use crate::{
    Answer, AskError, Decide, HttpHost, HttpProblem, Notes, Parameters, Question, Runs, Terms,
    Texts, Weights, shared,
};

/// What stands in a text where an image stood: U+FFFC, Unicode's object replacement character.
pub const IMAGE_MARK: char = '\u{fffc}';
/// The hint of calls with images; its value is their number.
pub const HAS_IMAGES: &str = "has-images";

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Plain text. [`IMAGE_MARK`] stands for each image.
    pub content: String,
    /// Which of the client's messages this is, from 0; `None` for one that a policy inserted.
    /// Edits keep it, so that whoever took the images out of a call can put them back.
    pub origin: Option<usize>,
}

/// One call on its way from the client to an expert. Written down, it is what policies are shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// The id the client also gets.
    pub id: String,
    /// Who calls, as a number that stays the same for one caller and reveals nothing about it.
    /// Policies don't see it: it shows whether failures come from one caller or from many.
    #[serde(skip)]
    pub caller: u64,
    /// The expert the client named; `None` leaves the choice to the router.
    pub model: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Upper bound on generated tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature; 0 is greedy.
    pub temperature: Option<f32>,
    /// Whether the client reads the reply as a stream.
    pub streaming: bool,
    /// Free-form facts for policies: key and value.
    pub hints: Vec<(String, String)>,
    /// What it asks for beyond words.
    pub parameters: Parameters,
    /// Who sent it, and how.
    #[serde(with = "shared::one")]
    pub sender: Arc<Sender>,
    /// The expert that answered the conversation before its newest messages, where that is known.
    pub previous_expert: Option<String>,
    /// What policies noted about it.
    #[serde(skip)]
    pub notes: Notes,
    /// What policies did with it.
    #[serde(skip)]
    pub runs: Runs,
    /// Who asks experts for policies that want to know something about it.
    #[serde(skip)]
    pub on_behalf: OnBehalf,
}

impl Call {
    /// Whether policies made another call of the one `before` them.
    pub fn is_edited_from(&self, before: &Call) -> bool {
        self.messages != before.messages
            || self.hints != before.hints
            || self.parameters != before.parameters
            || (self.max_tokens, self.temperature) != (before.max_tokens, before.temperature)
    }

    /// Bytes of all that clients and policies wrote in it.
    pub fn written_bytes(&self) -> usize {
        let pairs = |pairs: &[(String, String)]| -> usize {
            pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
        };
        let messages = self.messages.iter().map(|message| message.content.len());
        let session = self.sender.session.as_ref().map_or(0, String::len);
        messages.sum::<usize>()
            + self.parameters.written_bytes()
            + pairs(&self.hints)
            + pairs(&self.sender.headers)
            + session
    }
}

/// Who sent a call, as far as policies may know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// `key:NAME`, or `peer:ADDRESS` where there are no keys.
    pub caller: String,
    /// The client's name for the conversation.
    pub session: Option<String>,
    /// The headers that the operator lets policies see: names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

/// What the host takes of one call, so that policies can't make of it what nobody would read. The
/// server sets it; nothing of it is for operators to set here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallBounds {
    /// Messages of a call, edits included.
    pub messages_max: usize,
    /// Bytes of text of a call, edits included.
    pub text_bytes_max: u64,
    /// Members of a consensus.
    pub members_max: usize,
}

impl Default for CallBounds {
    fn default() -> Self {
        Self { messages_max: 8192, text_bytes_max: 32 << 20, members_max: 5 }
    }
}

/// Whether an expert's weights are in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpertState {
    /// Loaded and able to answer now.
    Resident,
    /// Being loaded.
    Loading,
    /// Not loaded; the first call loads it.
    Cold,
    /// Can't be loaded, and why.
    Failed(String),
}

/// One expert as policies see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpertView {
    /// The name a decision uses.
    pub id: String,
    /// What it is for.
    pub domain: String,
    /// The operator's words.
    pub description: String,
    /// Higher means preferred by the operator.
    pub priority: i32,
    /// What it can do beyond text.
    pub capabilities: Vec<String>,
    /// Longest prompt plus reply, in tokens.
    pub context_length: u32,
    /// Whether it can answer now.
    pub state: ExpertState,
    /// Bytes its weights take, or would take.
    pub resident_bytes: u64,
    /// Calls that run or wait on it.
    pub queue_depth: u32,
    /// Milliseconds until a new call would start; `None` before anything was measured.
    pub estimated_wait_ms: Option<u32>,
    /// Milliseconds its last load took; `None` when it was never loaded.
    pub estimated_load_ms: Option<u32>,
    /// Decode speed of recent replies; `None` before the first.
    pub tokens_per_second: Option<f32>,
}

/// Why tokens could not be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No expert has this id.
    #[error("there is no expert '{0}'")]
    UnknownExpert(String),
    /// The tokenizer can't be used, and why.
    #[error("tokens can't be counted: {0}")]
    Unavailable(String),
}

/// What the host lends to policies while they run. Must not block: long work belongs on other
/// threads, because the hook's deadline keeps running.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// Every expert as it is now, in the operator's order.
    fn menu(&self) -> Vec<ExpertView>;

    /// Tokens of `text` for `expert`; `None` means the highest-priority expert.
    async fn count_tokens(&self, text: String, expert: Option<String>) -> Result<u32, TokenError>;

    /// Sends a request of a policy to a host that the operator lists for it, if its address may be asked, and reads the whole
    /// answer, whose body may have `bytes_max`; redirects are answers. Given up when the future is dropped. Where there is
    /// no network, as here, nothing is sent.
    async fn send(
        &self,
        _to: &HttpHost,
        _request: Request<Bytes>,
        _bytes_max: u64,
    ) -> Result<Response<Bytes>, HttpProblem> {
        Err(HttpProblem::NoNetwork)
    }
}

/// Asks experts on behalf of a call's caller: only whom the caller may ask, and at the caller's cost. Dropping a future cancels what it asked for.
#[async_trait]
pub trait Delegate: Send + Sync {
    /// A vector of the length 1 for each text.
    ///
    /// # Errors
    /// Why there are none.
    async fn embed(&self, texts: Texts, terms: Terms) -> Result<Vec<Arc<[f32]>>, AskError>;

    /// An expert's whole answer.
    ///
    /// # Errors
    /// Why there is none.
    async fn ask(&self, question: Question, terms: Terms) -> Result<Answer, AskError>;

    /// What an expert makes of questions about a text, in their order.
    ///
    /// # Errors
    /// Why that is not known.
    async fn decide(&self, about: Decide, terms: Terms) -> Result<Vec<Weights>, AskError>;

    /// How many tokens of the call's prompt `expert` has computed already, where that can be known.
    async fn cached_tokens(&self, call: &Arc<Call>, expert: &str) -> Option<u32>;
}

/// Who asks experts for the policies of a call; in a probe or a replay, nobody.
#[derive(Clone, Default)]
pub struct OnBehalf(Option<Arc<dyn Delegate>>);

impl OnBehalf {
    /// This one.
    pub fn of(delegate: Arc<dyn Delegate>) -> Self {
        Self(Some(delegate))
    }

    pub(crate) fn delegate(&self) -> Option<&Arc<dyn Delegate>> {
        self.0.as_ref()
    }
}

impl fmt::Debug for OnBehalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "somebody" } else { "nobody" })
    }
}

/// Two calls are alike whoever asks for them.
impl PartialEq for OnBehalf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
