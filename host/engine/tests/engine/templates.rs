//! What a chat template refuses is the client's to mend, and the error says what.

use std::fs;

use signalbox_engine::{Blame, EngineError, Fleet, Message, Request};

use crate::support::{TOYS, again, ask, chat, copy, fleet, settings};

fn conversation(turns: &[(&str, &str)]) -> Request {
    let messages: Vec<Message> =
        turns.iter().map(|(role, text)| Message::text(*role, *text)).collect();
    Request { prompt: messages.into(), ..chat("") }
}

async fn refusal(id: &str, turns: &[(&str, &str)]) -> EngineError {
    let error = ask(&fleet(&[id]), id, conversation(turns)).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Client, "{error}");
    error
}

#[tokio::test]
async fn a_refused_conversation_is_answered_in_the_template_s_words() {
    let alternate = "Conversation roles must alternate user/assistant/user/assistant/...";
    for id in ["mistral_balanced", "gemma3_multimodal", "aya_expanse_multilingual"] {
        let error = refusal(id, &[("assistant", "One"), ("user", "Two")]).await;
        let expected = format!("the chat template of '{id}' refuses these messages: {alternate}");
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn roles_that_no_template_knows_are_named() {
    let error = refusal("qwen_coder", &[("user", "Hi"), ("king", "Kneel")]).await;
    assert_eq!(error.to_string(), "'king' is not a role; use one of system, user, assistant, tool");
}

/// Two conversations that every expert takes for the same.
async fn check_same(turns: &[(&str, &str)], as_if: &[(&str, &str)]) {
    for id in TOYS {
        let fleet = fleet(&[id]);
        let ours = ask(&fleet, id, conversation(turns)).await.unwrap();
        let theirs = ask(&fleet, id, conversation(as_if)).await.unwrap();
        assert_eq!(ours.text, theirs.text, "{id}: {turns:?}");
        assert_eq!(theirs.usage, again(ours.usage), "{id}: {turns:?}");
    }
}

#[tokio::test]
async fn conversations_reach_every_expert_alike() {
    check_same(&[("user", "One"), ("user", "Two")], &[("user", "One\n\nTwo")]).await;
    check_same(&[("system", "What is a CPU?")], &[("user", "What is a CPU?")]).await;
    check_same(
        &[("system", "A."), ("system", "B."), ("user", "Hi")],
        &[("system", "A.\n\nB."), ("user", "Hi")],
    )
    .await;
}

#[tokio::test]
async fn a_template_that_does_not_compile_is_the_expert_s_fault() {
    for source in
        ["{% for m in messages %}{{ m.content }}", "{{ messages | nonsense }}", "{{ 1 + 'a' }}"]
    {
        let folder = copy("phi4_fast");
        fs::write(folder.path().join("chat_template.jinja"), source).unwrap();
        let mut settings = settings(&["phi4_fast"]);
        settings.experts[0].path = folder.path().into();
        let error = ask(&Fleet::start(settings), "phi4_fast", chat("Hello")).await.unwrap_err();
        assert_eq!(error.blame(), Blame::Expert, "{source}: {error}");
        assert!(matches!(error, EngineError::TemplateFailed { .. }), "{source}: {error}");
    }
}

#[tokio::test]
async fn templates_are_read_as_jinja_reads_them() {
    const PLAIN: &str = "{% for m in messages %}\n{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}\n\
        {% endfor %}\n{{ '<|assistant|>' }}\n";
    let crlf = PLAIN.replace('\n', "\r\n");
    let content = "' }}{% generation %}{{ m.content }}{% endgeneration %}{{ '";
    let marked = PLAIN.replace("' + m.content + '", content);
    let formatted = PLAIN.replace("'<|' + m.role + '|>'", "'<|%s|>' % m.role");
    let mut replies = Vec::new();
    for source in [PLAIN, &crlf, &marked, &formatted] {
        let folder = copy("phi4_fast");
        fs::write(folder.path().join("chat_template.jinja"), source).unwrap();
        let mut settings = settings(&["phi4_fast"]);
        settings.experts[0].path = folder.path().into();
        let reply = ask(&Fleet::start(settings), "phi4_fast", chat("Hello")).await.unwrap();
        replies.push((reply.usage.prompt_tokens, reply.text));
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
}
