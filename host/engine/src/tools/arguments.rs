//! Whether JSON that an expert wrote is a call of a tool that was offered.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

use super::{Tool, ToolCall, Tools};

/// Keys under which models write a tool's name, and its arguments.
pub(super) const NAMES: [&str; 5] = ["name", "function", "tool_name", "tool", "function_name"];
pub(super) const ARGUMENTS: [&str; 6] =
    ["arguments", "parameters", "args", "input", "tool_input", "params"];

type Object = BTreeMap<String, Box<RawValue>>;

/// How sure it is that text is meant as a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sureness {
    /// A mark that means nothing else stands before it.
    Marked,
    /// It may be an example, so the arguments have to fit as well.
    Likely,
}

/// The calls that a JSON value is: an object, or a list of them. `None` where one is no call.
pub(super) fn calls(json: &str, tools: &Tools, sureness: Sureness) -> Option<Vec<ToolCall>> {
    if let Ok(list) = serde_json::from_str::<Vec<Box<RawValue>>>(json) {
        let calls = list.iter().map(|item| call(item.get(), tools, sureness));
        return calls.collect::<Option<Vec<_>>>().filter(|calls| !calls.is_empty());
    }
    call(json, tools, sureness).map(|call| vec![call])
}

fn call(json: &str, tools: &Tools, sureness: Sureness) -> Option<ToolCall> {
    let object: Object = serde_json::from_str(json).ok()?;
    // OpenAI's own form has both within `function`.
    let inner = object.get("function").and_then(|inner| serde_json::from_str(inner.get()).ok());
    let object: Object = inner.unwrap_or(object);
    let named = NAMES.iter().find_map(|key| object.get(*key))?;
    let name: String = serde_json::from_str(named.get()).ok()?;
    let tool = tools.callable().iter().find(|tool| tool.name == name)?;
    let arguments = ARGUMENTS.iter().find_map(|key| object.get(*key));
    with_arguments(tool, arguments.map_or("{}", |arguments| arguments.get()), sureness)
}

/// A call of this tool, if the arguments are an object, or a string that holds one.
pub(super) fn with_arguments(tool: &Tool, json: &str, sureness: Sureness) -> Option<ToolCall> {
    let arguments = serde_json::from_str(json).unwrap_or_else(|_| json.to_owned());
    let read: Object = serde_json::from_str(&arguments).ok()?;
    let fits = sureness == Sureness::Marked || fits(&read, &tool.parameters);
    let call = || ToolCall { id: ToolCall::fresh_id(), name: tool.name.clone(), arguments };
    fits.then(call)
}

/// Whether everything that is required is there, and nothing that the schema does not know.
fn fits(arguments: &Object, parameters: &Value) -> bool {
    let required = parameters["required"].as_array().into_iter().flatten();
    let known = parameters["properties"].as_object();
    required.filter_map(Value::as_str).all(|key| arguments.contains_key(key))
        && arguments.keys().all(|key| known.is_none_or(|known| known.contains_key(key)))
}
