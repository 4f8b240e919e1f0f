//! Calls, experts and settings for native unit tests. Not there when compiling for wasm.
//!
//! What the imports answer with is kept per thread, and `cargo test` gives each test its own.
//!
//! ```
//! use signalbox_sdk::{Request, testing};
//!
//! let call = testing::request("and in Spanish?").max_tokens(20).hint("tenant", "acme").build();
//! assert_eq!(call.last_user_text(), "and in Spanish?");
//! assert_eq!(call.hint("tenant").as_deref(), Some("acme"));
//! ```

mod asking;
mod call;
mod learning;

use std::time::Duration;

pub use asking::{set_answers, set_vectors, set_weights};
pub use call::{RequestBuilder, conversation, request};
pub use learning::{OutcomeBuilder, decided, outcome};

use crate::bindings::signalbox::policy::types::{self, ExpertState};
use crate::log::Level;
use crate::native::{self, Edit, WORLD};
use crate::{Action, Edits, Ending, Expert, Post, Request, State, http};

/// Sets what [`config::get`](crate::config::get) finds under `key`.
pub fn set_config(key: &str, value: &str) {
    WORLD.with_borrow_mut(|world| world.settings.insert(key.to_owned(), value.to_owned()));
}

/// Sets what [`experts::menu`](crate::experts::menu) answers.
pub fn set_menu(experts: impl IntoIterator<Item = Expert>) {
    WORLD.with_borrow_mut(|world| world.menu = experts.into_iter().map(|e| e.0).collect());
}

/// Has requests over [`http`] answered; without it they are [denied](crate::http::Error::Denied).
pub fn answer_http(
    answer: impl FnMut(&http::Request) -> Result<http::Response, http::Error> + 'static,
) {
    WORLD.with_borrow_mut(|world| world.http = Some(Box::new(answer)));
}

/// Takes the messages logged on this thread so far, oldest first.
pub fn logs() -> Vec<(Level, String)> {
    WORLD.with_borrow_mut(|world| std::mem::take(&mut world.logs))
}

/// Takes what was [noted](crate::annotate) on this thread so far, oldest first.
pub fn notes() -> Vec<(String, String)> {
    WORLD.with_borrow_mut(|world| std::mem::take(&mut world.notes))
}

/// A resident expert of domain `general`, idle, that nothing was measured of yet. Finish with
/// [`ExpertBuilder::build`].
pub fn expert(id: &str) -> ExpertBuilder {
    ExpertBuilder(native::Expert {
        id: id.to_owned(),
        domain: "general".to_owned(),
        description: String::new(),
        priority: 0,
        capabilities: Vec::new(),
        context_length: 4096,
        state: ExpertState::Resident,
        resident_bytes: 0,
        queue_depth: 0,
        estimated_wait_ms: None,
        estimated_load_ms: None,
        tokens_per_second: None,
        cached_tokens: None,
    })
}

/// Makes an [`Expert`].
#[derive(Clone, Debug)]
pub struct ExpertBuilder(native::Expert);

impl ExpertBuilder {
    /// What it is for; `general` otherwise.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.0.domain = domain.to_owned();
        self
    }

    /// The operator's words about it.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.0.description = description.to_owned();
        self
    }

    /// Higher means preferred by the operator; 0 otherwise.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.0.priority = priority;
        self
    }

    /// Adds something it can do beyond text.
    #[must_use]
    pub fn capability(mut self, capability: &str) -> Self {
        self.0.capabilities.push(capability.to_owned());
        self
    }

    /// Longest prompt plus reply, in tokens; 4096 otherwise.
    #[must_use]
    pub fn context_length(mut self, tokens: u32) -> Self {
        self.0.context_length = tokens;
        self
    }

    /// Whether its weights are in memory; [`State::Resident`] otherwise.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.0.state = match state {
            State::Resident => ExpertState::Resident,
            State::Loading => ExpertState::Loading,
            State::Cold => ExpertState::Cold,
            State::Failed(reason) => ExpertState::Failed(reason),
            State::Other(name) => ExpertState::Other(name),
        };
        self
    }

    /// Bytes of memory its weights take.
    #[must_use]
    pub fn resident_bytes(mut self, bytes: u64) -> Self {
        self.0.resident_bytes = bytes;
        self
    }

    /// Calls that run or wait on it.
    #[must_use]
    pub fn queue_depth(mut self, calls: u32) -> Self {
        self.0.queue_depth = calls;
        self
    }

    /// Measured time until a new call would start.
    #[must_use]
    pub fn estimated_wait(mut self, wait: Duration) -> Self {
        self.0.estimated_wait_ms = u32::try_from(wait.as_millis()).ok();
        self
    }

    /// How long its last load took.
    #[must_use]
    pub fn estimated_load(mut self, load: Duration) -> Self {
        self.0.estimated_load_ms = u32::try_from(load.as_millis()).ok();
        self
    }

    /// Measured decode speed.
    #[must_use]
    pub fn tokens_per_second(mut self, speed: f32) -> Self {
        self.0.tokens_per_second = Some(speed);
        self
    }

    /// Tokens of the call's prompt that it has computed already.
    #[must_use]
    pub fn cached_tokens(mut self, tokens: u32) -> Self {
        self.0.cached_tokens = Some(tokens);
        self
    }

    /// The expert.
    pub fn build(self) -> Expert {
        Expert(self.0)
    }
}

