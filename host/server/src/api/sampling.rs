//! What chat and text completions have in common: whom to ask, how to draw tokens, when to end, and
//! what this server does not do. What would change the reply and can't be done is refused by name,
//! never dropped in silence.

use std::borrow::Cow;

use serde_json::value::RawValue;
use signalbox_engine::{STOP_BYTES_MAX, STOPS_MAX};

use super::fields::{Fields, Names, is_empty, list, text};
use crate::{
    ServerSettings,
    caller::Caller,
    error::ApiError,
    limits::{MODEL_BYTES_MAX, TOP_K_MAX},
    pipeline::{Call, Form, Pictures},
    request_id::RequestId,
};

/// The fields read here.
pub(super) const NAMES: &[&str] = &[
    "model",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "stream",
    "stream_options",
    // Refused unless they change nothing.
    "n",
    "best_of",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "logprobs",
    "top_logprobs",
    "response_format",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "modalities",
    "audio",
    "echo",
    "suffix",
];
const STREAM_NAMES: Names = &[&["include_usage"]];
const FORMAT_NAMES: Names = &[&["type"]];
/// More kinds of reply than there are.
const MODALITIES_MAX: usize = 16;

/// Names that leave the choice to the router.
const AUTO: [&str; 3] = ["auto", "default", ""];

/// How the reply is to be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// As events while it is generated.
    pub(super) stream: bool,
    /// With one more event that carries the usage.
    pub(super) include_usage: bool,
}

/// A call as its body says it, before anybody looked at its images.
#[derive(Debug)]
pub(super) struct Draft {
    view: signalbox_policy::Call,
    caller: Caller,
    form: Form,
    top_p: Option<f32>,
    top_k: Option<u32>,
    seed: Option<u64>,
    stop: Vec<String>,
}

impl Draft {
    /// How many messages there are, each of which may have images.
    pub(super) fn messages(&self) -> usize {
        self.view.messages.len()
    }

    /// The call with its images; policies get to know how many.
    pub(super) fn with(self, pictures: Pictures) -> Call {
        let Draft { view, caller, form, top_p, top_k, seed, stop } = self;
        Call { view, caller, pictures, form, top_p, top_k, seed, stop }.with_images_described()
    }
}

/// The common fields around `messages`, which are the prompt.
pub(super) fn read(
    fields: &mut Fields<'_>,
    (id, caller): (&RequestId, Caller),
    form: Form,
    messages: Vec<signalbox_policy::Message>,
    settings: &ServerSettings,
) -> Result<(Draft, Delivery), ApiError> {
    refuse_unsupported(fields)?;
    let delivery = delivery(fields)?;
    let view = signalbox_policy::Call {
        id: id.as_str().to_owned(),
        caller: caller.number(),
        model: model(fields)?,
        messages,
        max_tokens: max_tokens(fields, settings.limits.max_tokens_max)?,
        temperature: fields.number("temperature", 0.0, 2.0)?,
        streaming: delivery.stream,
        hints: vec![("endpoint".to_owned(), endpoint(form).to_owned())],
    };
    let draft = Draft {
        view,
        caller,
        form,
        top_p: top_p(fields)?,
        top_k: fields.count("top_k", 0, TOP_K_MAX)?,
        seed: seed(fields)?,
        stop: stop(fields)?,
    };
    Ok((draft, delivery))
}

fn endpoint(form: Form) -> &'static str {
    match form {
        Form::Chat => "chat",
        Form::Text => "text",
    }
}

fn model(fields: &mut Fields<'_>) -> Result<Option<String>, ApiError> {
    let Some(model) = fields.read::<String>("model")? else { return Ok(None) };
    if model.len() > MODEL_BYTES_MAX {
        let message = format!("'model' is longer than {MODEL_BYTES_MAX} bytes");
        return Err(ApiError::value("model", message));
    }
    Ok(Some(model).filter(|model| !AUTO.contains(&model.as_str())))
}

/// Both of OpenAI's names; the newer one wins.
fn max_tokens(fields: &mut Fields<'_>, max: u32) -> Result<Option<u32>, ApiError> {
    let older = fields.count("max_tokens", 1, max)?;
    Ok(fields.count("max_completion_tokens", 1, max)?.or(older))
}

