//! What a call asks for beyond words, between its own form and the one that policies are shown; and what they
//! changed of it.

use std::sync::Arc;

use signalbox_engine::{Format, Tools};
use signalbox_policy::{Parameters, ResponseFormat, Tool, ToolChoice};

use super::call::Call;

/// What policies are shown.
pub(super) fn shown(call: &Call) -> Parameters {
    let tool = |tool: &signalbox_engine::Tool| Tool {
        name: tool.name.clone(),
        description: tool.description.clone().unwrap_or_default(),
        parameters: tool.parameters.to_string(),
    };
    let tools = &call.wishes.tools;
    Parameters {
        tools: tools.offered.iter().map(tool).collect(),
        tool_choice: choice_view(&tools.choice),
        response_format: format_view(&call.wishes.format),
        top_p: call.sampling.top_p,
        seed: call.sampling.seed,
        stop: call.stop.clone(),
        logprobs: call.wishes.logprobs,
    }
}

/// The call with what policies made of what was `shown`; untouched where they left it.
pub(super) fn applied(mut call: Call, shown: &Parameters) -> Call {
    let wanted = call.view.parameters.clone(); // routers and policies on replies see them, too
    if wanted == *shown {
        return call;
    }
    if wanted.tools != shown.tools || wanted.tool_choice != shown.tool_choice {
        call.wishes.tools = Arc::new(tools(&call.wishes.tools, &wanted));
    }
    if wanted.response_format != shown.response_format {
        call.wishes.format = format(wanted.response_format);
    }
    call.sampling.top_p = wanted.top_p;
    call.sampling.seed = wanted.seed;
    call.stop = wanted.stop;
    call
}

fn tools(offered: &Tools, wanted: &Parameters) -> Tools {
    let kept = |tool: &&signalbox_engine::Tool| wanted.tools.iter().any(|t| t.name == tool.name);
    Tools {
        offered: offered.offered.iter().filter(kept).cloned().collect(),
        choice: match wanted.tool_choice.clone() {
            ToolChoice::Auto => signalbox_engine::ToolChoice::Auto,
            ToolChoice::None => signalbox_engine::ToolChoice::None,
            ToolChoice::Required => signalbox_engine::ToolChoice::Required,
            ToolChoice::Tool(name) => signalbox_engine::ToolChoice::Named(name),
        },
        parallel: offered.parallel,
    }
}

fn choice_view(choice: &signalbox_engine::ToolChoice) -> ToolChoice {
    match choice {
        signalbox_engine::ToolChoice::Auto => ToolChoice::Auto,
        signalbox_engine::ToolChoice::None => ToolChoice::None,
        signalbox_engine::ToolChoice::Required => ToolChoice::Required,
        signalbox_engine::ToolChoice::Named(name) => ToolChoice::Tool(name.clone()),
    }
}

fn format_view(format: &Format) -> ResponseFormat {
    match format {
        Format::Text => ResponseFormat::Text,
        Format::JsonObject => ResponseFormat::Json,
        Format::JsonSchema(schema) => ResponseFormat::JsonSchema(schema.to_string()),
        Format::Regex(_) => ResponseFormat::Other("regex".to_owned()),
        Format::Choice(_) => ResponseFormat::Other("choice".to_owned()),
        Format::Grammar(_) => ResponseFormat::Other("grammar".to_owned()),
    }
}

/// The policy's host has parsed the schema, and lets no policy set other forms.
fn format(wanted: ResponseFormat) -> Format {
    match wanted {
        ResponseFormat::Json => Format::JsonObject,
        ResponseFormat::JsonSchema(schema) => {
            serde_json::from_str(&schema).map_or(Format::JsonObject, Format::JsonSchema)
        }
        ResponseFormat::Text | ResponseFormat::Other(_) => Format::Text,
    }
}
