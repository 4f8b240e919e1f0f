//! Reads Anthropic's request: `system`, messages of blocks, tools and their results.

use std::borrow::Cow;

use serde_json::value::RawValue;
use signalbox_confine::clean;
use signalbox_engine::{MESSAGES_MAX, Opening, Tool, ToolCall, ToolChoice, Tools};

use crate::{
    api::{
        conversation::{Content, Conversation, Placed, Turn},
        fields::{Fields, Names, NoList, is_empty, list, text},
        format, logprobs, parameters,
        sampling::{self, Prompt},
        tools,
    },
    error::ApiError,
    limits::PARTS_MAX,
    pipeline::{Form, Wishes},
};

pub(super) const NAMES: Names = &[
    &["messages", "system", "output_config", "output_format", "mcp_servers", "container"],
    HARMLESS,
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    tools::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
/// What means nothing here: caching is of its own accord, and there is one place to compute.
const HARMLESS: &[&str] =
    &["cache_control", "context_management", "inference_geo", "betas", "speed"];
const MESSAGE_NAMES: Names = &[&["role", "content"]];
const BLOCK_NAMES: Names = &[&[
    "type",
    "text",
    "source",
    "id",
    "name",
    "input",
    "tool_use_id",
    "content",
    "is_error",
    "title",
]];
const SOURCE_NAMES: Names = &[&["type", "media_type", "data", "url"]];
const TOOL_NAMES: Names = &[&["type", "name", "description", "input_schema", "strict"]];
const CHOICE_NAMES: Names = &[&["type", "name", "disable_parallel_tool_use"]];
const OUTPUT_NAMES: Names = &[&["format", "effort"]];
/// Bytes of a kind of block that an error repeats.
const SHOWN: usize = 100;
/// Stands between blocks of text.
const BETWEEN: &str = "\n";
/// A line for its vendor that one agent puts before everything else and that is another with every request: in the
/// prompt it would say nothing to an expert, and nothing behind it could be read from the cache.
const BILLING: &str = "x-anthropic-billing-header:";

/// The prompt of a request, and its images with the messages they stand in.
pub(super) fn prompt(
    fields: &mut Fields<'_>,
    images_max: usize,
) -> Result<(Prompt, Placed), ApiError> {
    for name in ["mcp_servers", "container"] {
        if fields.take(name).is_some_and(|value| !is_empty(value)) {
            let message = format!("'{name}': nothing is run here; leave it out");
            return Err(ApiError::unsupported(name, message));
        }
    }
    let mut conversation = Conversation::new(images_max);
    system(fields, &mut conversation)?;
    messages(fields, &mut conversation)?;
    let tools = read_tools(fields)?;
    let format = output(fields)?;
    let Conversation { messages, attached, images, .. } = conversation;
    let said = messages.last().is_some_and(|last| last.role == "assistant");
    let called = attached.last().is_some_and(|last| !last.calls.is_empty());
    let opening = if said && !called { Opening::Continuation } else { Opening::Reply };
    let wishes = Wishes { tools: tools.into(), attached, opening, format, ..Wishes::default() };
    Ok((Prompt { form: Form::Chat, messages, wishes, streams: false }, images))
}

fn output(fields: &mut Fields<'_>) -> Result<signalbox_engine::Format, ApiError> {
    let at = "output_config.format";
    let within = match fields.take("output_config") {
        None => None,
        Some(sent) => {
            let read = Fields::of(sent, OUTPUT_NAMES, "output_config.");
            let wrong = || ApiError::value("output_config", "'output_config' must be an object");
            read.ok_or_else(wrong)?.take("format")
        }
    };
    match fields.take("output_format").or(within) {
        Some(sent) => format::typed(sent, at),
        None => Ok(signalbox_engine::Format::Text),
    }
}

fn system(fields: &mut Fields<'_>, to: &mut Conversation) -> Result<(), ApiError> {
    let Some(sent) = fields.take("system") else { return Ok(()) };
    let mut said = Content::default();
    match text(sent) {
        Some(text) => said.say(without_billing(&text)),
        None => {
            for (index, block) in blocks(sent, "system")?.into_iter().enumerate() {
                let at = format!("system[{index}]");
                let (mut block, kind) = open(block, &at)?;
                if kind != "text" {
                    return Err(unreadable(&at, &kind));
                }
                let text =
                    block.take("text").and_then(text).ok_or_else(|| block.missing("text"))?;
                say(&mut said, without_billing(&text));
            }
        }
    }
    if said.text.is_empty() {
        return Ok(());
    }
    to.push(Turn { role: "system", content: said, ..Turn::default() })
}

/// A system prompt without the line that its vendor is billed by.
fn without_billing(text: &str) -> &str {
    match text.strip_prefix(BILLING) {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest.trim_start_matches('\n')),
        None => text,
    }
}