/// Above 0: nothing can be drawn from an empty nucleus.
fn top_p(fields: &mut Fields<'_>) -> Result<Option<f32>, ApiError> {
    match fields.number("top_p", 0.0, 1.0)? {
        Some(0.0) => Err(ApiError::value("top_p", "'top_p' is 0; it must be above 0, to 1")),
        top_p => Ok(top_p),
    }
}

/// Negative seeds are seeds too: the same bits.
fn seed(fields: &mut Fields<'_>) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.take("seed") else { return Ok(None) };
    let number = value.get();
    let signed = || number.parse::<i64>().ok().map(i64::cast_unsigned);
    let seed = number.parse::<u64>().ok().or_else(signed);
    let wrong = || ApiError::value("seed", "'seed' must be a whole number of 64 bits");
    seed.map(Some).ok_or_else(wrong)
}

fn stop(fields: &mut Fields<'_>) -> Result<Vec<String>, ApiError> {
    let wrong = || {
        let message = format!(
            "'stop' must be a string or up to {STOPS_MAX} strings of 1 to {STOP_BYTES_MAX} bytes"
        );
        ApiError::value("stop", message)
    };
    let Some(value) = fields.take("stop") else { return Ok(vec![]) };
    let stops = match text(value) {
        Some(stop) => vec![stop],
        None => {
            let items = list(value, STOPS_MAX).map_err(|_| wrong())?;
            let texts: Option<Vec<_>> = items.into_iter().map(text).collect();
            texts.ok_or_else(wrong)?
        }
    };
    match stops.iter().all(|stop| (1..=STOP_BYTES_MAX).contains(&stop.len())) {
        true => Ok(stops.into_iter().map(Cow::into_owned).collect()),
        false => Err(wrong()),
    }
}

fn delivery(fields: &mut Fields<'_>) -> Result<Delivery, ApiError> {
    let stream = fields.read("stream")?.unwrap_or(false);
    let include_usage = match fields.take("stream_options") {
        None => false,
        Some(_) if !stream => {
            let message = "'stream_options' goes with \"stream\": true only";
            return Err(ApiError::value("stream_options", message));
        }
        Some(options) => {
            let options = Fields::of(options, STREAM_NAMES, "stream_options.");
            let mut options = options.ok_or_else(|| {
                ApiError::value("stream_options", "'stream_options' must be an object")
            })?;
            options.read("include_usage")?.unwrap_or(false)
        }
    };
    Ok(Delivery { stream, include_usage })
}

/// A field, the values that change nothing, and the refusal of others.
type Unsupported = (&'static str, fn(&RawValue) -> bool, &'static str);

const UNSUPPORTED: &[Unsupported] = &[
    ("n", is_one, "one reply per call; send the call again for another"),
    ("best_of", is_one, "one reply per call"),
    ("tools", is_empty, "experts here don't call tools; leave 'tools' out"),
    ("functions", is_empty, "experts here don't call functions; leave 'functions' out"),
    ("tool_choice", is_no_tool, "experts here don't call tools; leave 'tool_choice' out"),
    ("function_call", is_no_tool, "experts here don't call functions; leave it out"),
    ("logprobs", is_off, "log probabilities are not given; leave 'logprobs' out"),
    ("top_logprobs", is_off, "log probabilities are not given; leave 'top_logprobs' out"),
    ("response_format", is_text, "replies are free text; ask for JSON in the prompt instead"),
    ("logit_bias", is_empty, "tokens can't be biased; leave 'logit_bias' out"),
    ("presence_penalty", is_zero, "there are no penalties; leave it out or send 0"),
    ("frequency_penalty", is_zero, "there are no penalties; leave it out or send 0"),
    ("modalities", is_text_only, "replies are text; leave 'modalities' out"),
    ("audio", is_empty, "replies are text; leave 'audio' out"),
    ("echo", is_off, "the prompt is not echoed; leave 'echo' out"),
    ("suffix", is_empty, "text is continued, not filled in; leave 'suffix' out"),
];

fn refuse_unsupported(fields: &mut Fields<'_>) -> Result<(), ApiError> {
    for (name, harmless, message) in UNSUPPORTED {
        if fields.take(name).is_some_and(|value| !harmless(value)) {
            return Err(ApiError::unsupported(*name, format!("'{name}': {message}")));
        }
    }
    Ok(())
}

fn is_one(value: &RawValue) -> bool {
    number(value) == Some(1.0)
}

fn is_zero(value: &RawValue) -> bool {
    number(value) == Some(0.0)
}

fn number(value: &RawValue) -> Option<f64> {
    let literal = value.get();
    literal.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then(|| literal.parse().ok())?
}