/// Empty edits, to hand to [`Pre::handle`](crate::Pre::handle).
pub fn edits() -> Edits<'static> {
    Edits(native::Edits::default())
}

/// The call as the next policy sees it when the hook answered `proceed`.
///
/// # Panics
/// When an edit is one that the host would not take.
pub fn apply(request: &Request, edits: &Edits) -> Request<'static> {
    let mut after = native::Request { borrow: Default::default(), ..request.0.clone() };
    let mut inserted = Vec::new();
    for edit in edits.0.made.borrow().iter() {
        apply_one(&mut after, &mut inserted, edit.clone());
    }
    inserted.sort_by_key(|(index, _)| *index);
    for (earlier, (index, message)) in inserted.into_iter().enumerate() {
        after.messages.insert(index + earlier, message);
    }
    Request(after)
}

fn check_insertion(index: u32, role: &str, count: usize) {
    assert!(index as usize <= count, "insert_message({index}): there are {count} messages");
    let known = ["system", "user", "assistant", "tool"].contains(&role);
    assert!(known, "insert_message({index}): a message can't have the role '{role}'");
}

/// Every index is one of the call as the hook saw it, so insertions wait in `inserted`.
fn apply_one(call: &mut native::Request, inserted: &mut Vec<(usize, types::Message)>, edit: Edit) {
    let count = call.messages.len();
    match edit {
        Edit::Content(index, content) => {
            assert!((index as usize) < count, "set_content({index}): there are {count} messages");
            call.messages[index as usize].content = content;
        }
        Edit::Insert(index, message) => {
            check_insertion(index, &message.role, count);
            inserted.push((index as usize, message));
        }
        Edit::MaxTokens(tokens) => {
            assert!(tokens > 0, "set_max_tokens(0): at least 1");
            call.max_tokens = Some(tokens);
        }
        Edit::Temperature(temperature) => {
            let taken = (0.0..=2.0).contains(&temperature);
            assert!(taken, "set_temperature({temperature}): 0 to 2");
            call.temperature = Some(temperature);
        }
        Edit::Hint(key, value) => call.hints.push((key, value)),
        other => apply_parameter(call, other),
    }
}

/// What a call asks for beyond words.
fn apply_parameter(call: &mut native::Request, edit: Edit) {
    match edit {
        Edit::KeepTools(names) => {
            let strange = names.iter().find(|name| !call.tools.iter().any(|t| t.name == **name));
            assert!(strange.is_none(), "keep_tools({strange:?}): the call offers no such tool");
            call.tools.retain(|tool| names.contains(&tool.name));
        }
        Edit::ToolChoice(choice) => call.tool_choice = choice.into(),
        Edit::ResponseFormat(format) => call.response_format = format.into(),
        Edit::TopP(top_p) => {
            assert!(top_p > 0.0 && top_p <= 1.0, "set_top_p({top_p}): above 0, at most 1");
            call.top_p = Some(top_p);
        }
        Edit::Seed(seed) => call.seed = Some(seed),
        Edit::Stop(stop) => {
            let taken = stop.len() <= 16 && !stop.iter().any(String::is_empty);
            assert!(taken, "set_stop({stop:?}): at most 16, none empty");
            call.stop = stop;
        }
        Edit::Content(..)
        | Edit::Insert(..)
        | Edit::MaxTokens(_)
        | Edit::Temperature(_)
        | Edit::Hint(..) => {}
    }
}

/// How the replies of tests end: complete, after one token of prompt and one of reply.
pub fn ending() -> Ending<'static> {
    Ending(native::Ending {
        reason: types::FinishReason::Stop,
        prompt_tokens: Some(1),
        cached_tokens: Some(0),
        completion_tokens: Some(1),
        borrow: Default::default(),
    })
}

