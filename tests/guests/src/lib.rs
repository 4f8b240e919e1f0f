//! A policy that misbehaves when the newest message asks for it, and otherwise does its work: so it
//! passes the probe of an upload and fails on the live call that a test chooses.
//!
//! Natively the crate offers [`TROUBLES`], so that a test can go through all of them.

use std::hint::black_box;
use std::time::Duration;

use signalbox_sdk::{
    Action, CallOutcome, Decided, Decision, Edits, Ending, Expert, Feedback, Message, Mode,
    Outcome, Plan, Post, Pre, Refusal, Request, ResponseFormat, Route, ToolChoice, annotate,
    config, experts, export,
    inference::{self, Question},
    keyvalue, log,
};

/// Everything this policy can do wrong: the hook, and what it does there.
pub const TROUBLES: &[(&str, &str)] = &[
    ("pre", "loop"),
    ("pre", "trap"),
    ("pre", "recurse"),
    ("pre", "exhaust memory"),
    ("pre", "answer hugely"),
    ("pre", "edit out of range"),
    ("pre", "edit hugely"),
    ("pre", "insert out of range"),
    ("pre", "speak as nobody"),
    ("pre", "insert without end"),
    ("pre", "allow no tokens"),
    ("pre", "boil"),
    ("pre", "hint hugely"),
    ("pre", "hint without end"),
    ("pre", "keep a tool that is not there"),
    ("pre", "require a tool that is not there"),
    ("pre", "ask for a form that is none"),
    ("pre", "end before nothing"),
    ("pre", "draw from nothing"),
    ("pre", "hoard handles"),
    ("pre", "keep without end"),
    ("pre", "exit"),
    ("pre", "sleep"),
    ("pre", "refuse hugely"),
    ("route", "loop"),
    ("route", "trap"),
    ("route", "recurse"),
    ("route", "exhaust memory"),
    ("route", "explain hugely"),
    ("route", "label without end"),
    ("route", "exit"),
    ("route", "sleep"),
    ("route", "hoard handles"),
    ("route", "open buckets without end"),
    ("route", "name the same twice"),
    ("route", "name nobody"),
    ("route", "name nobody twice"),
    ("route", "fall back to nothing"),
    ("route", "poll one member"),
    ("route", "be not a number sure"),
    ("post", "loop"),
    ("post", "trap"),
    ("post", "recurse"),
    ("post", "exhaust memory"),
    ("post", "exit"),
    ("post", "sleep"),
    ("post", "loop at the beginning"),
    ("post", "loop at the end"),
    ("post", "trap at the end"),
    ("post", "replace hugely"),
    ("post", "keep more than there is"),
    ("post", "hold at the end"),
];

/// What it does wrong when it is told what came of its decisions, where no call waits for it.
pub const TROUBLES_IN_LEARNING: &[&str] = &["loop", "trap", "exhaust memory", "sleep"];

/// What it can say to be taken for somebody else: the hook, and how. The text is [`FORGED`].
pub const FORGERIES: &[(&str, &str)] = &[
    ("pre", "panic with a forged line"),
    ("pre", "log a forged line"),
    ("pre", "refuse as the host"),
    ("route", "name a forged line"),
    ("route", "explain with a forged line"),
];

/// What it does within its rights, and notes: the hook, and what.
pub const TAKES_TOOLS: (&str, &str) = ("pre", "take all tools away but one");

/// It answers with what an expert says to it, or with why there is nothing; the hook, and how it is told.
pub const ASKS: (&str, &str) = ("pre", "ask an expert");

/// It asks again and again, and answers with why it can't any more.
pub const ASKS_WITHOUT_END: (&str, &str) = ("pre", "ask an expert without end");

/// Whom it asks.
pub const ASKED: &str = "phi4_fast";

/// What it asks.
pub const QUESTION: &str = "Hello!";

