//! What a call asks for beyond words, as a policy reads and sets it.

use crate::bindings::signalbox::policy::types;

/// Something that the reply may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name, as the expert writes it.
    pub name: String,
    /// What the client says it does; empty when it says nothing.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: String,
}

impl From<types::Tool> for Tool {
    fn from(tool: types::Tool) -> Self {
        let types::Tool { name, description, parameters } = tool;
        Self { name, description, parameters }
    }
}

/// Whether tools may or have to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// The expert decides.
    #[default]
    Auto,
    /// None may be called.
    None,
    /// At least one has to be called.
    Required,
    /// This one has to be called.
    Tool(String),
    /// A choice newer than this SDK, by its name.
    Other(String),
}

impl From<types::ToolChoice> for ToolChoice {
    fn from(choice: types::ToolChoice) -> Self {
        match choice {
            types::ToolChoice::Auto => Self::Auto,
            types::ToolChoice::None => Self::None,
            types::ToolChoice::Required => Self::Required,
            types::ToolChoice::Tool(name) => Self::Tool(name),
            types::ToolChoice::Other(name) => Self::Other(name),
        }
    }
}

impl From<ToolChoice> for types::ToolChoice {
    fn from(choice: ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => Self::Auto,
            ToolChoice::None => Self::None,
            ToolChoice::Required => Self::Required,
            ToolChoice::Tool(name) => Self::Tool(name),
            ToolChoice::Other(name) => Self::Other(name),
        }
    }
}

/// What the reply has to look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Text, whatever it looks like.
    #[default]
    Text,
    /// Any JSON object.
    Json,
    /// JSON that fits this JSON Schema.
    JsonSchema(String),
    /// A format that is only known by its name here; policies can't set it.
    Other(String),
}

impl From<types::ResponseFormat> for ResponseFormat {
    fn from(format: types::ResponseFormat) -> Self {
        match format {
            types::ResponseFormat::Text => Self::Text,
            types::ResponseFormat::Json => Self::Json,
            types::ResponseFormat::JsonSchema(schema) => Self::JsonSchema(schema),
            types::ResponseFormat::Other(name) => Self::Other(name),
        }
    }
}

impl From<ResponseFormat> for types::ResponseFormat {
    fn from(format: ResponseFormat) -> Self {
        match format {
            ResponseFormat::Text => Self::Text,
            ResponseFormat::Json => Self::Json,
            ResponseFormat::JsonSchema(schema) => Self::JsonSchema(schema),
            ResponseFormat::Other(name) => Self::Other(name),
        }
    }
}
