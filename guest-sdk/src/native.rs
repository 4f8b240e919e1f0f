//! The host's side of the contract for native tests: the bindings' names and signatures, backed by
//! what [`testing`](crate::testing) sets up. Per thread, so tests do not disturb each other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

mod asking;
mod http;
mod keyvalue;
mod outcome;

pub(crate) use asking::{ask, decide, embed};
pub(crate) use http::send;
pub(crate) use keyvalue::{Bucket, increment, open, update};
pub(crate) use outcome::Outcome;

use crate::bindings::signalbox::policy::{decide as questions, inference, tokens, types};
use crate::bindings::wasi::{config::store, logging::logging};
use crate::exchange::Answering;
use crate::level::Level;
use crate::{ResponseFormat, ToolChoice};

/// Makes a vector of a text.
pub(crate) type Embedder = Rc<dyn Fn(&str) -> Vec<f32>>;
/// Answers a question.
pub(crate) type Answerer = Rc<dyn Fn(inference::Question) -> Result<String, inference::Error>>;
/// Weighs the labels of a question about a text.
pub(crate) type Decider = Rc<dyn Fn(&str, questions::Question) -> Vec<f64>>;

thread_local! {
    pub(crate) static WORLD: RefCell<World> = RefCell::default();
}

/// What the imports answer with, and what they were given.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) menu: Vec<Expert>,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) notes: Vec<(String, String)>,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    pub(crate) http: Option<Answering>,
    pub(crate) embedder: Option<Embedder>,
    pub(crate) answerer: Option<Answerer>,
    pub(crate) decider: Option<Decider>,
}

pub(crate) fn get(key: &str) -> Result<Option<String>, store::Error> {
    Ok(WORLD.with_borrow(|world| world.settings.get(key).cloned()))
}

pub(crate) fn annotate(key: &str, value: &str) {
    WORLD.with_borrow_mut(|world| world.notes.push((key.to_owned(), value.to_owned())));
}

pub(crate) fn menu() -> Vec<Expert> {
    WORLD.with_borrow(|world| world.menu.clone())
}

pub(crate) fn log(level: logging::Level, _context: &str, message: &str) {
    let level = match level {
        logging::Level::Trace => Level::Trace,
        logging::Level::Debug => Level::Debug,
        logging::Level::Info => Level::Info,
        logging::Level::Warn => Level::Warn,
        logging::Level::Error | logging::Level::Critical => Level::Error,
    };
    WORLD.with_borrow_mut(|world| world.logs.push((level, message.to_owned())));
}

pub(crate) fn count(text: &str, expert: Option<&str>) -> Result<u32, tokens::Error> {
    if let Some(id) = expert
        && !menu().iter().any(|known| known.id == id)
    {
        return Err(tokens::Error::UnknownExpert(id.to_owned()));
    }
    Ok(u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX))
}

/// Has the lifetime that the bindings' borrow has, so that both targets check a policy alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) id: String,
    pub(crate) model: Option<String>,
    pub(crate) messages: Vec<types::Message>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) temperature: Option<f32>,
    pub(crate) streaming: bool,
    pub(crate) hints: Vec<(String, String)>,
    pub(crate) tools: Vec<types::Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) response_format: ResponseFormat,
    pub(crate) top_p: Option<f32>,
    pub(crate) seed: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) logprobs: Option<u32>,
    pub(crate) caller: String,
    pub(crate) session: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) previous_expert: Option<String>,
    pub(crate) borrow: PhantomData<&'a ()>,
}

impl Request<'_> {
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }

    pub(crate) fn model(&self) -> Option<String> {
        self.model.clone()
    }

    pub(crate) fn message_count(&self) -> u32 {
        u32::try_from(self.messages.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn message(&self, index: u32) -> Option<types::Message> {
        self.messages.get(index as usize).cloned()
    }

    pub(crate) fn messages(&self) -> Vec<types::Message> {
        self.messages.clone()
    }

    pub(crate) fn last_user_text(&self) -> String {
        let newest = self.messages.iter().rev().find(|message| message.role == "user");
        newest.map(|message| message.content.clone()).unwrap_or_default()
    }

    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.max_tokens
    }

    pub(crate) fn temperature(&self) -> Option<f32> {
        self.temperature
    }

    pub(crate) fn streaming(&self) -> bool {
        self.streaming
    }

    pub(crate) fn hints(&self) -> Vec<(String, String)> {
        self.hints.clone()
    }

    pub(crate) fn tools(&self) -> Vec<types::Tool> {
        self.tools.clone()
    }

    pub(crate) fn tool_choice(&self) -> types::ToolChoice {
        self.tool_choice.clone().into()
    }

    pub(crate) fn response_format(&self) -> types::ResponseFormat {
        self.response_format.clone().into()
    }

    pub(crate) fn top_p(&self) -> Option<f32> {
        self.top_p
    }

    pub(crate) fn seed(&self) -> Option<u64> {
        self.seed
    }

    pub(crate) fn stop(&self) -> Vec<String> {
        self.stop.clone()
    }

    pub(crate) fn logprobs(&self) -> Option<u32> {
        self.logprobs
    }

    pub(crate) fn caller(&self) -> String {
        self.caller.clone()
    }

    pub(crate) fn session(&self) -> Option<String> {
        self.session.clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    pub(crate) fn previous_expert(&self) -> Option<String> {
        self.previous_expert.clone()
    }

    pub(crate) fn tool_loop_open(&self) -> bool {
        self.messages.last().is_some_and(|message| message.role == "tool")
    }

    /// A host's default for `pre`.
    pub(crate) fn time_left_ms(&self) -> u32 {
        1000
    }
}

/// How a reply ended, as a test has it end.
#[derive(Clone, Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) reason: types::FinishReason,
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) cached_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) borrow: PhantomData<&'a ()>,
}

