//! `POST /v1/chat/completions`: OpenAI's chat. `messages` with text, either a string or parts, and with
//! images as parts of what users say.

use std::borrow::Cow;

use axum::{Extension, extract::State, response::Response};
use serde_json::value::RawValue;
use signalbox_confine::clean;
use signalbox_engine::{MESSAGES_MAX, Opening, ToolCall};

use super::{
    asked::{Asked, Granted},
    conversation::{Content, Conversation, Turn},
    fields::{Fields, Names, NoList, is_empty, list, text},
    format,
    input::Admitted,
    logprobs, parameters, parts,
    sampling::{self, Prompt},
    tools,
    writer::Writer,
};
#[cfg(any(test, fuzzing))]
use crate::pipeline::Pictures;
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Attached, Form, Wishes},
    request_id::RequestId,
};

/// Bytes of a role that an error repeats.
const SHOWN: usize = 100;

const NAMES: Names = &[
    &["messages"],
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    tools::NAMES,
    ENDING,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
/// Whether a reply begins, or the last message goes on.
const ENDING: &[&str] = &["continue_final_message", "add_generation_prompt"];
const MESSAGE_NAMES: Names =
    &[&["role", "content", "refusal", "tool_calls", "tool_call_id", "function_call"]];

/// Who speaks, as clients write it and as chat templates know it.
const ROLES: [(&str, &str); 6] = [
    ("system", "system"),
    ("developer", "system"),
    ("user", "user"),
    ("assistant", "assistant"),
    ("tool", "tool"),
    ("function", "tool"),
];

/// Answers a conversation.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (settings, name) = (app.clone(), id.clone());
    let reading = move |mut fields: Fields<'_>| {
        let settings = settings.settings();
        let Conversation { messages, attached, images, .. } =
            conversation(&mut fields, settings.images.per_call_max)?;
        let wishes = wishes(&mut fields, attached)?;
        let prompt = Prompt { form: Form::Chat, messages, wishes, streams: false };
        let (draft, delivery) = sampling::read(&mut fields, (&name, caller), prompt, &settings)?;
        Ok(Asked { draft, others: vec![], delivery, images })
    };
    let (asked, held) = body.read(&app, NAMES, reading).await?;
    let writer = Writer::new(Form::Chat, &asked.delivery, &id);
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}

/// Reads any bytes as a body, for fuzzers.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    let settings = crate::ServerSettings::default();
    let Ok(mut fields) = Fields::parse(bytes, NAMES) else { return };
    let caller = (&RequestId::of(None), Caller::at(None));
    let Ok(Conversation { messages, attached, images, .. }) = conversation(&mut fields, 8) else {
        return;
    };
    let Ok(wishes) = wishes(&mut fields, attached) else { return };
    let prompt = Prompt { form: Form::Chat, messages, wishes, streams: false };
    let Ok((draft, _)) = sampling::read(&mut fields, caller, prompt, &settings) else {
        return;
    };
    let call = draft.with(Pictures::default());
    assert!(call.view.messages.len() <= MESSAGES_MAX, "more messages than are taken");
    assert!(images.len() <= 8, "more images than are taken");
    assert!(call.text_bytes() <= bytes.len(), "more text than was sent");
}

/// What a conversation asks for beyond words.
fn wishes(fields: &mut Fields<'_>, attached: Vec<Attached>) -> Result<Wishes, ApiError> {
    let continued = fields.read("continue_final_message")?.unwrap_or(false);
    let begun = fields.read("add_generation_prompt")?.unwrap_or(!continued);
    let opening = match (continued, begun) {
        (false, true) => Opening::Reply,
        (false, false) => Opening::Nothing,
        (true, false) => Opening::Continuation,
        (true, true) => {
            let message = "a message is continued or a reply begins; set one of                            'continue_final_message' and 'add_generation_prompt'";
            return Err(ApiError::value("continue_final_message", message));
        }
    };
    Ok(Wishes { tools: tools::read(fields)?.into(), attached, opening, ..Wishes::default() })
}

fn conversation(fields: &mut Fields<'_>, images_max: usize) -> Result<Conversation, ApiError> {
    let wrong = |text: String| Err(ApiError::value("messages", text));
    let messages = match list(fields.need("messages")?, MESSAGES_MAX) {
        Ok(messages) if messages.is_empty() => {
            return wrong(format!("'messages' has none; 1 to {MESSAGES_MAX} are taken"));
        }
        Ok(messages) => messages,
        Err(NoList::Long) => {
            return wrong(format!("'messages' has more than the {MESSAGES_MAX} that are taken"));
        }
        Err(NoList::Other) => return wrong("'messages' must be an array of messages".to_owned()),
    };
    let mut conversation = Conversation::new(images_max);
    for (index, value) in messages.into_iter().enumerate() {
        conversation.push(turn(index, value)?)?;
    }
    Ok(conversation)
}

fn turn(index: usize, value: &RawValue) -> Result<Turn, ApiError> {
    let at = format!("messages[{index}]");
    let mut fields = Fields::of(value, MESSAGE_NAMES, format!("{at}.")).ok_or_else(|| {
        ApiError::value(at, "a message is an object with a 'role' and a 'content'")
    })?;
    if fields.take("function_call").is_some_and(|call| !is_empty(call)) {
        let text = "write the call as one of 'tool_calls'";
        return Err(ApiError::unsupported(fields.at("function_call"), text));
    }
    let role = role(&mut fields)?;
    let calls = calls(&mut fields, role)?;
    let content = match fields.take("content") {
        Some(content) => parts::content(content, &fields.at("content"))?,
        None if role == "assistant" || role == "tool" => refusal(&mut fields),
        None => return Err(fields.missing("content")),
    };
    let answers = fields.read("tool_call_id")?.filter(|_| role == "tool");
    Ok(Turn { role, content, calls, answers })
}

