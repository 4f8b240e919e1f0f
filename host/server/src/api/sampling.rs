//! What chat and text completions have in common: whom to ask, how to draw tokens, when to end. What
//! would change the reply and can't be done is refused by name, never dropped in silence; see
//! `parameters`.

use std::borrow::Cow;

use serde_json::value::RawValue;
use signalbox_engine::{Ends, Progress, STOP_BYTES_MAX, STOPS_MAX, Sampling};

use super::{
    fields::{Fields, Names, list, text},
    parameters,
};
use crate::{
    ServerSettings,
    caller::Caller,
    error::ApiError,
    limits::{MODEL_BYTES_MAX, TOP_K_MAX},
    pipeline::{Call, Form, Pictures, Wishes},
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
    "min_p",
    "repetition_penalty",
    "repeat_last_n",
    "frequency_penalty",
    "presence_penalty",
    "do_sample",
    "seed",
    "stop",
    "stop_token_ids",
    "min_tokens",
    "ignore_eos",
    "stream",
    "stream_options",
    // The same in the words of other servers.
    "max_new_tokens",
    "max_output_tokens",
    "n_predict",
    "num_predict",
    "repeat_penalty",
    "random_seed",
    "stop_sequences",
    "min_new_tokens",
];
const STREAM_NAMES: Names = &[&["include_usage"]];

/// Names that leave the choice to the router.
const AUTO: [&str; 3] = ["auto", "default", ""];

/// How the reply is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// As events while it is generated.
    pub(super) stream: bool,
    /// With one more event that carries the usage.
    pub(super) include_usage: bool,
    /// What the caller should know about the call.
    pub(super) warnings: Vec<String>,
}

/// A call as its body says it, before anybody looked at its images.
#[derive(Debug)]
pub(super) struct Draft {
    view: signalbox_policy::Call,
    caller: Caller,
    form: Form,
    sampling: Sampling,
    stop: Vec<String>,
    ends: Ends,
    wishes: Wishes,
}

impl Draft {
    /// How many messages there are, each of which may have images.
    pub(super) fn messages(&self) -> usize {
        self.view.messages.len()
    }

    /// The call with its images; policies get to know how many.
    pub(super) fn with(self, pictures: Pictures) -> Call {
        let Draft { view, caller, form, sampling, stop, ends, wishes } = self;
        let progress = Progress::default();
        Call { view, caller, pictures, wishes, form, sampling, stop, ends, progress }
            .with_images_described()
    }
}

