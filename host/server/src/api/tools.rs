//! Tools in OpenAI's words: what a call offers, whether it has to be called, and the calls in messages.

use serde_json::value::RawValue;
use signalbox_confine::clean;
use signalbox_engine::{Tool, ToolCall, ToolChoice, Tools};

use super::fields::{Fields, Names, NoList, list, text, without_place};
use crate::{
    error::ApiError,
    limits::{TOOL_NAME_BYTES_MAX, TOOLS_BYTES_MAX, TOOLS_MAX},
};

/// The fields read here.
pub(super) const NAMES: &[&str] = &["tools", "tool_choice", "parallel_tool_calls"];
const TOOL_NAMES: Names = &[&["type", "function"]];
const FUNCTION_NAMES: Names = &[&["name", "description", "parameters", "strict"]];
const CALL_NAMES: Names = &[&["id", "type", "function", "index"]];
const CALLED_NAMES: Names = &[&["name", "arguments"]];
/// Bytes of a name that an error repeats.
const SHOWN: usize = 100;

/// What a call offers.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Tools, ApiError> {
    let offered = match fields.take("tools") {
        None => vec![],
        Some(sent) => each(sent, tool)?,
    };
    let choice = match fields.take("tool_choice") {
        None => ToolChoice::Auto,
        Some(choice) => read_choice(choice, &offered)?,
    };
    let parallel = fields.read("parallel_tool_calls")?.unwrap_or(true);
    Ok(Tools { offered, choice, parallel })
}

/// A list of tools, each read by `tool`.
pub(super) fn each(
    sent: &RawValue,
    tool: fn(&RawValue, &str) -> Result<Tool, ApiError>,
) -> Result<Vec<Tool>, ApiError> {
    if sent.get().len() > TOOLS_BYTES_MAX {
        let message = format!("'tools' is longer than {TOOLS_BYTES_MAX} bytes; offer fewer");
        return Err(ApiError::value("tools", message));
    }
    let tools = list(sent, TOOLS_MAX).map_err(|why| match why {
        NoList::Long => ApiError::value("tools", format!("'tools' has more than {TOOLS_MAX}")),
        NoList::Other => ApiError::value("tools", "'tools' must be an array of tools"),
    })?;
    let mut offered: Vec<Tool> = Vec::with_capacity(tools.len());
    for (index, value) in tools.into_iter().enumerate() {
        let at = format!("tools[{index}]");
        let tool = tool(value, &at)?;
        if offered.iter().any(|other| other.name == tool.name) {
            let message =
                format!("there are two tools '{}'; give each a name of its own", tool.name);
            return Err(ApiError::value(at, message));
        }
        offered.push(tool);
    }
    Ok(offered)
}

fn tool(value: &RawValue, at: &str) -> Result<Tool, ApiError> {
    let unreadable = || {
        let text = format!(
            "'{at}' must be like {{\"type\": \"function\", \"function\": {{\"name\": \"...\", \
             \"parameters\": {{...}}}}}}"
        );
        ApiError::value(at, text)
    };
    let mut fields = Fields::of(value, TOOL_NAMES, format!("{at}.")).ok_or_else(unreadable)?;
    only_of_kinds(&mut fields, &["function"], at)?;
    let function = fields.take("function").ok_or_else(unreadable)?;
    let path = format!("{at}.function.");
    let mut function = Fields::of(function, FUNCTION_NAMES, path).ok_or_else(unreadable)?;
    described(&mut function, "parameters")?.ok_or_else(unreadable)
}

/// Refuses the tools that a vendor runs.
pub(super) fn only_of_kinds(
    tool: &mut Fields<'_>,
    kinds: &[&str],
    at: &str,
) -> Result<(), ApiError> {
    match tool.take("type").and_then(text) {
        Some(kind) if !kinds.contains(&&*kind) => {
            let kind = clean(&kind, SHOWN);
            let message = format!("tools of type '{kind}' are not run here; offer functions");
            Err(ApiError::unsupported(at, message))
        }
        _ => Ok(()),
    }
}