fn is_off(value: &RawValue) -> bool {
    value.get() == "false" || is_zero(value)
}

fn is_no_tool(value: &RawValue) -> bool {
    text(value).is_some_and(|choice| choice == "none" || choice == "auto")
}

fn is_text(value: &RawValue) -> bool {
    let kind = Fields::of(value, FORMAT_NAMES, "").and_then(|mut format| format.take("type"));
    kind.and_then(text).is_some_and(|kind| kind == "text")
}

fn is_text_only(value: &RawValue) -> bool {
    let is_text = |item| text(item).is_some_and(|item| item == "text");
    list(value, MODALITIES_MAX).is_ok_and(|items| items.into_iter().all(is_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(Draft, Delivery), ApiError> {
        let mut fields = Fields::parse(body.as_bytes(), &[NAMES])?;
        let id = RequestId::of(None);
        read(&mut fields, (&id, Caller::at(None)), Form::Chat, vec![], &ServerSettings::default())
    }

    fn refused(body: &str, code: &str, param: &str) {
        let error = parse(body).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
        assert!(format!("{error:?}").contains(&format!("Some({param:?})")), "{body}: {error:?}");
    }

    #[test]
    fn values_are_read() {
        let (call, delivery) = parse(
            r#"{"model": "phi", "temperature": 0, "top_p": 1, "top_k": 3, "seed": -1,
                "max_tokens": 5, "max_completion_tokens": 6, "stop": "END", "user": "u",
                "stream": true, "stream_options": {"include_usage": true}, "metadata": {"a": 1}}"#,
        )
        .unwrap();
        assert_eq!(call.view.model.as_deref(), Some("phi"));
        assert_eq!((call.view.temperature, call.view.max_tokens), (Some(0.0), Some(6)));
        assert_eq!((call.top_p, call.top_k, call.seed), (Some(1.0), Some(3), Some(u64::MAX)));
        assert_eq!(call.stop, ["END"]);
        assert_eq!(delivery, Delivery { stream: true, include_usage: true });
    }

    #[test]
    fn auto_leaves_the_choice_to_the_router() {
        for body in ["{}", r#"{"model": null}"#, r#"{"model": "auto"}"#, r#"{"model": ""}"#] {
            assert_eq!(parse(body).unwrap().0.view.model, None, "{body}");
        }
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        refused(r#"{"temperature": 2.5}"#, "invalid_value", "temperature");
        refused(r#"{"temperature": "hot"}"#, "invalid_value", "temperature");
        refused(r#"{"top_p": 0}"#, "invalid_value", "top_p");
        refused(r#"{"max_tokens": 0}"#, "invalid_value", "max_tokens");
        refused(r#"{"max_completion_tokens": 40000}"#, "invalid_value", "max_completion_tokens");
        refused(r#"{"seed": 1.5}"#, "invalid_value", "seed");
        refused(r#"{"stop": ["a", "b", "c", "d", "e"]}"#, "invalid_value", "stop");
        refused(r#"{"stop": [""]}"#, "invalid_value", "stop");
        refused(r#"{"stop": [1]}"#, "invalid_value", "stop");
        refused(r#"{"stream": "yes"}"#, "invalid_value", "stream");
        refused(
            r#"{"stream_options": {"include_usage": true}}"#,
            "invalid_value",
            "stream_options",
        );
    }

    #[test]
    fn what_would_change_the_reply_is_refused() {
        for (name, value) in [
            ("n", "2"),
            ("tools", r#"[{"type": "function"}]"#),
            ("tool_choice", r#""required""#),
            ("logprobs", "true"),
            ("logprobs", "3"),
            ("response_format", r#"{"type": "json_object"}"#),
            ("presence_penalty", "0.5"),
            ("modalities", r#"["text", "audio"]"#),
        ] {
            refused(&format!(r#"{{"{name}": {value}}}"#), "unsupported_parameter", name);
        }
    }

    #[test]
    fn what_changes_nothing_is_accepted() {
        for body in [
            r#"{"n": 1, "tools": [], "tool_choice": "auto", "logprobs": false}"#,
            r#"{"response_format": {"type": "text"}, "presence_penalty": 0, "logit_bias": {}}"#,
            r#"{"modalities": ["text"], "store": true, "whatever": [1]}"#,
        ] {
            assert!(parse(body).is_ok(), "{body}");
        }
    }
}
