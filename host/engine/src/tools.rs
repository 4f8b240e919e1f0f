//! Tools that a call offers to an expert, and the expert's calls of them. Plain data.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde_json::{Map, Value, json};

mod arguments;
mod coming;
mod extent;
mod opening;
mod reader;
mod spelling;
mod written;

pub(crate) use opening::{
    Form, Openings, certain_marks, closing_mark, may_be_listed, names_come_first,
};
pub use reader::{CallReader, Said};
pub use written::{read_calls, write_calls};

/// A function that an expert may ask its caller to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What a call names.
    pub name: String,
    /// What it is for, in the caller's words.
    pub description: Option<String>,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// Whether calls of it have to follow the schema.
    pub strict: bool,
}

impl Tool {
    /// The definition that chat templates were trained with, which is OpenAI's.
    pub(crate) fn definition(&self) -> Value {
        let mut function = Map::from_iter([("name".to_owned(), json!(self.name))]);
        if let Some(description) = &self.description {
            function.insert("description".to_owned(), json!(description));
        }
        function.insert("parameters".to_owned(), self.parameters.clone());
        json!({ "type": "function", "function": function })
    }
}

/// Whether an expert calls tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It does not, and is shown none.
    None,
    /// It calls one at least.
    Required,
    /// It calls this one.
    Named(String),
}

/// What a call offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// In the caller's order.
    pub offered: Vec<Tool>,
    /// Whether they are called.
    pub choice: ToolChoice,
    /// Whether one reply may have several calls.
    pub parallel: bool,
}

impl Default for Tools {
    fn default() -> Self {
        Self { offered: Vec::new(), choice: ToolChoice::Auto, parallel: true }
    }
}

impl Tools {
    /// Those that the expert may call.
    pub fn callable(&self) -> &[Tool] {
        match self.choice {
            ToolChoice::None => &[],
            _ => &self.offered,
        }
    }

    /// Whether calls in a reply that is free otherwise are held to their schemas: some tool is strict.
    #[must_use]
    pub fn holds_calls(&self) -> bool {
        self.choice == ToolChoice::Auto && self.offered.iter().any(|tool| tool.strict)
    }

    /// Whether a reply has to be a call.
    #[must_use]
    pub fn must_call(&self) -> bool {
        matches!(self.choice, ToolChoice::Required | ToolChoice::Named(_))
    }
}

/// An expert's call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What its result refers to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON, as the expert wrote it.
    pub arguments: String,
}

impl ToolCall {
    /// An id that nobody has: OpenAI's form, whose last letters are all that some templates take.
    #[must_use]
    pub fn fresh_id() -> String {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // The standard library seeds its hashers from the system.
        let random = || RandomState::new().build_hasher().finish();
        let letter = |_| char::from(LETTERS[(random() % LETTERS.len() as u64) as usize]);
        format!("call_{}", (0..24).map(letter).collect::<String>())
    }

    /// The arguments as a value; text that is no JSON is a string.
    pub(crate) fn value(&self) -> Value {
        let text = || Value::String(self.arguments.clone());
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| text())
    }
}