/// Ends a line of a log or a header, begins another, and turns the text around.
pub const FORGED: &str = "no\r\n2026-11-25T00:00:00.000000Z ERROR forged: yes\r\nx-forged: \u{1b}[31myes\u{202e}\u{2028}";

/// The message that asks for a trouble.
pub fn request_for(hook: &str, trouble: &str) -> String {
    format!("misbehave: {trouble} in {hook}")
}

/// More than any host should take in one answer.
const HUGE: usize = 32 << 20;

struct Guest {
    trouble: String,
}

/// The trouble that `request` asks of `hook`; empty when it asks for none. A policy configured with
/// `always` gets into that trouble whatever it is asked.
fn asked(request: &Request, hook: &str) -> String {
    let text = config::get("always").unwrap_or_else(|| request.last_user_text());
    let wanted = text.strip_prefix("misbehave: ").and_then(|text| text.strip_suffix(hook));
    wanted.and_then(|text| text.strip_suffix(" in ")).unwrap_or_default().to_owned()
}

fn names_of_tools(request: &Request) -> Vec<String> {
    request.tools().into_iter().map(|tool| tool.name).collect()
}

/// The troubles that every hook knows.
fn crash(trouble: &str) {
    match trouble {
        "loop" => loop {
            black_box(());
        },
        "trap" => trap(),
        "recurse" => {
            black_box(recurse(1));
        }
        "exhaust memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1u8; 1 << 20]));
            }
        }
        "exit" => std::process::exit(0),
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "open buckets without end" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(keyvalue::open()));
            }
        }
        "hoard handles" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(experts::menu()));
            }
        }
        _ => {}
    }
}

/// As much as the bucket takes and beyond, again and again.
fn keep_without_end() {
    let Ok(bucket) = keyvalue::open() else { return };
    for number in 0u64.. {
        let _ = bucket.set(&number.to_string(), &[7; 10_000]);
    }
}

fn ask() -> Result<String, String> {
    let question = Question::new(QUESTION).to(ASKED).within(Duration::from_secs(30));
    inference::ask(&question).map(|answer| answer.text).map_err(|error| error.to_string())
}

#[expect(clippy::panic, reason = "this is what it is for")]
fn trap() {
    panic!("this guest was asked to trap");
}

#[expect(clippy::panic, reason = "this is what it is for")]
fn panic_with(text: &str) {
    panic!("{text}");
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1)) + depth)
}

impl Pre for Guest {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let trouble = asked(request, "pre");
        crash(&trouble);
        match trouble.as_str() {
            "answer hugely" => return Ok(Outcome::Answer("x".repeat(HUGE))),
            "ask an expert" => return Ok(Outcome::Answer(ask().unwrap_or_else(|why| why))),
            "ask an expert without end" => loop {
                if let Err(why) = ask() {
                    return Ok(Outcome::Answer(why));
                }
            },
            "take all tools away but one" => {
                annotate("tools", names_of_tools(request).join(" "));
                annotate("before", request.previous_expert().unwrap_or_default());
                annotate("caller", request.caller());
                edits.keep_tools(names_of_tools(request).get(..1).unwrap_or_default());
                edits.set_tool_choice(ToolChoice::Auto);
            }
            "edit out of range" => edits.set_content(1_000_000, "nowhere"),
            "edit hugely" => edits.set_content(0, &"x".repeat(HUGE)),
            "insert out of range" => edits.insert_message(99, Message::new("user", "nowhere")),
            "speak as nobody" => edits.insert_message(0, Message::new("robot", "beep")),
            "insert without end" => loop {
                edits.insert_message(0, Message::new("user", ""));
            },
            "allow no tokens" => edits.set_max_tokens(0),
            "boil" => edits.set_temperature(100.0),
            "hint hugely" => edits.add_hint("k", &"x".repeat(1 << 20)),
            "hint without end" => loop {
                edits.add_hint("k", "v");
            },
            "keep without end" => keep_without_end(),
            "keep a tool that is not there" => edits.keep_tools(&["nothing".to_owned()]),
            "require a tool that is not there" => {
                edits.set_tool_choice(ToolChoice::Tool("nothing".to_owned()));
            }
            "ask for a form that is none" => {
                edits.set_response_format(ResponseFormat::JsonSchema("not JSON".to_owned()));
            }
            "end before nothing" => edits.set_stop(&[String::new()]),
            "draw from nothing" => edits.set_top_p(0.0),
            "refuse hugely" => return Err(Refusal::forbidden("x".repeat(HUGE))),
            "panic with a forged line" => panic_with(FORGED),
            "log a forged line" => log::error(FORGED),
            "refuse as the host" => return Err(Refusal::other("internal_panic", FORGED)),
            _ => {}
        }
        Ok(Outcome::Proceed)
    }
}

