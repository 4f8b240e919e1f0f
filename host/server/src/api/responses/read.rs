//! Reads the items of a response's input: messages, calls and what they answered.

use serde_json::{Value, json, value::RawValue};
use signalbox_confine::clean;
use signalbox_engine::{Format, MESSAGES_MAX, Tool, ToolCall, ToolChoice, Tools};

use crate::{
    api::{
        conversation::{Content, Conversation, Placed, Turn},
        fields::{Fields, Names, NoList, is_empty, list, text},
        format, logprobs, parameters, parts,
        sampling::{self, Prompt},
        tools,
    },
    error::ApiError,
    limits::{TOOLS_BYTES_MAX, TOP_LOGPROBS_MAX},
    pipeline::{Form, Wishes},
};

pub(super) const NAMES: Names = &[
    &["input", "instructions", "previous_response_id", "store", "text", "include", "truncation"],
    &["background", "conversation", "prompt", "max_tool_calls", "context_management", "metadata"],
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    tools::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
const ITEM_NAMES: Names =
    &[&["type", "role", "content", "id", "status", "call_id", "name", "arguments", "output"]];
const TOOL_NAMES: Names = &[&["type", "name", "description", "parameters", "strict"]];
const TEXT_NAMES: Names = &[&["format", "verbosity"]];
/// Bytes of a kind of item that an error repeats.
const SHOWN: usize = 100;
/// Bytes of an id, of instructions and of metadata that are told back.
const TOLD_BYTES_MAX: usize = 64 << 10;
/// More kinds of additions than there are.
const INCLUDES_MAX: usize = 16;
/// Additions that there is nothing to add for.
const INCLUDED: [&str; 2] = ["reasoning.encrypted_content", "message.input_image.image_url"];
/// The addition of what the tokens of the text weigh.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What a response tells back of its request.
pub(super) struct Echo {
    pub(super) previous: Option<String>,
    pub(super) store: bool,
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) parallel: bool,
    pub(super) text: Value,
    pub(super) tools: Value,
    pub(super) tool_choice: Value,
    pub(super) metadata: Value,
}

/// Reads what is told back; the fields stay for those who heed them.
pub(super) fn echo(fields: &mut Fields<'_>) -> Result<Echo, ApiError> {
    let told = |fields: &Fields<'_>, name: &str, max: usize| {
        let sent = fields.see(name).filter(|sent| sent.get().len() <= max);
        sent.and_then(|sent| serde_json::from_str::<Value>(sent.get()).ok())
    };
    let number = |fields: &Fields<'_>, name: &str| {
        told(fields, name, SHOWN).and_then(|sent| sent.as_f64()).map(|number| number as f32)
    };
    let most = told(fields, "max_output_tokens", SHOWN).and_then(|most| most.as_u64());
    Ok(Echo {
        previous: fields.read("previous_response_id")?,
        store: fields.read("store")?.unwrap_or(true),
        instructions: fields.read("instructions")?,
        max_output_tokens: most.and_then(|most| u32::try_from(most).ok()),
        temperature: number(fields, "temperature"),
        top_p: number(fields, "top_p"),
        parallel: told(fields, "parallel_tool_calls", SHOWN) != Some(Value::Bool(false)),
        text: told(fields, "text", TOLD_BYTES_MAX)
            .unwrap_or_else(|| json!({ "format": { "type": "text" } })),
        tools: told(fields, "tools", TOOLS_BYTES_MAX).unwrap_or_else(|| json!([])),
        tool_choice: told(fields, "tool_choice", TOLD_BYTES_MAX).unwrap_or_else(|| json!("auto")),
        metadata: told(fields, "metadata", TOLD_BYTES_MAX).unwrap_or_else(|| json!({})),
    })
}

