//! Tools in words, for templates that know none: a system prompt tells of them, calls are written the way
//! that it asks for, and results are what the user says. The words are those of Qwen's and Hermes' templates,
//! which most small models have seen.

use std::borrow::Cow;

use crate::{
    Message,
    request::Conversation,
    tools::{Tool, Tools, write_calls},
};

const BEFORE: &str = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n\
    You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
const BEHIND: &str = "\n</tools>\n\nFor each function call, return a json object with function name and \
    arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \
    \"arguments\": <args-json-object>}\n</tool_call>";

/// The conversation without anything but text in it.
pub(super) fn told(conversation: &Conversation) -> Cow<'_, Conversation> {
    let tools = conversation.tools.callable();
    let has_calls = |message: &Message| !message.calls.is_empty() || message.role == "tool";
    if tools.is_empty() && !conversation.messages.iter().any(has_calls) {
        return Cow::Borrowed(conversation);
    }
    let mut messages: Vec<Message> = conversation.messages.iter().map(spoken).collect();
    if !tools.is_empty() {
        messages.insert(0, Message::text("system", prompt(tools)));
        if messages.get(1).is_some_and(|message| message.role == "system") {
            messages.swap(0, 1); // the caller's own words come first
        }
    }
    Cow::Owned(Conversation { messages, tools: Tools::default().into(), ..*conversation })
}

fn prompt(tools: &[Tool]) -> String {
    let definitions = tools.iter().map(|tool| format!("\n{}", tool.definition()));
    format!("{BEFORE}{}{BEHIND}", definitions.collect::<String>())
}

fn spoken(message: &Message) -> Message {
    if message.role == "tool" {
        let result: String = message.texts().collect();
        return Message::text("user", format!("<tool_response>\n{result}\n</tool_response>"));
    }
    if message.calls.is_empty() {
        return message.clone();
    }
    let said = write_calls(message.texts().collect(), &message.calls);
    Message::text(&message.role, said.trim_start())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ToolCall;

    #[test]
    fn what_no_template_shows_is_said() {
        let call = ToolCall { id: "1".into(), name: "add".into(), arguments: r#"{"a":1}"#.into() };
        let asked = Message { calls: vec![call], ..Message::text("assistant", "") };
        let answer = Message { answers: Some("1".into()), ..Message::text("tool", "3") };
        let parameters = json!({ "type": "object" });
        let tool = Tool { name: "add".into(), description: None, parameters, strict: false };
        let conversation = Conversation {
            messages: vec![Message::text("system", "Be brief."), asked, answer],
            tools: Tools { offered: vec![tool], ..Tools::default() }.into(),
            ..Conversation::default()
        };
        let told = told(&conversation);
        let texts: Vec<String> =
            told.messages.iter().map(|message| message.texts().collect()).collect();
        let roles: Vec<&str> = told.messages.iter().map(|m| m.role.as_str()).collect();
        assert_eq!(roles, ["system", "system", "assistant", "user"]);
        assert_eq!(texts[0], "Be brief.");
        assert!(
            texts[1].contains(r#"{"type":"function","function":{"name":"add","#),
            "{}",
            texts[1]
        );
        assert_eq!(
            texts[2],
            "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\":1}}\n</tool_call>"
        );
        assert_eq!(texts[3], "<tool_response>\n3\n</tool_response>");
    }

    #[test]
    fn a_conversation_without_tools_stays_as_it_is() {
        let conversation: Conversation = vec![Message::text("user", "hi")].into();
        assert!(matches!(told(&conversation), Cow::Borrowed(_)));
    }
}
