//! What a reply has to look like, in the words of OpenAI, vLLM and llama.cpp. One at most of all these fields
//! may be given.

use serde_json::{Value, value::RawValue};
use signalbox_confine::clean;
use signalbox_engine::{CHOICES_MAX, Format, GRAMMAR_BYTES_MAX};

use super::fields::{Fields, Names, is_empty, list, text};
use crate::error::ApiError;

/// The fields read here.
pub(super) const NAMES: &[&str] = &[
    "response_format",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "json_schema",
    "regex",
];
const FORMAT_NAMES: Names = &[&["type", "json_schema", "schema"]];
const SCHEMA_NAMES: Names = &[&["name", "description", "schema", "strict"]];
const STRUCTURED_NAMES: Names = &[&["json", "regex", "choice", "grammar", "json_object"]];
/// Bytes of a name that an error repeats.
const SHOWN: usize = 100;

/// A field, and how its value is read.
type Reader = (&'static str, fn(&RawValue, &str) -> Result<Format, ApiError>);

const READERS: [Reader; 8] = [
    ("response_format", typed),
    ("structured_outputs", structured),
    ("guided_json", schema),
    ("guided_regex", regex),
    ("guided_choice", choice),
    ("guided_grammar", grammar),
    ("json_schema", schema),
    ("regex", regex),
];

/// What the reply has to look like.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Format, ApiError> {
    let mut found: Option<(&str, Format)> = None;
    for (name, reader) in READERS {
        let Some(value) = fields.take(name).filter(|value| !is_empty(value)) else { continue };
        let format = reader(value, name)?;
        match found {
            _ if format == Format::Text => {}
            Some((other, _)) => {
                let message =
                    format!("'{name}' and '{other}' both say what the reply is; send one");
                return Err(ApiError::value(name, message));
            }
            None => found = Some((name, format)),
        }
    }
    Ok(found.map_or(Format::Text, |(_, format)| format))
}

/// A format by its `type`, with the schema within, or within one more object.
pub(super) fn typed(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    let unreadable = || {
        let text = format!(
            "'{at}' must be like {{\"type\": \"json_object\"}} or {{\"type\": \"json_schema\", \
             \"json_schema\": {{\"name\": \"...\", \"schema\": {{...}}}}}}"
        );
        ApiError::value(at, text)
    };
    let mut format = Fields::of(value, FORMAT_NAMES, format!("{at}.")).ok_or_else(unreadable)?;
    let kind = format.take("type").and_then(text).ok_or_else(unreadable)?;
    let direct = format.take("schema");
    match &*kind {
        "text" => Ok(Format::Text),
        "json_object" => direct.map_or(Ok(Format::JsonObject), |direct| schema(direct, at)),
        "json_schema" => {
            let sent = format.take("json_schema").or(direct).ok_or_else(unreadable)?;
            let path = format!("{at}.json_schema.");
            let mut named = Fields::of(sent, SCHEMA_NAMES, path.as_str()).ok_or_else(unreadable)?;
            // llama.cpp's clients write the schema itself there.
            schema(named.take("schema").unwrap_or(sent), &format!("{path}schema"))
        }
        other => {
            let other = clean(other, SHOWN);
            let message = format!(
                "there is no response format '{other}'; use text, json_object or json_schema"
            );
            Err(ApiError::unsupported(at, message))
        }
    }
}

/// vLLM's newer form: an object with one of the others in it.
fn structured(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    let wrong = || {
        let text = "'structured_outputs' must be an object with one of json, regex, choice, grammar \
                    or json_object";
        ApiError::value(at, text)
    };
    let mut fields =
        Fields::of(value, STRUCTURED_NAMES, "structured_outputs.").ok_or_else(wrong)?;
    let readers: [Reader; 5] = [
        ("json", schema),
        ("regex", regex),
        ("choice", choice),
        ("grammar", grammar),
        ("json_object", |value, _| {
            Ok(if value.get() == "true" { Format::JsonObject } else { Format::Text })
        }),
    ];
    let mut formats = Vec::new();
    for (name, reader) in readers {
        if let Some(value) = fields.take(name) {
            formats.push(reader(value, &fields.at(name))?);
        }
    }
    match &mut formats[..] {
        [format] => Ok(std::mem::take(format)),
        _ => Err(wrong()),
    }
}

