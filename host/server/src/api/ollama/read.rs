//! Reads Ollama's requests: a prompt or messages, and `options` with what other dialects have beside them.

use std::collections::VecDeque;

use serde_json::value::RawValue;
use signalbox_confine::clean;
use signalbox_engine::{Format, MESSAGES_MAX, ToolCall};
use signalbox_policy::Message;

use crate::{
    api::{
        conversation::{Content, Conversation, Placed, Turn, unmarked},
        fields::{Fields, Names, is_empty, list, text},
        format, logprobs, parameters,
        sampling::{self, Prompt},
        tools,
    },
    error::ApiError,
    limits::{PARTS_MAX, TOOLS_MAX},
    pipeline::{Form, Wishes},
};

pub(super) const GENERATE: Names = &[
    &["prompt", "suffix", "images", "system", "raw", "context", "format", "options", "keep_alive"],
    HARMLESS,
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
pub(super) const CHAT: Names = &[
    &["messages", "format", "options", "keep_alive"],
    HARMLESS,
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    tools::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
/// What is for Ollama's own way to compute.
const HARMLESS: &[&str] = &[
    "num_gpu",
    "num_thread",
    "num_batch",
    "num_gqa",
    "main_gpu",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mmap",
    "use_mlock",
    "embedding_only",
    "rope_frequency_base",
    "rope_frequency_scale",
    "penalize_newline",
    "numa",
    "shift",
    "debug",
    "_debug_render_only",
];
const OPTIONS: Names = &[HARMLESS, sampling::NAMES, parameters::REFUSED, parameters::HARMLESS];
const MESSAGE_NAMES: Names = &[&[
    "role",
    "content",
    "images",
    "tool_calls",
    "tool_name",
    "tool_call_id",
    "thinking",
    "name",
]];
const CALL_NAMES: Names = &[&["id", "type", "function"]];
const CALLED_NAMES: Names = &[&["name", "arguments", "index"]];
/// Bytes of a role that an error repeats.
const SHOWN: usize = 100;

/// A prompt and its images; `None` where there is nothing to answer.
pub(super) type Prompted = Option<(Prompt, Placed)>;

/// Puts what stands in `options` beside the rest.
pub(super) fn options(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let Some(sent) = fields.take("options") else { return Ok(()) };
    let wrong = || ApiError::value("options", "'options' must be an object");
    fields.absorb(Fields::of(sent, OPTIONS, "options.").ok_or_else(wrong)?);
    Ok(())
}

/// A prompt with what stands around it.
pub(super) fn generate(fields: &mut Fields<'_>, images_max: usize) -> Result<Prompted, ApiError> {
    if fields.take("context").is_some_and(|sent| !is_empty(sent)) {
        let message = "'context': conversations are kept by their clients; use /api/chat";
        return Err(ApiError::unsupported("context", message));
    }
    let raw = fields.read("raw")?.unwrap_or(false);
    let prompt = words(fields, "prompt")?;
    let (system, behind) = (words(fields, "system")?, words(fields, "suffix")?);
    let format = form(fields)?;
    let mut content = Content::of(&prompt);
    images(fields, &mut content)?;
    if content.text.is_empty() && system.is_empty() {
        return Ok(None);
    }
    if raw || !behind.is_empty() {
        if let Some(image) = content.images.first() {
            let message = "a prompt without a template has no images; leave out 'raw' and 'suffix'";
            return Err(ApiError::unsupported(&image.at, message));
        }
        return Ok(Some((text_prompt(content.text, &behind, format), vec![])));
    }
    let mut conversation = Conversation::new(images_max);
    if !system.is_empty() {
        let content = Content::of(&system);
        conversation.push(Turn { role: "system", content, ..Turn::default() })?;
    }
    conversation.push(Turn { role: "user", content, ..Turn::default() })?;
    Ok(Some(chat_prompt(conversation, Wishes { format, ..Wishes::default() })))
}

/// A prompt that no template is put around.
fn text_prompt(text: String, behind: &str, format: Format) -> Prompt {
    let message = |(origin, content)| Message { role: "user".to_owned(), content, origin };
    let infill = !behind.is_empty();
    let behind = infill.then(|| (Some(1), unmarked(behind).into_owned()));
    let messages = [(Some(0), text)].into_iter().chain(behind).map(message).collect();
    let wishes = Wishes { format, infill, ..Wishes::default() };
    Prompt { form: Form::Text, messages, wishes, streams: true }
}

fn chat_prompt(conversation: Conversation, wishes: Wishes) -> (Prompt, Placed) {
    let Conversation { messages, attached, images, .. } = conversation;
    let wishes = Wishes { attached, ..wishes };
    (Prompt { form: Form::Chat, messages, wishes, streams: true }, images)
}

/// A conversation.
pub(super) fn chat(fields: &mut Fields<'_>, images_max: usize) -> Result<Prompted, ApiError> {
    let sent = match fields.take("messages") {
        None => vec![],
        Some(sent) => list(sent, MESSAGES_MAX).map_err(|_| {
            let message = format!("'messages' must be an array of up to {MESSAGES_MAX} messages");
            ApiError::value("messages", message)
        })?,
    };
    let tools = tools::read(fields)?.into();
    let wishes = Wishes { tools, format: form(fields)?, ..Wishes::default() };
    if sent.is_empty() {
        return Ok(None);
    }
    let mut conversation = Conversation::new(images_max);
    let mut open = Open::default();
    for (index, value) in sent.into_iter().enumerate() {
        conversation.push(turn(value, &format!("messages[{index}]"), &mut open)?)?;
    }
    Ok(Some(chat_prompt(conversation, wishes)))
}

/// Calls that no tool has answered yet, oldest first: here they have names and seldom ids.
#[derive(Default)]
struct Open {
    calls: VecDeque<(String, String)>,
    made: usize,
}

impl Open {
    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("call_{}", self.made)
    }

    /// The id of the call that this tool answers.
    fn answered(&mut self, id: Option<String>, name: Option<&str>) -> Option<String> {
        let place = match (&id, name) {
            (Some(id), _) => self.calls.iter().position(|(open, _)| open == id),
            (None, Some(name)) => self.calls.iter().position(|(_, open)| open == name),
            (None, None) => (!self.calls.is_empty()).then_some(0),
        };
        id.or_else(|| place.and_then(|place| self.calls.remove(place)).map(|(id, _)| id))
    }
}

fn turn(value: &RawValue, at: &str, open: &mut Open) -> Result<Turn, ApiError> {
    let wrong = || ApiError::value(at, "a message is an object with a 'role' and a 'content'");
    let mut message = Fields::of(value, MESSAGE_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    let role = message.need("role").map(text)?.unwrap_or_default();
    let role = match &*role {
        "system" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" => "tool",
        other => {
            let other = clean(other, SHOWN);
            let text = format!("there is no role '{other}'; use system, user, assistant or tool");
            return Err(ApiError::value(message.at("role"), text));
        }
    };
    let mut content = Content::of(&words(&mut message, "content")?);
    images(&mut message, &mut content)?;
    let calls = match message.take("tool_calls").filter(|calls| !is_empty(calls)) {
        Some(sent) if role == "assistant" => calls(sent, &message.at("tool_calls"), open)?,
        Some(_) => {
            return Err(ApiError::value(message.at("tool_calls"), "only an assistant calls tools"));
        }
        None => vec![],
    };
    let (id, name) = (message.read("tool_call_id")?, message.read::<String>("tool_name")?);
    let named = name.or(message.read("name")?);
    let answers = (role == "tool").then(|| open.answered(id, named.as_deref())).flatten();
    Ok(Turn { role, content, calls, answers })
}

fn calls(sent: &RawValue, at: &str, open: &mut Open) -> Result<Vec<ToolCall>, ApiError> {
    let wrong = |at: &str| {
        let message = format!(
            "'{at}' must be like {{\"function\": {{\"name\": \"...\", \"arguments\": {{...}}}}}}"
        );
        ApiError::value(at, message)
    };
    let mut calls = vec![];
    let sent = list(sent, TOOLS_MAX).map_err(|_| wrong(at))?;
    for (index, value) in sent.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let mut call = Fields::of(value, CALL_NAMES, format!("{at}.")).ok_or_else(|| wrong(&at))?;
        let id = call.read("id")?.unwrap_or_else(|| open.fresh());
        let function = call.take("function").ok_or_else(|| wrong(&at))?;
        let mut function = Fields::of(function, CALLED_NAMES, "").ok_or_else(|| wrong(&at))?;
        let name = function.take("name").and_then(text).ok_or_else(|| wrong(&at))?.into_owned();
        let arguments = function.take("arguments").map_or("{}", RawValue::get);
        if !arguments.starts_with('{') {
            return Err(wrong(&at));
        }
        open.calls.push_back((id.clone(), name.clone()));
        calls.push(ToolCall { id, name, arguments: arguments.to_owned() });
    }
    Ok(calls)
}

/// Base64 as it is, which is how Ollama's clients send images; URLs too.
fn images(fields: &mut Fields<'_>, to: &mut Content) -> Result<(), ApiError> {
    let at = fields.at("images");
    let Some(sent) = fields.take("images").filter(|sent| !is_empty(sent)) else { return Ok(()) };
    let wrong = || ApiError::value(&at, format!("'{at}' must be an array of images as base64"));
    for (index, image) in list(sent, PARTS_MAX).map_err(|_| wrong())?.into_iter().enumerate() {
        let image = text(image).ok_or_else(wrong)?;
        let url = match image.contains(':') {
            true => image.into_owned(),
            false => format!("data:image/png;base64,{image}"),
        };
        to.show(&format!("{at}[{index}]"), url);
    }
    Ok(())
}

/// `json`, or a schema.
fn form(fields: &mut Fields<'_>) -> Result<Format, ApiError> {
    let Some(sent) = fields.take("format").filter(|sent| !is_empty(sent)) else {
        return Ok(Format::Text);
    };
    match text(sent).as_deref() {
        Some("json") => Ok(Format::JsonObject),
        Some(_) => Err(ApiError::value("format", "'format' must be \"json\" or a JSON Schema")),
        None => format::schema(sent, "format"),
    }
}

fn words(fields: &mut Fields<'_>, name: &str) -> Result<String, ApiError> {
    match fields.take(name) {
        None => Ok(String::new()),
        Some(sent) => match text(sent) {
            Some(text) => Ok(text.into_owned()),
            None => Err(ApiError::value(fields.at(name), format!("'{name}' must be a string"))),
        },
    }
}