/// What an assistant called.
fn calls(fields: &mut Fields<'_>, role: &str) -> Result<Vec<ToolCall>, ApiError> {
    let at = fields.at("tool_calls");
    match fields.take("tool_calls").filter(|calls| !is_empty(calls)) {
        None => Ok(vec![]),
        Some(calls) if role == "assistant" => tools::calls(calls, &at),
        Some(_) => Err(ApiError::value(at, "only an assistant calls tools")),
    }
}

fn role(fields: &mut Fields<'_>) -> Result<&'static str, ApiError> {
    let sent: Cow<'_, str> = text(fields.need("role")?)
        .ok_or_else(|| ApiError::value(fields.at("role"), "a role is a string"))?;
    match ROLES.iter().find(|(name, _)| *name == sent) {
        Some((_, known)) => Ok(known),
        None => {
            let names = ROLES.map(|(sent, _)| sent).join(", ");
            let text = format!("there is no role '{}'; use one of {names}", clean(&sent, SHOWN));
            Err(ApiError::value(fields.at("role"), text))
        }
    }
}

/// What an assistant said instead of a content, which is nothing where it called a tool.
fn refusal(fields: &mut Fields<'_>) -> Content {
    fields.take("refusal").and_then(text).map(|said| Content::of(&said)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Sent;

    fn parse(list: &str) -> Result<Conversation, ApiError> {
        let body = format!(r#"{{"messages": {list}}}"#);
        conversation(&mut Fields::parse(body.as_bytes(), NAMES).unwrap(), 2)
    }

    fn check(list: &str, expect: &[(&str, &str)]) {
        let read = parse(list).unwrap().messages;
        let read: Vec<_> = read.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        assert_eq!(read, expect);
    }

    #[test]
    fn content_is_a_string_or_text_parts() {
        check(
            r#"[{"role": "developer", "content": "be kind"},
                {"role": "user", "content": [{"type": "text", "text": "a"},
                                             {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "", "tool_calls": []}]"#,
            &[("system", "be kind"), ("user", "ab"), ("assistant", "")],
        );
    }

    #[test]
    fn what_an_assistant_did_not_say_is_empty_and_a_refusal_is_what_it_said() {
        let said = |message: &str, expect: &str| {
            let list = format!(r#"[{{"role": "assistant", {message}}}]"#);
            check(&list, &[("assistant", expect)]);
        };
        said(r#""content": null"#, "");
        said(r#""content": null, "tool_calls": null, "function_call": null"#, "");
        said(r#""content": null, "refusal": "no\ufffc""#, "no\u{fffd}");
        said(r#""content": "yes", "refusal": null"#, "yes");
        said(r#""refusal": "no""#, "no");
        said(r#""content": [{"type": "refusal", "refusal": "no"}]"#, "no");
        said(r#""content": [{"type": "output_text", "text": "yes"}]"#, "yes");
        check(r#"[{"role": "tool", "tool_call_id": "1", "content": null}]"#, &[("tool", "")]);
    }

    #[test]
    fn images_leave_a_mark_and_text_can_not_pass_for_one() {
        let read = parse(
            r#"[{"role": "user", "content": "a \ufffc b"},
                {"role": "user", "content": [
                    {"type": "text", "text": "is "},
                    {"type": "image_url", "image_url": {"url": "data:1", "detail": "high"}},
                    {"type": "text", "text": " like "},
                    {"type": "input_image", "image_url": "data:2"}]}]"#,
        )
        .unwrap();
        assert_eq!(read.messages[0].content, "a \u{fffd} b");
        assert_eq!(read.messages[1].content, "is \u{fffc} like \u{fffc}");
        let sent =
            |part, url: &str| Sent { at: format!("messages[1].content[{part}]"), url: url.into() };
        assert_eq!(read.images, [(1, sent(1, "data:1")), (1, sent(3, "data:2"))]);
    }

    #[test]
    fn images_are_counted_over_all_messages() {
        let image = r#"{"type": "image_url", "image_url": "data:"}"#;
        let one = format!(r#"{{"role": "user", "content": [{image}]}}"#);
        assert!(parse(&format!("[{one}, {one}]")).is_ok());
        let error = parse(&format!("[{one}, {one}, {one}]")).unwrap_err();
        assert_eq!(error.code(), "too_many_images");
        assert!(format!("{error:?}").contains("Some(\"messages[2].content[0]\")"), "{error:?}");
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        for (list, code, param) in [
            ("[]", "invalid_value", "messages"),
            (r#""hi""#, "invalid_value", "messages"),
            (r#"["hi"]"#, "invalid_value", "messages[0]"),
            (r#"[{"content": "hi"}]"#, "missing_parameter", "messages[0].role"),
            (r#"[{"role": "user"}]"#, "missing_parameter", "messages[0].content"),
            (r#"[{"role": "king", "content": "hi"}]"#, "invalid_value", "messages[0].role"),
            (r#"[{"role": "user", "content": 7}]"#, "invalid_value", "messages[0].content"),
            (
                r#"[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]"#,
                "invalid_value",
                "messages[0].content[0]",
            ),
            (
                r#"[{"role": "system", "content": [{"type": "image_url", "image_url": "data:"}]}]"#,
                "unsupported_parameter",
                "messages[0].content[0]",
            ),
            (
                r#"[{"role": "user", "content": [{"type": "input_audio"}]}]"#,
                "unsupported_parameter",
                "messages[0].content[0]",
            ),
        ] {
            let error = parse(list).unwrap_err();
            assert_eq!(error.code(), code, "{list}");
            assert!(format!("{error:?}").contains(&format!("Some({param:?})")), "{error:?}");
        }
    }
}
