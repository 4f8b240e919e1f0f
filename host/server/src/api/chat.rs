//! `POST /v1/chat/completions`: OpenAI's chat. `messages` with text, either a string or parts, and with
//! images as parts of what users say.

use axum::{Extension, extract::State, http::StatusCode, response::Response};
use serde_json::Value;
use signalbox_policy::{IMAGE_MARK, Message};

use super::{fields::Fields, input::Json, reply, sampling};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    images::{Images, Sent},
    pipeline::{Form, Pictures},
    request_id::RequestId,
};

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

/// A conversation as it was sent: text with marks, and the images that belong there.
#[derive(Debug, Default)]
struct Conversation {
    messages: Vec<Message>,
    /// Each with the message it stands in.
    images: Vec<(usize, Sent)>,
}

/// Answers a conversation.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Json(mut fields): Json,
) -> Result<Response, ApiError> {
    let settings = app.settings();
    let Conversation { messages, images } =
        conversation(&mut fields, settings.images_per_call_max)?;
    let count = messages.len();
    let (mut call, delivery) =
        sampling::read(&mut fields, (&id, caller), Form::Chat, messages, settings)?;
    call.pictures = pictures(app.images(), count, images).await?;
    let answered = app.pipeline().answer(call.with_images_told()).await?;
    reply::send(answered, Form::Chat, delivery, &id).await
}

/// Decodes the images and sorts them by message.
async fn pictures(
    images: &Images,
    messages: usize,
    sent: Vec<(usize, Sent)>,
) -> Result<Pictures, ApiError> {
    let (places, sent): (Vec<usize>, Vec<Sent>) = sent.into_iter().unzip();
    let (taken, room) = images.take(sent).await?;
    let mut of_message = vec![Vec::new(); messages];
    for (place, image) in places.into_iter().zip(taken) {
        of_message[place].push(image);
    }
    Ok(Pictures::new(of_message, room))
}

fn conversation(fields: &mut Fields, images_max: usize) -> Result<Conversation, ApiError> {
    let Value::Array(messages) = fields.need("messages")? else {
        return Err(ApiError::value("messages", "'messages' must be an array of messages"));
    };
    if messages.is_empty() || messages.len() > MESSAGES_MAX {
        let text = format!("'messages' has {}; 1 to {MESSAGES_MAX} are taken", messages.len());
        return Err(ApiError::value("messages", text));
    }
    let mut conversation = Conversation::default();
    for (index, value) in messages.into_iter().enumerate() {
        conversation.hear(index, value)?;
        if let Some((_, surplus)) = conversation.images.get(images_max) {
            let text = format!("there are more than {images_max} images; send fewer in one call");
            let refused = ApiError::client(StatusCode::BAD_REQUEST, "too_many_images", text);
            return Err(refused.at(&surplus.at));
        }
    }
    Ok(conversation)
}

impl Conversation {
    /// Reads one more message.
    fn hear(&mut self, index: usize, value: Value) -> Result<(), ApiError> {
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
        let (content, images) = content_text(content, &fields.at("content"))?;
        if let Some(image) = images.first().filter(|_| role != "user") {
            let text =
                format!("a message of the role '{role}' has no images; let the user send them");
            return Err(ApiError::unsupported(&image.at, text));
        }
        self.images.extend(images.into_iter().map(|image| (index, image)));
        self.messages.push(Message { role, content, origin: Some(index) });
        Ok(())
    }
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

/// Text with a mark for each image, and the images.
fn content_text(content: Value, at: &str) -> Result<(String, Vec<Sent>), ApiError> {
    match content {
        Value::String(text) => Ok((unmarked(text), vec![])),
        Value::Array(parts) if parts.len() <= PARTS_MAX => {
            let (mut text, mut images) = (String::new(), vec![]);
            for (i, value) in parts.into_iter().enumerate() {
                match part(value, &format!("{at}[{i}]"))? {
                    Part::Text(more) => text.push_str(&unmarked(more)),
                    Part::Image(image) => {
                        text.push(IMAGE_MARK);
                        images.push(image);
                    }
                }
            }
            Ok((text, images))
        }
        Value::Array(_) => Err(ApiError::value(at, format!("'{at}' has over {PARTS_MAX} parts"))),
        _ => Err(ApiError::value(at, format!("'{at}' must be a string or an array of parts"))),
    }
}

/// Text in which nothing passes for an image.
pub(super) fn unmarked(text: String) -> String {
    match text.contains(IMAGE_MARK) {
        true => text.replace(IMAGE_MARK, "\u{fffd}"),
        false => text,
    }
}

/// One part of a message.
enum Part {
    Text(String),
    Image(Sent),
}

fn part(part: Value, at: &str) -> Result<Part, ApiError> {
    let unreadable = || {
        let text = format!(
            "'{at}' must be like {{\"type\": \"text\", \"text\": \"...\"}} or {{\"type\": \
             \"image_url\", \"image_url\": {{\"url\": \"data:image/png;base64,...\"}}}}"
        );
        ApiError::value(at, text)
    };
    let mut part = Fields::of(part, format!("{at}.")).ok_or_else(unreadable)?;
    match part.read::<String>("type")?.as_deref() {
        Some("text" | "input_text") => part.read("text")?.map(Part::Text).ok_or_else(unreadable),
        Some("image_url" | "input_image") => {
            let url = image_url(&mut part).ok_or_else(unreadable)?;
            Ok(Part::Image(Sent { at: at.to_owned(), url }))
        }
        Some(other) => Err(ApiError::unsupported(
            at,
            format!("parts of type '{other}' can't be read; send 'text' and 'image_url'"),
        )),
        None => Err(unreadable()),
    }
}

/// Either of OpenAI's forms: an object with a `url`, or the URL itself.
fn image_url(part: &mut Fields) -> Option<String> {
    match part.take("image_url")? {
        Value::String(url) => Some(url),
        Value::Object(mut image) => match image.remove("url")? {
            Value::String(url) => Some(url),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Conversation, ApiError> {
        let body = format!(r#"{{"messages": {list}}}"#);
        conversation(&mut Fields::parse(body.as_bytes()).unwrap(), 2)
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