impl Route for Guest {
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal> {
        let trouble = asked(request, "route");
        crash(&trouble);
        let able = experts.iter().find(|expert| !expert.is_failed());
        let able = able.ok_or_else(|| Refusal::other("no-expert", "no expert can answer"))?.id();
        Ok(match trouble.as_str() {
            "explain hugely" => Decision::to(able).because("x".repeat(HUGE)),
            "name nobody" => Decision::to("nobody"),
            "name the same twice" => Decision::first_of([able.clone(), able]),
            "label without end" => {
                (0..1000).fold(Decision::to(able), |decision, _| decision.tag("k", "v"))
            }
            "name nobody twice" => Decision::first_of(["nobody", "no-one"]),
            "name a forged line" => Decision::to(FORGED),
            "explain with a forged line" => Decision::to(able).because(FORGED).tag(FORGED, FORGED),
            "fall back to nothing" => Decision::first_of([""; 0]),
            "poll one member" => {
                let members = vec![able];
                Decision::plan(Plan::Consensus { members, judge: None, mode: Mode::Parallel })
            }
            "be not a number sure" => Decision::to(able).confidence(f32::NAN),
            _ => Decision::to(able).because("the first expert that can answer"),
        })
    }
}

impl Post for Guest {
    fn open(request: &Request, _expert: &str) -> Self {
        let trouble = asked(request, "post");
        if asked(request, "pre") == TAKES_TOOLS.1 {
            annotate("tools left", names_of_tools(request).join(" "));
        }
        if let Some(trouble) = trouble.strip_suffix(" at the beginning") {
            crash(trouble);
        }
        Self { trouble }
    }

    fn push(&mut self, window: &str) -> Action {
        crash(&self.trouble);
        match self.trouble.as_str() {
            "replace hugely" => Action::Replace { text: "x".repeat(HUGE), keep: 0 },
            "keep more than there is" => {
                Action::Replace { text: String::new(), keep: window.len() + 1 }
            }
            "hold at the end" => Action::Hold,
            _ => Action::Emit,
        }
    }

    fn finish(&mut self, _window: &str, _ended: &Ending) -> Action {
        if let Some(trouble) = self.trouble.strip_suffix(" at the end") {
            crash(trouble);
        }
        if self.trouble == "hold at the end" { Action::Hold } else { Action::Emit }
    }
}

impl Feedback for Guest {
    fn learn(request: &Request, _decision: &Decided, _outcome: &CallOutcome) {
        crash(&asked(request, "feedback"));
    }
}

export!(Guest: pre, route, post, feedback);

/// The README's policy, so that it compiles for as long as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ReadmePolicy;

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_sdk::testing;

    #[test]
    fn behaves_until_asked() {
        let experts = [testing::expert("only").build()];
        let decide = |text: &str| Guest::choose(&testing::request(text).build(), &experts).unwrap();
        assert_eq!(decide("hello").plan, Plan::Expert("only".into()));
        let trouble = decide(&request_for("route", "name nobody"));
        assert_eq!(trouble.plan, Plan::Expert("nobody".into()));
        assert_eq!(decide(&request_for("pre", "trap")).plan, Plan::Expert("only".into()));
    }
}