/// A tool by its name, its description, and its schema in the field `schema`; `None` where it has no name.
pub(super) fn described(function: &mut Fields<'_>, schema: &str) -> Result<Option<Tool>, ApiError> {
    let Some(name) = function.take("name").and_then(text) else { return Ok(None) };
    if !is_name(&name) {
        let message = format!(
            "'{}' is no name of a tool; use up to {TOOL_NAME_BYTES_MAX} letters, digits and _-.:/",
            clean(&name, SHOWN)
        );
        return Err(ApiError::value(function.at("name"), message));
    }
    let parameters = match function.read(schema)? {
        None => serde_json::json!({ "type": "object", "properties": {} }),
        Some(schema @ serde_json::Value::Object(_)) => schema,
        Some(_) => {
            let message = format!("'{schema}' must be a JSON Schema, an object");
            return Err(ApiError::value(function.at(schema), message));
        }
    };
    let (description, strict) = (function.read("description")?, function.read("strict")?);
    let (name, strict) = (name.into_owned(), strict.unwrap_or(false));
    Ok(Some(Tool { name, description, parameters, strict }))
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    !name.is_empty() && name.len() <= TOOL_NAME_BYTES_MAX && name.chars().all(letter)
}

fn read_choice(sent: &RawValue, offered: &[Tool]) -> Result<ToolChoice, ApiError> {
    let wrong = |message: &str| Err(ApiError::value("tool_choice", message));
    let choice = match text(sent).as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required" | "any") => ToolChoice::Required,
        Some(_) => return wrong("'tool_choice' is auto, none, required, or names a function"),
        None => match named(sent) {
            Some(name) => ToolChoice::Named(name),
            None => {
                return wrong(
                    "'tool_choice' must be like {\"type\": \"function\", \"function\": {\"name\": \
                     \"...\"}}",
                );
            }
        },
    };
    possible(choice, offered)
}

/// A choice that can be heeded with these tools.
pub(super) fn possible(choice: ToolChoice, offered: &[Tool]) -> Result<ToolChoice, ApiError> {
    let wrong = |message: &str| Err(ApiError::value("tool_choice", message));
    match choice {
        ToolChoice::Named(name) if !offered.iter().any(|tool| tool.name == name) => {
            wrong("'tool_choice' names a function that 'tools' does not offer")
        }
        ToolChoice::Required if offered.is_empty() => {
            wrong("'tool_choice' asks for a call, and 'tools' offers none")
        }
        choice => Ok(choice),
    }
}

fn named(sent: &RawValue) -> Option<String> {
    let function = Fields::of(sent, TOOL_NAMES, "")?.take("function")?;
    let name = Fields::of(function, CALLED_NAMES, "")?.take("name")?;
    text(name).map(std::borrow::Cow::into_owned)
}

/// The calls in an assistant's message.
pub(super) fn calls(sent: &RawValue, at: &str) -> Result<Vec<ToolCall>, ApiError> {
    let calls = list(sent, TOOLS_MAX).map_err(|_| {
        ApiError::value(at, format!("'{at}' must be an array of up to {TOOLS_MAX} calls"))
    })?;
    let read = |(index, value)| call(value, &format!("{at}[{index}]"));
    calls.into_iter().enumerate().map(read).collect()
}