/// The prompt of a request, its images with the messages they stand in, and the items that came now.
pub(super) fn prompt(
    fields: &mut Fields<'_>,
    echo: &Echo,
    followed: Option<&str>,
    (images_max, bytes_max): (usize, usize),
) -> Result<(Prompt, Placed, String), ApiError> {
    refuse(fields)?;
    let logprobs = weighed(fields)?;
    let mut turns = Turns { conversation: Conversation::new(images_max), pending: None };
    if let Some(instructions) = &echo.instructions {
        turns.push(Turn {
            role: "system",
            content: Content::of(instructions),
            ..Turn::default()
        })?;
    }
    let sent = fields.need("input")?;
    if followed.map_or(0, str::len) + sent.get().len() > bytes_max {
        let message =
            format!("the conversation has grown beyond {bytes_max} bytes; begin a new one");
        return Err(ApiError::value("previous_response_id", message));
    }
    if let Some(followed) = followed {
        let all = format!("[{followed}]");
        let kept: &RawValue = serde_json::from_str(&all).map_err(|error| {
            ApiError::value("previous_response_id", format!("it was kept badly: {error}"))
        })?;
        turns.read(kept, "previous_response_id")?;
    }
    let items = match text(sent) {
        Some(words) => {
            let content = Content::of(&words);
            turns.push(Turn { role: "user", content, ..Turn::default() })?;
            json!({ "type": "message", "role": "user", "content": words }).to_string()
        }
        None => {
            turns.read(sent, "input")?;
            sent.get().trim_start_matches('[').trim_end_matches(']').trim().to_owned()
        }
    };
    let (tools, format) = (read_tools(fields, echo.parallel)?.into(), form(fields)?);
    let Conversation { messages, attached, images, .. } = turns.done()?;
    let wishes = Wishes { tools, attached, format, logprobs, ..Wishes::default() };
    Ok((Prompt { form: Form::Chat, messages, wishes, streams: false }, images, items))
}

/// Refuses what would change the response and can't be done.
fn refuse(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    let cases = [
        ("background", "a response is made while its client waits; leave it out"),
        ("conversation", "follow a response with 'previous_response_id'"),
        ("prompt", "prompts are not kept here; send 'instructions' and 'input'"),
        ("max_tool_calls", "only clients run tools; leave it out"),
        ("context_management", "prompts are never cut; leave it out"),
    ];
    for (name, mend) in cases {
        let off = |sent: &&RawValue| is_empty(sent) || sent.get() == "false";
        if fields.take(name).is_some_and(|sent| !off(&sent)) {
            return Err(ApiError::unsupported(name, format!("'{name}': {mend}")));
        }
    }
    if fields.take("truncation").and_then(text).is_some_and(|sent| sent != "disabled") {
        let message = "'truncation': prompts are never cut; leave it out, or say \"disabled\"";
        return Err(ApiError::unsupported("truncation", message));
    }
    Ok(())
}

/// What is to be added to the response: log probabilities, of so many other tokens for each of its own. The number
/// alone asks for them as well.
fn weighed(fields: &mut Fields<'_>) -> Result<Option<u32>, ApiError> {
    let mut asked = false;
    if let Some(sent) = fields.take("include").filter(|sent| !is_empty(sent)) {
        let unknown = || {
            let message =
                format!("'include': there is nothing to add but '{LOGPROBS}'; leave it out");
            ApiError::unsupported("include", message)
        };
        for item in list(sent, INCLUDES_MAX).map_err(|_| unknown())? {
            let item = text(item).ok_or_else(unknown)?;
            asked |= item == LOGPROBS;
            if item != LOGPROBS && !INCLUDED.contains(&&*item) {
                return Err(unknown());
            }
        }
    }
    let top = fields.count("top_logprobs", 0, TOP_LOGPROBS_MAX)?;
    Ok(top.filter(|top| asked || *top > 0).or(asked.then_some(0)))
}

/// Turns in the making: calls are items of their own here, and belong to what their assistant said.
struct Turns {
    conversation: Conversation,
    pending: Option<Turn>,
}

impl Turns {
    fn push(&mut self, turn: Turn) -> Result<(), ApiError> {
        let before = match turn.role {
            "assistant" => self.pending.replace(turn),
            _ => {
                let before = self.pending.take();
                if let Some(before) = before {
                    self.conversation.push(before)?;
                }
                return self.conversation.push(turn);
            }
        };
        before.map_or(Ok(()), |before| self.conversation.push(before))
    }

    fn call(&mut self, call: ToolCall) {
        let assistant = || Turn { role: "assistant", ..Turn::default() };
        self.pending.get_or_insert_with(assistant).calls.push(call);
    }

    fn done(mut self) -> Result<Conversation, ApiError> {
        if let Some(last) = self.pending.take() {
            self.conversation.push(last)?;
        }
        Ok(self.conversation)
    }

    fn read(&mut self, sent: &RawValue, at: &str) -> Result<(), ApiError> {
        let items = list(sent, MESSAGES_MAX).map_err(|why| match why {
            NoList::Long => ApiError::value(at, format!("'{at}' has over {MESSAGES_MAX} items")),
            NoList::Other => {
                ApiError::value(at, format!("'{at}' must be a string or an array of items"))
            }
        })?;
        items
            .into_iter()
            .enumerate()
            .try_for_each(|(index, item)| self.item(item, &format!("{at}[{index}]")))
    }

