//! What a call asks for beyond words, between the host's types and the contract's.

use crate::{ResponseFormat, Tool, ToolChoice, bindings::signalbox::policy::types};

impl From<&Tool> for types::Tool {
    fn from(tool: &Tool) -> Self {
        let Tool { name, description, parameters } = tool.clone();
        Self { name, description, parameters }
    }
}

impl From<&ToolChoice> for types::ToolChoice {
    fn from(choice: &ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => Self::Auto,
            ToolChoice::None => Self::None,
            ToolChoice::Required => Self::Required,
            ToolChoice::Tool(name) => Self::Tool(name.clone()),
        }
    }
}

impl From<&ResponseFormat> for types::ResponseFormat {
    fn from(format: &ResponseFormat) -> Self {
        match format {
            ResponseFormat::Text => Self::Text,
            ResponseFormat::Json => Self::Json,
            ResponseFormat::JsonSchema(schema) => Self::JsonSchema(schema.clone()),
            ResponseFormat::Other(name) => Self::Other(name.clone()),
        }
    }
}

impl From<types::ResponseFormat> for ResponseFormat {
    fn from(said: types::ResponseFormat) -> Self {
        match said {
            types::ResponseFormat::Text => Self::Text,
            types::ResponseFormat::Json => Self::Json,
            types::ResponseFormat::JsonSchema(schema) => Self::JsonSchema(schema),
            types::ResponseFormat::Other(name) => Self::Other(name),
        }
    }
}
