//! What well-behaved hooks see and what the host makes of their answers.

use std::sync::Arc;

use signalbox_policy::{
    Call, Hook, Message, Parameters, Plan, PolicyError, PreVerdict, RefusalKind, ResponseFormat,
    Sender, Tool, ToolChoice,
};

use crate::scene::{Scene, configured, passed, says};

#[tokio::test]
async fn a_router_reads_the_call_and_the_menu() {
    let scene = Scene::new(|_| {}).await;
    let decision = scene.route("hello").await.unwrap().unwrap();
    assert_eq!(decision.plan, Plan::Expert("expert_coding".into()));
    assert_eq!((decision.reason.as_str(), decision.confidence), ("5 bytes", 0.5));
    assert_eq!(decision.policy.name, "guest");
    assert_eq!(decision.policy.to_string().len(), "guest@".len() + 12);
}

#[tokio::test]
async fn imports_answer() {
    let scene = Scene::new(|settings| configured(settings, "guest", "greeting", "hola")).await;
    assert_eq!(scene.reason("tokens").await, "Some(6)");
    assert_eq!(scene.reason("config").await, "Some(\"hola\")");
}

#[tokio::test]
async fn a_pre_policy_edits_answers_or_refuses() {
    let scene = Scene::new(|_| {}).await;
    let pre = async |text| scene.policies.snapshot().pre(says(text)).await;
    assert_eq!(passed(pre("hello").await.unwrap()), says("hello"));
    let Ok(PreVerdict::Proceed(edited)) = pre("edit").await else { panic!("it proceeds") };
    assert_eq!(edited.messages[0].content, "edited");
    assert_eq!((edited.max_tokens, edited.hints.len()), (Some(5), 1));
    let Ok(PreVerdict::Answer { text, call, .. }) = pre("answer").await else {
        panic!("an answer")
    };
    assert_eq!((text.as_str(), call.messages), ("42", says("answer").messages));
    let Err(PolicyError::Refused { kind, message, .. }) = pre("refuse").await else {
        panic!("a refusal")
    };
    assert_eq!((kind, message.as_str()), (RefusalKind::RateLimited { retry_ms: 50 }, "slow down"));
    let counters = &scene.policies.show("guest").unwrap().counters[&Hook::Pre];
    assert_eq!((counters.calls, counters.refusals, counters.instances), (4, 1, 4));
    assert!(counters.failures.is_empty() && counters.instance_max_us > 0);
}

/// A call with two tools, from somebody, in the middle of a conversation.
fn offering(text: &str) -> Call {
    let tool = |name: &str| Tool {
        name: name.into(),
        description: format!("it can {name}"),
        parameters: r#"{"type":"object"}"#.into(),
    };
    let sender = Sender {
        caller: "key:app".into(),
        session: Some("tuesday".into()),
        headers: vec![("x-team".into(), "red".into())],
    };
    let result = Message { role: "tool".into(), content: "3".into(), origin: None };
    let tools = [tool("read"), tool("write")].into();
    Call {
        parameters: Parameters { tools, ..Parameters::default() },
        sender: Arc::new(sender),
        previous_expert: Some("expert_coding".into()),
        messages: [says(text).messages, vec![result]].concat(),
        ..says(text)
    }
}

#[tokio::test]
async fn a_pre_policy_reads_and_sets_what_a_call_asks_for_beyond_words() {
    let scene = Scene::new(|_| {}).await;
    let verdict = scene.policies.snapshot().pre(offering("parameters")).await;
    let Ok(PreVerdict::Proceed(call)) = verdict else { panic!("it proceeds") };
    let Parameters { tools, tool_choice, response_format, top_p, seed, stop, .. } = call.parameters;
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!((names, tool_choice), (vec!["read"], ToolChoice::Tool("read".into())));
    assert_eq!((response_format, top_p, seed), (ResponseFormat::Json, Some(0.5), Some(7)));
    assert_eq!(stop, ["END"]);
    let notes = call.notes.all();
    assert!(notes.iter().all(|note| note.policy == "guest"));
    let noted: Vec<_> = notes.iter().map(|n| format!("{}={}", n.key, n.value)).collect();
    let expect = [
        "tools=read write",
        "caller=key:app",
        "session=tuesday",
        "team=red",
        "before=expert_coding",
        "loop=true",
        "in time=true",
    ];
    assert_eq!(noted, expect);
}

#[tokio::test]
async fn what_a_call_can_not_ask_for_is_an_invalid_answer() {
    let scene = Scene::new(|_| {}).await;
    let check = async |text: &str, expect: &str| {
        let error = scene.policies.snapshot().pre(says(text)).await.unwrap_err();
        assert_eq!(error.code(), "policy_invalid_answer", "{text}");
        assert!(error.to_string().contains(expect), "{error}");
    };
    check("strange-tool", "it keeps the tool 'rm', which is not there").await;
    check("no-tool", "a tool has to be called, and there is none").await;
    check("other-choice", "the tool choice 'dance' is not known here").await;
    check("bad-schema", "its schema is not a JSON object").await;
}

#[tokio::test]
async fn without_a_router_the_host_chooses() {
    let scene = Scene::empty(|_| {});
    assert_eq!(scene.route("hello").await.unwrap(), None);
    let verdict = scene.policies.snapshot().pre(says("hello")).await.unwrap();
    assert_eq!(passed(verdict), says("hello"));
    assert!(scene.reply().is_empty());
}