fn messages(fields: &mut Fields<'_>, to: &mut Conversation) -> Result<(), ApiError> {
    let sent = list(fields.need("messages")?, MESSAGES_MAX).map_err(|why| {
        ApiError::value(
            "messages",
            match why {
                NoList::Long => {
                    format!("'messages' has more than the {MESSAGES_MAX} that are taken")
                }
                NoList::Other => "'messages' must be an array of messages".to_owned(),
            },
        )
    })?;
    if sent.is_empty() {
        return Err(ApiError::value("messages", "'messages' has none; send one at least"));
    }
    for (index, value) in sent.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let mut message = Fields::of(value, MESSAGE_NAMES, format!("{at}.")).ok_or_else(|| {
            ApiError::value(&at, "a message is an object with a 'role' and a 'content'")
        })?;
        let role = message.need("role").map(text)?;
        let content = message.need("content")?;
        let at = message.at("content");
        match role.as_deref() {
            Some("user") => user(content, &at, to)?,
            Some("assistant") => to.push(assistant(content, &at)?)?,
            Some("system") => {
                let content = plain(content, &at)?;
                to.push(Turn { role: "system", content, ..Turn::default() })?;
            }
            _ => {
                let message = "a role is 'user' or 'assistant'; send a system prompt as 'system'";
                return Err(ApiError::value(format!("messages[{index}].role"), message));
            }
        }
    }
    Ok(())
}

/// What a user says, behind what the tools answered; their pictures are shown by the user.
fn user(sent: &RawValue, at: &str, to: &mut Conversation) -> Result<(), ApiError> {
    let mut said = Content::default();
    let mut answered = false;
    if let Some(text) = text(sent) {
        said.say(&text);
    } else {
        for (index, block) in blocks(sent, at)?.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            let (mut block, kind) = open(block, &at)?;
            if kind == "tool_result" {
                answered = true;
                to.push(result(&mut block, &mut said)?)?;
            } else {
                shown(&kind, &mut block, &at, &mut said)?;
            }
        }
    }
    if answered && said.text.is_empty() {
        return Ok(());
    }
    to.push(Turn { role: "user", content: said, ..Turn::default() })
}

/// Text or an image.
fn shown(kind: &str, block: &mut Fields<'_>, at: &str, to: &mut Content) -> Result<(), ApiError> {
    match kind {
        "text" => {
            let text = block.take("text").and_then(text).ok_or_else(|| block.missing("text"))?;
            say(to, &text);
        }
        "image" => to.show(at, image(block, at)?),
        "document" => {
            let source = block.need("source")?;
            let mut source = Fields::of(source, SOURCE_NAMES, block.at("source."))
                .ok_or_else(|| unreadable(at, "document"))?;
            match (source.take("type").and_then(text).as_deref(), source.take("data")) {
                (Some("text"), Some(data)) => {
                    say(to, &text(data).ok_or_else(|| unreadable(at, "document"))?);
                }
                _ => return Err(unreadable(at, "document")),
            }
        }
        other => return Err(unreadable(at, other)),
    }
    Ok(())
}

/// The image's URL, whichever way it was sent.
fn image(block: &mut Fields<'_>, at: &str) -> Result<String, ApiError> {
    let wrong = || {
        let message = format!(
            "'{at}' must be like {{\"type\": \"image\", \"source\": {{\"type\": \"base64\", \
             \"media_type\": \"image/png\", \"data\": \"...\"}}}}"
        );
        ApiError::value(at, message)
    };
    let sent = block.need("source")?;
    let mut source = Fields::of(sent, SOURCE_NAMES, block.at("source.")).ok_or_else(wrong)?;
    let kind = source.take("type").and_then(text).ok_or_else(wrong)?;
    match &*kind {
        "base64" => {
            let media = source.take("media_type").and_then(text).unwrap_or("image/png".into());
            let data = source.take("data").and_then(text).ok_or_else(wrong)?;
            Ok(format!("data:{};base64,{data}", clean(&media, SHOWN)))
        }
        "url" => source.take("url").and_then(text).map(Cow::into_owned).ok_or_else(wrong),
        other => {
            let message = format!(
                "'{at}': images of the source '{}' are not kept here; send 'base64' or 'url'",
                clean(other, SHOWN)
            );
            Err(ApiError::unsupported(at, message))
        }
    }
}

/// What a tool answered.
fn result(block: &mut Fields<'_>, pictures: &mut Content) -> Result<Turn, ApiError> {
    let answers = block.read("tool_use_id")?;
    if answers.is_none() {
        return Err(block.missing("tool_use_id"));
    }
    let failed = block.read("is_error")?.unwrap_or(false);
    let mut content = Content::default();
    if failed {
        content.say("Error: ");
    }
    let at = block.at("content");
    match block.take("content") {
        None => {}
        Some(sent) => match text(sent) {
            Some(text) => content.say(&text),
            None => {
                for (index, value) in blocks(sent, &at)?.into_iter().enumerate() {
                    let at = format!("{at}[{index}]");
                    let (mut inner, kind) = open(value, &at)?;
                    let to = if kind == "image" { &mut *pictures } else { &mut content };
                    shown(&kind, &mut inner, &at, to)?;
                }
            }
        },
    }
    Ok(Turn { role: "tool", content, answers, ..Turn::default() })
}

