//! What a chat template refuses is the client's to mend, and the error says what.

use signalbox_engine::{Blame, EngineError, Message, Prompt};

use crate::support::{ask, chat, fleet};

async fn refusal(id: &str, turns: &[(&str, &str)]) -> EngineError {
    let mut request = chat("");
    let messages = turns.iter().map(|(role, text)| Message::text(*role, *text)).collect();
    request.prompt = Prompt::Chat(messages);
    let error = ask(&fleet(&[id]), id, request).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Client, "{error}");
    error
}

#[tokio::test]
async fn a_refused_conversation_is_answered_in_the_template_s_words() {
    let alternate = "Conversation roles must alternate user/assistant/user/assistant/...";
    for id in ["mistral_balanced", "gemma3_multimodal", "aya_expanse_multilingual"] {
        let error = refusal(id, &[("user", "One"), ("user", "Two")]).await;
        let expected = format!("the chat template of '{id}' refuses these messages: {alternate}");
        assert_eq!(error.to_string(), expected);
    }
    let error = refusal("mistral_balanced", &[("user", "2+2?"), ("tool", "4")]).await;
    assert!(error.to_string().ends_with("Only user and assistant roles are supported!"), "{error}");
}

#[tokio::test]
async fn roles_that_no_template_knows_are_named() {
    let error = refusal("qwen_coder", &[("user", "Hi"), ("king", "Kneel")]).await;
    assert_eq!(error.to_string(), "'king' is not a role; use one of system, user, assistant, tool");
}
