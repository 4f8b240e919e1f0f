//! `POST /v1/chat/completions`: OpenAI's chat. `messages` with text, either a string or text parts.

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use serde_json::Value;
use signalbox_policy::Message;

use super::{fields::Fields, input::Json, reply, sampling};
use crate::{App, error::ApiError, pipeline::Form, request_id::RequestId};

const MESSAGES_MAX: usize = 4096;
const PARTS_MAX: usize = 1024;

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
    Json(mut fields): Json,
) -> Result<Response, ApiError> {
    let messages = messages(&mut fields)?;
    let (call, delivery) = sampling::read(&mut fields, &id, Form::Chat, messages, app.settings())?;
    let answered = app.pipeline().answer(call).await?;
    reply::send(answered, Form::Chat, delivery, &id).await
}

fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    let Value::Array(messages) = fields.need("messages")? else {
        return Err(ApiError::value("messages", "'messages' must be an array of messages"));
    };
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        let text = format!("'messages' has {}; 1 to {MESSAGES_MAX} are taken", messages.len());
        return Err(ApiError::value("messages", text));
    }
    messages.into_iter().enumerate().map(|(index, value)| message(index, value)).collect()
}

fn message(index: usize, value: Value) -> Result<Message, ApiError> {
    let at = format!("messages[{index}]");
    let mut fields = Fields::of(value, format!("{at}.")).ok_or_else(|| {
        ApiError::value(at, "a message is an object with a 'role' and a 'content'")
    })?;
    if fields.take("tool_calls").is_some_and(|calls| calls != Value::Array(vec![])) {
        let text = "experts here don't call tools; leave 'tool_calls' out";
        return Err(ApiError::unsupported(fields.at("tool_calls"), text));
    }
    let role = role(&mut fields)?;
    let content = fields.need("content")?;
    Ok(Message { role, content: content_text(content, &fields.at("content"))? })
}

fn role(fields: &mut Fields) -> Result<String, ApiError> {
    let role: String = fields.read("role")?.ok_or_else(|| fields.missing("role"))?;
    match ROLES.iter().find(|(sent, _)| *sent == role) {
        Some((_, known)) => Ok((*known).to_owned()),
        None => {
            let names = ROLES.map(|(sent, _)| sent).join(", ");
            let text = format!("there is no role '{role}'; use one of {names}");
            Err(ApiError::value(fields.at("role"), text))
        }
    }
}

fn content_text(content: Value, at: &str) -> Result<String, ApiError> {
    match content {
        Value::String(text) => Ok(text),
        Value::Array(parts) if parts.len() <= PARTS_MAX => {
            let texts = parts.into_iter().enumerate();
            texts.map(|(i, part)| part_text(part, &format!("{at}[{i}]"))).collect()
        }
        Value::Array(_) => Err(ApiError::value(at, format!("'{at}' has over {PARTS_MAX} parts"))),
        _ => Err(ApiError::value(at, format!("'{at}' must be a string or an array of parts"))),
    }
}

fn part_text(part: Value, at: &str) -> Result<String, ApiError> {
    let unreadable = || {
        let text = format!("'{at}' must be like {{\"type\": \"text\", \"text\": \"...\"}}");
        ApiError::value(at, text)
    };
    let mut part = Fields::of(part, format!("{at}.")).ok_or_else(unreadable)?;
    match part.read::<String>("type")?.as_deref() {
        Some("text") => part.read("text")?.ok_or_else(unreadable),
        Some("image_url" | "input_image" | "image") => {
            let text = "experts on this build don't read images yet; send text only";
            let status = StatusCode::BAD_REQUEST;
            Err(ApiError::client(status, "images_not_supported", text).at(at))
        }
        Some(other) => Err(ApiError::unsupported(
            at,
            format!("parts of type '{other}' can't be read; send text"),
        )),
        None => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Vec<Message>, ApiError> {
        messages(&mut Fields::parse(format!(r#"{{"messages": {list}}}"#).as_bytes()).unwrap())
    }

    fn check(list: &str, expect: &[(&str, &str)]) {
        let read = parse(list).unwrap();
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
                "images_not_supported",
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