/// What an assistant said and called. What it thought is not for the next turn.
fn assistant(sent: &RawValue, at: &str) -> Result<Turn, ApiError> {
    let (mut content, mut calls) = (Content::default(), vec![]);
    if let Some(text) = text(sent) {
        content.say(&text);
    } else {
        for (index, block) in blocks(sent, at)?.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            let (mut block, kind) = open(block, &at)?;
            match &*kind {
                "text" => shown(&kind, &mut block, &at, &mut content)?,
                "tool_use" => calls.push(call(&mut block)?),
                "thinking" | "redacted_thinking" => {}
                other => return Err(unreadable(&at, other)),
            }
        }
    }
    Ok(Turn { role: "assistant", content, calls, answers: None })
}

fn call(block: &mut Fields<'_>) -> Result<ToolCall, ApiError> {
    let mut word = |name: &str| {
        let word = block.read::<String>(name)?;
        word.ok_or_else(|| block.missing(name))
    };
    let (id, name) = (word("id")?, word("name")?);
    let input = block.take("input").map_or("{}", RawValue::get);
    if !input.starts_with('{') {
        return Err(ApiError::value(block.at("input"), "the input of a tool is an object"));
    }
    Ok(ToolCall { id, name, arguments: input.to_owned() })
}

/// Nothing but text.
fn plain(sent: &RawValue, at: &str) -> Result<Content, ApiError> {
    let mut content = Content::default();
    match text(sent) {
        Some(text) => content.say(&text),
        None => {
            for (index, block) in blocks(sent, at)?.into_iter().enumerate() {
                let at = format!("{at}[{index}]");
                let (mut block, kind) = open(block, &at)?;
                shown(&kind, &mut block, &at, &mut content)?;
            }
        }
    }
    Ok(content)
}

/// Another block of text, on a line of its own.
fn say(to: &mut Content, text: &str) {
    if !to.text.is_empty() {
        to.say(BETWEEN);
    }
    to.say(text);
}

fn blocks<'b>(sent: &'b RawValue, at: &str) -> Result<Vec<&'b RawValue>, ApiError> {
    list(sent, PARTS_MAX).map_err(|why| match why {
        NoList::Long => ApiError::value(at, format!("'{at}' has over {PARTS_MAX} blocks")),
        NoList::Other => {
            ApiError::value(at, format!("'{at}' must be a string or an array of blocks"))
        }
    })
}

fn open<'b>(block: &'b RawValue, at: &str) -> Result<(Fields<'b>, Cow<'b, str>), ApiError> {
    let wrong = || {
        let message = format!("'{at}' must be like {{\"type\": \"text\", \"text\": \"...\"}}");
        ApiError::value(at, message)
    };
    let mut fields = Fields::of(block, BLOCK_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    let kind = fields.take("type").and_then(text).ok_or_else(wrong)?;
    Ok((fields, kind))
}

fn unreadable(at: &str, kind: &str) -> ApiError {
    let kind = clean(kind, SHOWN);
    let message = format!("blocks of type '{kind}' can't be read here; send text and images");
    ApiError::unsupported(at, message)
}

fn read_tools(fields: &mut Fields<'_>) -> Result<Tools, ApiError> {
    let offered = match fields.take("tools") {
        None => vec![],
        Some(sent) => tools::each(sent, tool)?,
    };
    let (mut choice, mut parallel) = (ToolChoice::Auto, true);
    if let Some(sent) = fields.take("tool_choice") {
        (choice, parallel) = read_choice(sent)?;
    }
    Ok(Tools { choice: tools::possible(choice, &offered)?, offered, parallel })
}

fn tool(value: &RawValue, at: &str) -> Result<Tool, ApiError> {
    let wrong = || {
        let message =
            format!("'{at}' must be like {{\"name\": \"...\", \"input_schema\": {{...}}}}");
        ApiError::value(at, message)
    };
    let mut fields = Fields::of(value, TOOL_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    tools::only_of_kinds(&mut fields, &["custom"], at)?;
    tools::described(&mut fields, "input_schema")?.ok_or_else(wrong)
}

fn read_choice(sent: &RawValue) -> Result<(ToolChoice, bool), ApiError> {
    let wrong = || {
        let message =
            "'tool_choice' must be like {\"type\": \"auto\"}, of the type auto, any, tool or none";
        ApiError::value("tool_choice", message)
    };
    let mut fields = Fields::of(sent, CHOICE_NAMES, "tool_choice.").ok_or_else(wrong)?;
    let alone = fields.read("disable_parallel_tool_use")?.unwrap_or(false);
    let choice = match fields.take("type").and_then(text).as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("any") => ToolChoice::Required,
        Some("none") => ToolChoice::None,
        Some("tool") => {
            ToolChoice::Named(fields.take("name").and_then(text).ok_or_else(wrong)?.into_owned())
        }
        _ => return Err(wrong()),
    };
    Ok((choice, !alone))
}