fn short<'v>(value: &'v RawValue, at: &str) -> Result<&'v RawValue, ApiError> {
    if value.get().len() > GRAMMAR_BYTES_MAX {
        let message = format!("'{at}' is longer than {GRAMMAR_BYTES_MAX} bytes; simplify it");
        return Err(ApiError::value(at, message));
    }
    Ok(value)
}

/// A schema, or a string that holds one.
pub(super) fn schema(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    let value = short(value, at)?;
    let within = text(value);
    let read = serde_json::from_str(within.as_deref().unwrap_or(value.get()));
    match read {
        Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Format::JsonSchema(schema)),
        _ => Err(ApiError::value(at, format!("'{at}' must be a JSON Schema, an object"))),
    }
}

fn words(value: &RawValue, at: &str) -> Result<String, ApiError> {
    match text(short(value, at)?) {
        Some(words) => Ok(words.into_owned()),
        None => Err(ApiError::value(at, format!("'{at}' must be a string"))),
    }
}

fn regex(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    words(value, at).map(Format::Regex)
}

fn grammar(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    words(value, at).map(Format::Grammar)
}

fn choice(value: &RawValue, at: &str) -> Result<Format, ApiError> {
    let texts = list(short(value, at)?, CHOICES_MAX).ok();
    let texts: Option<Vec<String>> = texts.and_then(|texts| {
        texts.into_iter().map(|item| text(item).map(std::borrow::Cow::into_owned)).collect()
    });
    match texts {
        Some(texts) if !texts.is_empty() => Ok(Format::Choice(texts)),
        _ => {
            let message = format!("'{at}' must be a list of 1 to {CHOICES_MAX} strings");
            Err(ApiError::value(at, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Result<Format, ApiError> {
        read(&mut Fields::parse(body.as_bytes(), &[NAMES]).unwrap())
    }

    #[test]
    fn every_server_s_words_are_read() {
        let check = |body: &str, expect: Format| assert_eq!(parse(body), Ok(expect), "{body}");
        let schema = || Format::JsonSchema(json!({ "type": "array" }));
        check("{}", Format::Text);
        check(r#"{"response_format": {"type": "text"}}"#, Format::Text);
        check(r#"{"response_format": {"type": "json_object"}}"#, Format::JsonObject);
        check(
            r#"{"response_format": {"type": "json_schema", "json_schema":
                {"name": "a", "strict": true, "schema": {"type": "array"}}}}"#,
            schema(),
        );
        check(
            r#"{"response_format": {"type": "json_schema", "schema": {"type": "array"}}}"#,
            schema(),
        );
        check(r#"{"guided_json": {"type": "array"}}"#, schema());
        check(r#"{"guided_json": "{\"type\": \"array\"}"}"#, schema());
        check(r#"{"json_schema": {"type": "array"}, "guided_regex": ""}"#, schema());
        check(r#"{"structured_outputs": {"json": {"type": "array"}}}"#, schema());
        check(r#"{"structured_outputs": {"regex": "a+"}}"#, Format::Regex("a+".into()));
        check(r#"{"guided_choice": ["a", "b"]}"#, Format::Choice(vec!["a".into(), "b".into()]));
        check(r#"{"guided_grammar": "start: \"a\""}"#, Format::Grammar("start: \"a\"".into()));
    }

    #[test]
    fn what_can_not_be_followed_is_named() {
        let check = |body: &str, code: &str, param: &str| {
            let error = parse(body).unwrap_err();
            assert_eq!(error.code(), code, "{body}");
            assert!(format!("{error:?}").contains(&format!("Some({param:?})")), "{error:?}");
        };
        check(r#"{"response_format": "json"}"#, "invalid_value", "response_format");
        check(
            r#"{"response_format": {"type": "xml"}}"#,
            "unsupported_parameter",
            "response_format",
        );
        check(r#"{"guided_json": [1]}"#, "invalid_value", "guided_json");
        check(r#"{"guided_choice": [1]}"#, "invalid_value", "guided_choice");
        check(r#"{"guided_regex": "a", "guided_choice": ["a"]}"#, "invalid_value", "guided_choice");
        check(
            r#"{"structured_outputs": {}, "structured_outputs": {"x": 1}}"#,
            "invalid_value",
            "structured_outputs",
        );
        let long = format!(r#"{{"guided_regex": "{}"}}"#, "a".repeat(GRAMMAR_BYTES_MAX));
        check(&long, "invalid_value", "guided_regex");
    }
}
