//! Grammars for what callers ask for: formats of replies, and calls of tools.

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use serde_json::{Value, json};

use crate::{
    Format, ToolChoice, Tools,
    limits::{CHOICES_MAX, GRAMMAR_BYTES_MAX},
    tools::Tool,
};

/// What to compile: equal ones are the same text, which is what they are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Grammar {
    /// JSON Schema, as JSON.
    Schema(String),
    /// Lark's notation.
    Lark(String),
    /// A regular expression.
    Regex(String),
}

impl Grammar {
    /// What a reply has to follow; `None` where it is free. The error says what is too large.
    pub(crate) fn of(format: &Format, tools: &Tools) -> Result<Option<Self>, String> {
        let grammar = match (format, tools.must_call()) {
            (_, true) => Self::Lark(calls(tools)),
            (Format::Text, false) => return Ok(None),
            (Format::JsonObject, _) => Self::Schema(compact(json!({ "type": "object" }))),
            (Format::JsonSchema(schema), _) => Self::Schema(compact(schema.clone())),
            (Format::Regex(regex), _) => Self::Regex(regex.clone()),
            (Format::Choice(texts), _) if texts.len() > CHOICES_MAX => {
                return Err(format!("there are more than {CHOICES_MAX} choices"));
            }
            (Format::Choice(texts), _) => {
                let literal: Vec<String> = texts.iter().map(|text| escaped(text)).collect();
                Self::Regex(literal.join("|"))
            }
            (Format::Grammar(lark), _) => Self::Lark(lark.clone()),
        };
        grammar.within_bounds().map(Some)
    }

    /// The same. The error says what is too large.
    pub(super) fn within_bounds(self) -> Result<Self, String> {
        match self.text().len() {
            bytes if bytes > GRAMMAR_BYTES_MAX => {
                Err(format!("it has {bytes} bytes, and at most {GRAMMAR_BYTES_MAX} are compiled"))
            }
            _ => Ok(self),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Schema(text) | Self::Lark(text) | Self::Regex(text) => text,
        }
    }

    /// As the compiler takes it.
    pub(super) fn source(&self) -> Result<TopLevelGrammar, String> {
        let grammar = match self {
            Self::Schema(schema) => {
                let schema = serde_json::from_str(schema).map_err(|error| error.to_string())?;
                GrammarWithLexer::from_json_schema(schema)
            }
            Self::Lark(lark) => GrammarWithLexer::from_lark(lark.clone()),
            Self::Regex(regex) => GrammarWithLexer::from_regex(regex),
        };
        Ok(TopLevelGrammar::from_grammar(grammar))
    }
}

/// The schema, for JSON on one line with blanks where Python puts them: models that may indent
/// without end sometimes do.
fn compact(schema: Value) -> String {
    with_options(schema).to_string()
}

pub(super) fn with_options(mut schema: Value) -> Value {
    let options = json!({
        "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
    });
    match &mut schema {
        Value::Object(object) => drop(object.insert("x-guidance".to_owned(), options)),
        // A schema may be `true` or `false` as a whole.
        other => *other = json!({ "allOf": [other.clone()], "x-guidance": options }),
    }
    schema
}

/// One call at least, written as Qwen and Hermes write them, which the reader of calls knows.
fn calls(tools: &Tools) -> String {
    let callable = tools.offered.iter().filter(|tool| match &tools.choice {
        ToolChoice::Named(name) => tool.name == *name,
        _ => true,
    });
    let calls: Vec<String> = callable.map(call).collect();
    let more = if tools.parallel && calls.len() > 1 { "(\"\\n\" call)*" } else { "" };
    let mut lark =
        format!("start: call {more}\ncall: \"<tool_call>\\n\" tool \"\\n</tool_call>\"\n");
    let names: Vec<String> = (0..calls.len()).map(|at| format!("tool_{at}")).collect();
    lark.push_str(&format!("tool: {}\n", names.join(" | ")));
    for (name, call) in names.iter().zip(calls) {
        lark.push_str(&format!("{name}: {call}\n"));
    }
    lark
}

fn call(tool: &Tool) -> String {
    let name = json!(tool.name).to_string();
    let begin = json!(format!("{{\"name\": {name}, \"arguments\": ")).to_string();
    let schema = with_options(closed(tool.parameters.clone()));
    format!("{begin} %json {schema} \"}}\"")
}

/// Parameters that name some and do not say whether there may be others: there are no others. Frameworks leave that out,
/// models invent arguments where they may, and the function that is called takes none of them.
pub(super) fn closed(mut parameters: Value) -> Value {
    const SAY_MORE: [&str; 9] = [
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "$ref",
        "if",
        "not",
    ];
    if let Value::Object(object) = &mut parameters
        && object.contains_key("properties")
        && !SAY_MORE.iter().any(|key| object.contains_key(*key))
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
    parameters
}

/// A text as a regular expression that matches it.
fn escaped(text: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_alphanumeric() || c == ' ' => c.to_string(),
        c => format!("\\x{{{:x}}}", u32::from(c)),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_say_nothing_of_others_have_no_others() {
        let check = |parameters: Value, is_closed: bool| {
            let closed = closed(parameters.clone());
            let added = closed["additionalProperties"] == json!(false);
            assert_eq!(added && closed != parameters, is_closed, "{parameters}");
        };
        check(json!({"type": "object", "properties": {"fine": {"type": "boolean"}}}), true);
        check(json!({"type": "object"}), false);
        check(json!({"properties": {}, "additionalProperties": true}), false);
        check(json!({"properties": {}, "allOf": [{"properties": {"a": {}}}]}), false);
        check(json!(true), false);
    }
}