impl Ending<'_> {
    pub(crate) fn reason(&self) -> types::FinishReason {
        self.reason.clone()
    }

    pub(crate) fn prompt_tokens(&self) -> Option<u32> {
        self.prompt_tokens
    }

    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.cached_tokens
    }

    pub(crate) fn completion_tokens(&self) -> Option<u32> {
        self.completion_tokens
    }
}

/// One change, as it was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Content(u32, String),
    Insert(u32, types::Message),
    MaxTokens(u32),
    Temperature(f32),
    Hint(String, String),
    KeepTools(Vec<String>),
    ToolChoice(types::ToolChoice),
    ResponseFormat(types::ResponseFormat),
    TopP(f32),
    Seed(u64),
    Stop(Vec<String>),
}

#[derive(Debug, Default)]
pub(crate) struct Edits<'a> {
    pub(crate) made: RefCell<Vec<Edit>>,
    pub(crate) borrow: PhantomData<&'a ()>,
}

impl Edits<'_> {
    pub(crate) fn set_content(&self, index: u32, content: &str) {
        self.made.borrow_mut().push(Edit::Content(index, content.to_owned()));
    }

    pub(crate) fn insert_message(&self, index: u32, message: &types::Message) {
        self.made.borrow_mut().push(Edit::Insert(index, message.clone()));
    }

    pub(crate) fn set_max_tokens(&self, max_tokens: u32) {
        self.made.borrow_mut().push(Edit::MaxTokens(max_tokens));
    }

    pub(crate) fn set_temperature(&self, temperature: f32) {
        self.made.borrow_mut().push(Edit::Temperature(temperature));
    }

    pub(crate) fn add_hint(&self, key: &str, value: &str) {
        self.made.borrow_mut().push(Edit::Hint(key.to_owned(), value.to_owned()));
    }

    pub(crate) fn keep_tools(&self, names: &[String]) {
        self.made.borrow_mut().push(Edit::KeepTools(names.to_vec()));
    }

    pub(crate) fn set_tool_choice(&self, choice: &types::ToolChoice) {
        self.made.borrow_mut().push(Edit::ToolChoice(choice.clone()));
    }

    pub(crate) fn set_response_format(&self, format: &types::ResponseFormat) {
        self.made.borrow_mut().push(Edit::ResponseFormat(format.clone()));
    }

    pub(crate) fn set_top_p(&self, top_p: f32) {
        self.made.borrow_mut().push(Edit::TopP(top_p));
    }

    pub(crate) fn set_seed(&self, seed: u64) {
        self.made.borrow_mut().push(Edit::Seed(seed));
    }

    pub(crate) fn set_stop(&self, stop: &[String]) {
        self.made.borrow_mut().push(Edit::Stop(stop.to_vec()));
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Expert {
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) description: String,
    pub(crate) priority: i32,
    pub(crate) capabilities: Vec<String>,
    pub(crate) context_length: u32,
    pub(crate) state: types::ExpertState,
    pub(crate) resident_bytes: u64,
    pub(crate) queue_depth: u32,
    pub(crate) estimated_wait_ms: Option<u32>,
    pub(crate) estimated_load_ms: Option<u32>,
    pub(crate) tokens_per_second: Option<f32>,
    pub(crate) cached_tokens: Option<u32>,
}

impl Expert {
    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }

    pub(crate) fn domain(&self) -> String {
        self.domain.clone()
    }

    pub(crate) fn description(&self) -> String {
        self.description.clone()
    }

    pub(crate) fn priority(&self) -> i32 {
        self.priority
    }

    pub(crate) fn capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    pub(crate) fn context_length(&self) -> u32 {
        self.context_length
    }

    pub(crate) fn state(&self) -> types::ExpertState {
        self.state.clone()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    pub(crate) fn queue_depth(&self) -> u32 {
        self.queue_depth
    }

    pub(crate) fn estimated_wait_ms(&self) -> Option<u32> {
        self.estimated_wait_ms
    }

    pub(crate) fn estimated_load_ms(&self) -> Option<u32> {
        self.estimated_load_ms
    }

    pub(crate) fn tokens_per_second(&self) -> Option<f32> {
        self.tokens_per_second
    }

    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.cached_tokens
    }
}