/// What the client reads when `expert` answers `request` in these chunks and `P` looks on.
///
/// # Panics
/// When the policy answers with something that the host would not take.
pub fn reply<'a, P: Post>(
    request: &Request,
    expert: &str,
    chunks: impl IntoIterator<Item = &'a str>,
) -> String {
    let mut policy = P::open(request, expert);
    let (mut sent, mut window) = (String::new(), String::new());
    for chunk in chunks {
        window.push_str(chunk);
        let action = policy.push(&window);
        if let Released::AndEnded = release(action, &mut window, &mut sent) {
            return sent;
        }
    }
    let action = policy.finish(&window, &ending());
    let ended = release(action, &mut window, &mut sent);
    assert!(matches!(ended, Released::AndEnded) || window.is_empty(), "finish kept '{window}'");
    sent
}

enum Released {
    AndGoesOn,
    AndEnded,
}

fn release(action: Action, window: &mut String, sent: &mut String) -> Released {
    match action {
        Action::Hold => {}
        Action::Emit => sent.push_str(&std::mem::take(window)),
        Action::Replace { text, keep } => {
            let kept = window.len().checked_sub(keep).filter(|&at| window.is_char_boundary(at));
            let Some(at) = kept else { panic_about_keep(keep, window) };
            window.drain(..at);
            sent.push_str(&text);
        }
        Action::Stop(text) => {
            sent.push_str(&text);
            return Released::AndEnded;
        }
    }
    Released::AndGoesOn
}

#[expect(clippy::panic, reason = "a test's verdict on the policy under test")]
fn panic_about_keep(keep: usize, window: &str) -> ! {
    panic!("keep {keep} is not a character border of the window '{window}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Outcome, Pre, Refusal, experts, tokens};

    struct Shout;

    impl Pre for Shout {
        fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
            let last = request.message_count() - 1;
            edits.insert_message(last + 1, Message::new("system", "Mind the neighbours."));
            edits.insert_message(0, Message::new("system", "Be loud."));
            edits.set_content(last, &request.last_user_text().to_uppercase());
            edits.set_max_tokens(9);
            edits.add_hint("loud", "yes");
            Ok(Outcome::Proceed)
        }
    }

    #[test]
    fn edits_take_effect_together() {
        let (call, edits) = (request("hello").build(), edits());
        assert_eq!(Shout::handle(&call, &edits), Ok(Outcome::Proceed));
        assert_eq!(call.last_user_text(), "hello");

        let after = apply(&call, &edits);
        assert_eq!(after.message(0), Some(Message::new("system", "Be loud.")));
        assert_eq!(after.message(1), Some(Message::new("user", "HELLO")));
        assert_eq!(after.message(2), Some(Message::new("system", "Mind the neighbours.")));
        assert_eq!((after.max_tokens(), after.hint("loud")), (Some(9), Some("yes".into())));
    }

    #[test]
    fn images_are_counted_by_the_host() {
        assert!(!request("hello").build().has_images());
        let call = request("\u{fffc} and \u{fffc}").images(2).build();
        assert_eq!((call.has_images(), call.image_count()), (true, 2));
        assert_eq!(call.last_user_text().matches(crate::IMAGE_MARK).count(), 2);
    }

    #[test]
    #[should_panic(expected = "set_content(3): there are 1 messages")]
    fn an_edit_that_the_host_would_not_take_fails_the_test() {
        let edits = edits();
        edits.set_content(3, "");
        apply(&request("hello").build(), &edits);
    }

    /// Holds until a full stop, then sends the sentence in brackets; stops at "end.".
    struct Sentences;

    impl Post for Sentences {
        fn open(_request: &Request, _expert: &str) -> Self {
            Self
        }

        fn push(&mut self, window: &str) -> Action {
            match window.find('.') {
                None => Action::Hold,
                Some(_) if window.starts_with("end.") => Action::Stop("!".into()),
                Some(at) => {
                    let text = format!("[{}]", &window[..=at]);
                    Action::Replace { text, keep: window.len() - at - 1 }
                }
            }
        }
    }

    #[test]
    fn a_reply_goes_through_the_window() {
        let call = request("").build();
        assert_eq!(
            reply::<Sentences>(&call, "e", ["Hé", "llo. W", "orld. r", "est"]),
            "[Héllo.][ World.] rest"
        );
        assert_eq!(reply::<Sentences>(&call, "e", ["a.", "end.", "more."]), "[a.]!");
    }

    #[test]
    fn the_menu_and_the_token_counter_are_the_tests_own() {
        assert!(experts::menu().is_empty());
        set_menu([expert("phi4_fast").priority(5).build()]);
        assert_eq!(experts::menu()[0].priority(), 5);
        assert_eq!(tokens::count("three short words", Some("phi4_fast")), Ok(3));
        assert_eq!(tokens::count("", Some("x")), Err(tokens::Error::UnknownExpert("x".into())));
    }
}
