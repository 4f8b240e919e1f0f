//! The grammar of calls in a reply that is free otherwise, in every form in which one may go on once it has begun. A text
//! that nobody sees selects the form, so that all of them are compiled once.

use serde_json::json;

use super::grammar::{closed, with_options};
use crate::tools::{
    Form, Tool, Tools, certain_marks, closing_mark, may_be_listed, names_come_first,
};

/// Blanks and names as models write them around arguments, in Lark's notation. A model that may indent without end
/// sometimes does.
const TERMINALS: &str = r#"
BLANK: /( |\r?\n[ \t]{0,8})/
ID: /"(tool_call_id|id)": ?"[0-9A-Za-z_-]{1,64}",/
NAME: "\"name\"" | "\"tool_name\""
ARGUMENTS: "\"arguments\"" | "\"parameters\"" | "\"args\"" | "\"input\"" | "\"tool_input\"" | "\"params\""
"#;

/// How a mark is written in a vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As text.
    Text,
    /// As text, or as this token, which leaves none.
    Token(u32),
    /// By none that may stand within a reply.
    Not,
}

/// The mark that has to stand behind calls of a spelling, and how it is written.
pub(super) fn closing(
    spelling: usize,
    written: impl Fn(&str) -> Written,
) -> Option<(&'static str, Written)> {
    let close = closing_mark(spelling)?;
    Some((close, written(close))).filter(|(_, written)| *written != Written::Not)
}

/// What selects a form.
pub(super) fn selector(form: Form) -> String {
    match form {
        Form::Marked(spelling) => format!("m:{spelling}:"),
        Form::Value => "v:".to_owned(),
        Form::Arguments(tool) => format!("a:{tool}:"),
        Form::Named { tool, wrapped, listed } => {
            let kind = match (wrapped, listed) {
                (false, false) => "p",
                (true, false) => "w",
                (false, true) => "l",
                (true, true) => "x",
            };
            format!("{kind}:{tool}:")
        }
    }
}

/// All forms in which calls of these tools may go on, in Lark's notation.
pub(super) fn grammar(tools: &Tools, written: impl Fn(&str) -> Written) -> String {
    let offered = tools.callable();
    let mut lark = String::from(TERMINALS);
    let mut rule = |name: &str, body: &str| lark.push_str(&format!("{name}: {body}\n"));
    let any = |rule: &str| numbered(offered.len(), |at| format!("{rule}_{at}"));
    let selected = |rule: &str| numbered(offered.len(), |at| format!("\"{at}:\" {rule}_{at}"));
    let marked: Vec<String> = certain_marks()
        .map(|(spelling, mark)| {
            let body = match names_come_first(spelling) && written(mark) == Written::Text {
                true => "(value | direct)",
                false if may_be_listed(spelling) => "value",
                false => "call",
            };
            let close = closing(spelling, &written);
            let close = close.map_or(String::new(), |(close, written)| behind(close, written));
            format!("\"{spelling}:\" BLANK? {body}{close}")
        })
        .collect();
    rule("start", START);
    rule("marked", &marked.join(" | "));
    rule("value", "list | call");
    rule("list", "\"[\" BLANK? call more");
    rule("more", if tools.parallel { MORE } else { "BLANK? \"]\"" });
    rule("call", &any("call"));
    rule("direct", &any("direct"));
    rule("named", &selected("named"));
    rule("arguments", &selected("arguments"));
    for (at, tool) in offered.iter().enumerate() {
        let (name, quoted) = (json!(tool.name), json!(json!(tool.name).to_string()));
        let named = "BLANK? \",\" BLANK? ARGUMENTS BLANK? \":\" BLANK?";
        rule(&format!("named_{at}"), &format!("{named} arguments_{at} BLANK? \"}}\""));
        let object = "\"{\" BLANK? (ID BLANK?)? NAME BLANK? \":\" BLANK?";
        rule(&format!("call_{at}"), &format!("{object} {quoted} named_{at}"));
        rule(&format!("direct_{at}"), &format!("{name} \"[ARGS]\"? arguments_{at}"));
        rule(&format!("arguments_{at}"), &arguments(tool));
    }
    lark
}

const START: &str = r#""m:" marked | "v:" value | "a:" arguments | "p:" named | "w:" named BLANK? "}" | "l:" named more | "x:" named BLANK? "}" more"#;
const MORE: &str = r#"(BLANK? "," BLANK? call)* BLANK? "]""#;

fn numbered(count: usize, of: impl Fn(usize) -> String) -> String {
    (0..count).map(of).collect::<Vec<_>>().join(" | ")
}

fn behind(close: &str, written: Written) -> String {
    let text = json!(close);
    match written {
        Written::Token(id) => format!(" BLANK? ({text} | <[{id}]>)"),
        Written::Text | Written::Not => format!(" BLANK? {text}"),
    }
}

/// The arguments of a tool: an object, and where it is strict one of its schema.
fn arguments(tool: &Tool) -> String {
    let mut schema = json!({ "type": "object" });
    if tool.strict {
        schema = closed(tool.parameters.clone());
        if let Some(object) = schema.as_object_mut() {
            object.entry("type").or_insert_with(|| json!("object"));
        }
    }
    format!("%json {}", with_options(schema))
}