/// The common fields around `messages`, which are the prompt.
pub(super) fn read(
    fields: &mut Fields<'_>,
    (id, caller): (&RequestId, Caller),
    form: Form,
    (messages, wishes): (Vec<signalbox_policy::Message>, Wishes),
    settings: &ServerSettings,
) -> Result<(Draft, Delivery), ApiError> {
    parameters::refuse(fields, form)?;
    let warnings = parameters::warnings(fields);
    let delivery = Delivery { warnings, ..delivery(fields)? };
    let view = signalbox_policy::Call {
        id: id.as_str().to_owned(),
        caller: caller.number(),
        model: model(fields)?,
        messages,
        max_tokens: max_tokens(fields, settings.limits.max_tokens_max)?,
        temperature: temperature(fields)?,
        streaming: delivery.stream,
        hints: vec![("endpoint".to_owned(), endpoint(form).to_owned())],
    };
    let draft = Draft {
        view,
        caller,
        form,
        sampling: sampling(fields)?,
        stop: stop(fields)?,
        ends: ends(fields, settings.limits.max_tokens_max)?,
        wishes,
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
    let auto = |model: &str| AUTO.contains(&model.strip_suffix(":latest").unwrap_or(model));
    Ok(Some(model).filter(|model| !auto(model)))
}

/// OpenAI's newer name wins over the older one, and both over those of other servers.
fn max_tokens(fields: &mut Fields<'_>, max: u32) -> Result<Option<u32>, ApiError> {
    let mut found = None;
    for name in [
        "num_predict",
        "n_predict",
        "max_output_tokens",
        "max_new_tokens",
        "max_tokens",
        "max_completion_tokens",
    ] {
        found = fields.count_or_all(name, (1, max), max)?.or(found);
    }
    Ok(found)
}

/// `do_sample` is the other way to ask for greedy replies.
fn temperature(fields: &mut Fields<'_>) -> Result<Option<f32>, ApiError> {
    let greedy = fields.read("do_sample")? == Some(false);
    let asked = fields.number("temperature", 0.0, 2.0)?;
    Ok(if greedy { Some(0.0) } else { asked })
}

/// The rest of how tokens are drawn.
fn sampling(fields: &mut Fields<'_>) -> Result<Sampling, ApiError> {
    Ok(Sampling {
        temperature: None, // policies may edit it, so it goes with what they see
        top_p: top_p(fields)?,
        top_k: fields.count_or_all("top_k", (0, TOP_K_MAX), 0)?,
        min_p: fields.number("min_p", 0.0, 1.0)?,
        seed: seed(fields)?,
        ..penalties(fields)?
    })
}

/// They are for all of prompt and reply, so a shorter window would change the reply.
fn penalties(fields: &mut Fields<'_>) -> Result<Sampling, ApiError> {
    let other = fields.number("repeat_penalty", 0.01, 10.0)?;
    let penalties = Sampling {
        repetition_penalty: fields.number("repetition_penalty", 0.01, 10.0)?.or(other),
        frequency_penalty: fields.number("frequency_penalty", -2.0, 2.0)?,
        presence_penalty: fields.number("presence_penalty", -2.0, 2.0)?,
        ..Sampling::default()
    };
    let Sampling { repetition_penalty, frequency_penalty, presence_penalty, .. } = penalties;
    let on = repetition_penalty.is_some_and(|penalty| penalty != 1.0)
        || [frequency_penalty, presence_penalty]
            .into_iter()
            .flatten()
            .any(|penalty| penalty != 0.0);
    let window = fields.read::<f64>("repeat_last_n")?.filter(|window| *window != -1.0);
    if on && window.is_some() {
        let message = "'repeat_last_n': penalties are for all of prompt and reply; leave it out";
        return Err(ApiError::unsupported("repeat_last_n", message));
    }
    Ok(penalties)
}

/// What ends a reply besides its length and stop strings.
fn ends(fields: &mut Fields<'_>, max: u32) -> Result<Ends, ApiError> {
    let other = fields.count("min_new_tokens", 0, max)?;
    Ok(Ends {
        tokens: stop_tokens(fields)?,
        min_tokens: fields.count("min_tokens", 0, max)?.or(other).unwrap_or(0),
        ignored: fields.read("ignore_eos")?.unwrap_or(false),
    })
}

fn stop_tokens(fields: &mut Fields<'_>) -> Result<Vec<u32>, ApiError> {
    let Some(value) = fields.take("stop_token_ids") else { return Ok(vec![]) };
    let ids = list(value, STOPS_MAX).ok().and_then(|ids| {
        let id = |id: &RawValue| id.get().parse::<u32>().ok();
        ids.into_iter().map(id).collect()
    });
    ids.ok_or_else(|| {
        let message = format!("'stop_token_ids' must be up to {STOPS_MAX} token ids");
        ApiError::value("stop_token_ids", message)
    })
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
    let other = fields.take("random_seed");
    let Some(value) = fields.take("seed").or(other) else { return Ok(None) };
    let number = value.get().strip_suffix(".0").unwrap_or(value.get());
    let signed = || number.parse::<i64>().ok().map(i64::cast_unsigned);
    let seed = number.parse::<u64>().ok().or_else(signed);
    let wrong = || ApiError::value("seed", "'seed' must be a whole number of 64 bits");
    seed.map(Some).ok_or_else(wrong)
}

/// An empty stop string is in every text and in none, so it is left out.
fn stop(fields: &mut Fields<'_>) -> Result<Vec<String>, ApiError> {
    let wrong = || {
        let message = format!(
            "'stop' must be a string or up to {STOPS_MAX} strings of up to {STOP_BYTES_MAX} bytes"
        );
        ApiError::value("stop", message)
    };
    let other = fields.take("stop_sequences");
    let Some(value) = fields.take("stop").or(other) else { return Ok(vec![]) };
    let stops = match text(value) {
        Some(stop) => vec![stop],
        None => {
            let items = list(value, STOPS_MAX).map_err(|_| wrong())?;
            let texts: Option<Vec<_>> = items.into_iter().map(text).collect();
            texts.ok_or_else(wrong)?
        }
    };
    match stops.iter().all(|stop| stop.len() <= STOP_BYTES_MAX) {
        true => {
            Ok(stops.into_iter().filter(|stop| !stop.is_empty()).map(Cow::into_owned).collect())
        }
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
    Ok(Delivery { stream, include_usage, warnings: vec![] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(Draft, Delivery), ApiError> {
        let names: Names =
            &[NAMES, parameters::REFUSED, parameters::BEGINNINGS, parameters::HARMLESS];
        let mut fields = Fields::parse(body.as_bytes(), names)?;
        let id = RequestId::of(None);
        let prompt = (vec![], Wishes::default());
        read(&mut fields, (&id, Caller::at(None)), Form::Chat, prompt, &ServerSettings::default())
    }

    const UNSUPPORTED: &str = "unsupported_parameter";

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
        let Sampling { top_p, top_k, seed, .. } = call.sampling;
        assert_eq!((top_p, top_k, seed), (Some(1.0), Some(3), Some(u64::MAX)));
        assert_eq!(call.stop, ["END"]);
        assert_eq!(delivery, Delivery { stream: true, include_usage: true, warnings: vec![] });
    }

    /// What one field makes of a call.
    fn check<T: PartialEq + std::fmt::Debug>(body: &str, of: fn(&Draft) -> T, expect: T) {
        assert_eq!(of(&parse(body).unwrap().0), expect, "{body}");
    }

    #[test]
    fn parameters_of_other_servers_are_heeded_where_that_is_easy() {
        check(r#"{"min_p": 0.1}"#, |call| call.sampling.min_p, Some(0.1));
        check(r#"{"repetition_penalty": 1.1}"#, |c| c.sampling.repetition_penalty, Some(1.1));
        check(r#"{"repeat_penalty": 1.2}"#, |c| c.sampling.repetition_penalty, Some(1.2));
        check(r#"{"repeat_last_n": 64}"#, |c| c.sampling.repetition_penalty, None);
        check(r#"{"frequency_penalty": -2}"#, |c| c.sampling.frequency_penalty, Some(-2.0));
        check(r#"{"presence_penalty": 0.5}"#, |c| c.sampling.presence_penalty, Some(0.5));
        check(r#"{"stop_token_ids": [1, 7]}"#, |call| call.ends.tokens.clone(), vec![1, 7]);
        check(r#"{"min_tokens": 39}"#, |call| call.ends.min_tokens, 39);
        check(r#"{"ignore_eos": true}"#, |call| call.ends.ignored, true);
        check(r#"{"do_sample": false, "temperature": 1}"#, |c| c.view.temperature, Some(0.0));
        check(r#"{"n_predict": 7}"#, |call| call.view.max_tokens, Some(7));
        check(r#"{"max_new_tokens": 7, "max_tokens": 8}"#, |c| c.view.max_tokens, Some(8));
        check(r#"{"random_seed": 7}"#, |call| call.sampling.seed, Some(7));
        check(r#"{"stop_sequences": ["a"]}"#, |call| call.stop.clone(), vec!["a".to_owned()]);
        refused(r#"{"repeat_penalty": 1.1, "repeat_last_n": 64}"#, UNSUPPORTED, "repeat_last_n");
        refused(r#"{"stop_token_ids": ["a"]}"#, "invalid_value", "stop_token_ids");
        refused(r#"{"frequency_penalty": 2.5}"#, "invalid_value", "frequency_penalty");
    }

    #[test]
    fn spellings_of_no_limit_and_whole_floats_are_taken() {
        check(r#"{"max_tokens": -1}"#, |call| call.view.max_tokens, Some(32_768));
        check(r#"{"max_tokens": 16.0}"#, |call| call.view.max_tokens, Some(16));
        check(r#"{"top_k": -1}"#, |call| call.sampling.top_k, Some(0));
        check(r#"{"top_k": 40.0}"#, |call| call.sampling.top_k, Some(40));
        check(r#"{"seed": 42.0}"#, |call| call.sampling.seed, Some(42));
        check(r#"{"seed": -1}"#, |call| call.sampling.seed, Some(u64::MAX));
    }

    #[test]
    fn agents_send_many_stops_and_empty_ones() {
        let many: Vec<String> = (0..14).map(|i| format!("<|{i}|>")).collect();
        let body = serde_json::json!({ "stop": many }).to_string();
        assert_eq!(parse(&body).unwrap().0.stop, many);
        let none = Vec::<String>::new;
        check(r#"{"stop": ["", "a", ""]}"#, |call| call.stop.clone(), vec!["a".to_owned()]);
        check(r#"{"stop": ""}"#, |call| call.stop.clone(), none());
        check(r#"{"stop": []}"#, |call| call.stop.clone(), none());
        let surplus = serde_json::json!({ "stop": vec!["a"; STOPS_MAX + 1] }).to_string();
        refused(&surplus, "invalid_value", "stop");
    }

    #[test]
    fn auto_leaves_the_choice_to_the_router() {
        for body in [
            "{}",
            r#"{"model": null}"#,
            r#"{"model": "auto"}"#,
            r#"{"model": ""}"#,
            r#"{"model": "auto:latest"}"#,
        ] {
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
        refused(&format!(r#"{{"stop": "{}"}}"#, "a".repeat(257)), "invalid_value", "stop");
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
            ("n_probs", "5"),
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