    fn item(&mut self, item: &RawValue, at: &str) -> Result<(), ApiError> {
        let wrong = || {
            let message =
                format!("'{at}' must be like {{\"role\": \"user\", \"content\": \"...\"}}");
            ApiError::value(at, message)
        };
        let mut item = Fields::of(item, ITEM_NAMES, format!("{at}.")).ok_or_else(wrong)?;
        let kind = item.take("type").and_then(text).unwrap_or("message".into());
        match &*kind {
            "message" => {
                let role = role(&mut item)?;
                let content = parts::content(item.need("content")?, &item.at("content"))?;
                self.push(Turn { role, content, ..Turn::default() })
            }
            "function_call" => {
                self.call(call(&mut item)?);
                Ok(())
            }
            "function_call_output" => {
                let answers = Some(word(&mut item, "call_id")?);
                let content = parts::content(item.need("output")?, &item.at("output"))?;
                self.push(Turn { role: "tool", content, answers, ..Turn::default() })
            }
            "reasoning" => Ok(()), // what was thought is not for the next turn
            other => {
                let other = clean(other, SHOWN);
                let message = format!(
                    "items of type '{other}' can't be read here; send messages, function_call and \
                     function_call_output"
                );
                Err(ApiError::unsupported(at, message))
            }
        }
    }
}

fn role(item: &mut Fields<'_>) -> Result<&'static str, ApiError> {
    match word(item, "role")?.as_str() {
        "system" | "developer" => Ok("system"),
        "user" => Ok("user"),
        "assistant" => Ok("assistant"),
        other => {
            let other = clean(other, SHOWN);
            let message =
                format!("there is no role '{other}'; use user, assistant, system or developer");
            Err(ApiError::value(item.at("role"), message))
        }
    }
}

fn word(item: &mut Fields<'_>, name: &str) -> Result<String, ApiError> {
    item.read(name)?.ok_or_else(|| item.missing(name))
}

fn call(item: &mut Fields<'_>) -> Result<ToolCall, ApiError> {
    let (id, name) = (word(item, "call_id")?, word(item, "name")?);
    let arguments = item.read::<String>("arguments")?.unwrap_or_default();
    let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments };
    match serde_json::from_str::<serde::de::IgnoredAny>(&arguments) {
        Ok(_) => Ok(ToolCall { id, name, arguments }),
        Err(_) => Err(ApiError::value(item.at("arguments"), "the arguments are not JSON")),
    }
}

/// `text.format`, whose schema stands beside its name.
fn form(fields: &mut Fields<'_>) -> Result<Format, ApiError> {
    let Some(sent) = fields.take("text") else { return Ok(Format::Text) };
    let wrong = || ApiError::value("text", "'text' must be an object with a 'format'");
    let mut text = Fields::of(sent, TEXT_NAMES, "text.").ok_or_else(wrong)?;
    text.take("format").map_or(Ok(Format::Text), |sent| format::typed(sent, "text.format"))
}

fn read_tools(fields: &mut Fields<'_>, parallel: bool) -> Result<Tools, ApiError> {
    let offered = match fields.take("tools") {
        None => vec![],
        Some(sent) => tools::each(sent, tool)?,
    };
    fields.take("parallel_tool_calls");
    let choice = match fields.take("tool_choice") {
        None => ToolChoice::Auto,
        Some(sent) => choice(sent)?,
    };
    Ok(Tools { choice: tools::possible(choice, &offered)?, offered, parallel })
}

fn tool(value: &RawValue, at: &str) -> Result<Tool, ApiError> {
    let wrong = || {
        let message = format!(
            "'{at}' must be like {{\"type\": \"function\", \"name\": \"...\", \"parameters\": {{...}}}}"
        );
        ApiError::value(at, message)
    };
    let mut fields = Fields::of(value, TOOL_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    tools::only_of_kinds(&mut fields, &["function"], at)?;
    tools::described(&mut fields, "parameters")?.ok_or_else(wrong)
}

fn choice(sent: &RawValue) -> Result<ToolChoice, ApiError> {
    let wrong = || {
        let message =
            "'tool_choice' is auto, none, required, or {\"type\": \"function\", \"name\": \"...\"}";
        ApiError::value("tool_choice", message)
    };
    match text(sent).as_deref() {
        Some("auto") => Ok(ToolChoice::Auto),
        Some("none") => Ok(ToolChoice::None),
        Some("required") => Ok(ToolChoice::Required),
        Some(_) => Err(wrong()),
        None => {
            let mut named = Fields::of(sent, TOOL_NAMES, "tool_choice.").ok_or_else(wrong)?;
            tools::only_of_kinds(&mut named, &["function"], "tool_choice")?;
            let name = named.take("name").and_then(text).ok_or_else(wrong)?;
            Ok(ToolChoice::Named(name.into_owned()))
        }
    }
}