fn call(value: &RawValue, at: &str) -> Result<ToolCall, ApiError> {
    let unreadable = || {
        let text = format!(
            "'{at}' must be like {{\"id\": \"...\", \"type\": \"function\", \"function\": \
             {{\"name\": \"...\", \"arguments\": \"{{}}\"}}}}"
        );
        ApiError::value(at, text)
    };
    let mut fields = Fields::of(value, CALL_NAMES, "").ok_or_else(unreadable)?;
    let id = fields.take("id").and_then(text).ok_or_else(unreadable)?.into_owned();
    let function = fields.take("function").ok_or_else(unreadable)?;
    let mut function = Fields::of(function, CALLED_NAMES, "").ok_or_else(unreadable)?;
    let name = function.take("name").and_then(text).ok_or_else(unreadable)?.into_owned();
    let arguments = match function.take("arguments") {
        None => "{}".to_owned(),
        Some(sent) => text(sent).unwrap_or(sent.get().into()).into_owned(),
    };
    let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments };
    let json: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&arguments);
    if let Err(error) = json {
        let why = without_place(&error);
        let message = format!("the arguments of '{at}' are not JSON: {why}");
        return Err(ApiError::value(at, message));
    }
    Ok(ToolCall { id, name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Tools, ApiError> {
        read(&mut Fields::parse(body.as_bytes(), &[NAMES]).unwrap())
    }

    const ADD: &str = r#"{"type": "function", "function": {"name": "add", "strict": true}}"#;

    #[test]
    fn offers_are_read() {
        let tools = parse(&format!(r#"{{"tools": [{ADD}], "parallel_tool_calls": false}}"#));
        let tools = tools.unwrap();
        assert_eq!((tools.offered[0].name.as_str(), tools.offered[0].strict), ("add", true));
        assert_eq!((tools.choice, tools.parallel), (ToolChoice::Auto, false));
    }

    #[test]
    fn choices_are_read() {
        let choice = |choice: &str| {
            parse(&format!(r#"{{"tools": [{ADD}], "tool_choice": {choice}}}"#)).map(|t| t.choice)
        };
        assert_eq!(choice(r#""none""#), Ok(ToolChoice::None));
        assert_eq!(choice(r#""required""#), Ok(ToolChoice::Required));
        let named = |name: &str| {
            choice(&format!(r#"{{"type": "function", "function": {{"name": "{name}"}}}}"#))
        };
        assert_eq!(named("add"), Ok(ToolChoice::Named("add".into())));
        for wrong in [named("sub"), choice(r#""often""#), choice("7")] {
            assert_eq!(wrong.unwrap_err().code(), "invalid_value");
        }
        assert_eq!(parse(r#"{"tool_choice": "auto"}"#), Ok(Tools::default()));
        assert!(parse(r#"{"tool_choice": "required"}"#).is_err());
    }

    #[test]
    fn what_can_not_be_offered_is_named() {
        let check = |tools: &str, code: &str, param: &str| {
            let error = parse(&format!(r#"{{"tools": {tools}}}"#)).unwrap_err();
            assert_eq!(error.code(), code, "{tools}");
            assert!(format!("{error:?}").contains(&format!("Some({param:?})")), "{error:?}");
        };
        check("{}", "invalid_value", "tools");
        check("[7]", "invalid_value", "tools[0]");
        check(r#"[{"type": "web_search"}]"#, "unsupported_parameter", "tools[0]");
        check(r#"[{"function": {"name": "a b"}}]"#, "invalid_value", "tools[0].function.name");
        check(&format!("[{ADD}, {ADD}]"), "invalid_value", "tools[1]");
        let schema = r#"[{"function": {"name": "a", "parameters": []}}]"#;
        check(schema, "invalid_value", "tools[0].function.parameters");
        let many = format!("[{}]", vec!["{}"; TOOLS_MAX + 1].join(","));
        check(&many, "invalid_value", "tools");
    }

    #[test]
    fn calls_in_messages_have_json_as_arguments() {
        let read = |arguments: &str| {
            let call = format!(
                r#"[{{"id": "1", "function": {{"name": "add", "arguments": {arguments}}}}}]"#
            );
            let call = RawValue::from_string(call).unwrap();
            calls(&call, "c").map(|calls| calls[0].arguments.clone())
        };
        assert_eq!(read(r#""{\"a\": 1}""#), Ok(r#"{"a": 1}"#.to_owned()));
        assert_eq!(read(r#"{"a": 1}"#), Ok(r#"{"a": 1}"#.to_owned()));
        assert_eq!(read(r#""""#), Ok("{}".to_owned()));
        assert_eq!(read(r#""{""#).unwrap_err().code(), "invalid_value");
    }
}
