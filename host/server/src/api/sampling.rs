//! What chat and text completions have in common: whom to ask, how to draw tokens, when to end. What
//! would change the reply and can't be done is refused by name, never dropped in silence; see
//! `parameters`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;
use signalbox_engine::{Ends, Format, Progress, STOP_BYTES_MAX, STOPS_MAX, Sampling};

use super::{
    fields::{Fields, Names, is_empty, list, text},
    format, logprobs, parameters,
};
use crate::{
    ServerSettings,
    caller::Caller,
    error::ApiError,
    limits::{
        BIASES_MAX, CHOICES_PER_CALL_MAX, MODEL_BYTES_MAX, PARTS_MAX, PREDICTION_BYTES_MAX,
        TOP_K_MAX,
    },
    pipeline::{self, Call, Form, Pictures, TokenPrompt, Wishes},
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
    "n",
    "best_of",
    "logit_bias",
    "prediction",
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
const PREDICTION_NAMES: Names = &[&["type", "content", "text"]];
/// Bytes that nobody needs for a token and its bias.
const BIAS_BYTES: usize = 64;
const STREAM_NAMES: Names = &[&["include_usage"]];

/// Names that leave the choice to the router.
const AUTO: [&str; 3] = ["auto", "default", ""];

/// How the reply is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// As events while it is generated.
    pub(super) stream: bool,
    /// Replies that are drawn, one at least.
    pub(super) choices: u32,
    /// Those of them that are sent: the likeliest, where they are fewer.
    pub(super) sent: u32,
    /// With what their tokens weigh.
    pub(super) weighed: bool,
    /// With one more event that carries the usage.
    pub(super) include_usage: bool,
    /// What the caller should know about the call.
    pub(super) warnings: Vec<String>,
}

/// Where OpenAI's replies have more room than others.
const ELSEWHERE: &str = "it has no place in this reply; ask for it at /v1/chat/completions";

impl Delivery {
    /// Refuses several replies, where there is place for one.
    pub(super) fn check_single(&self) -> Result<(), ApiError> {
        match self.choices {
            1 => Ok(()),
            _ => Err(ApiError::unsupported("n", format!("'n': {ELSEWHERE}"))),
        }
    }
}

/// A call as its body says it, before anybody looked at its images.
#[derive(Debug, Clone)]
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

    /// The same with this as its first message, and the tokens that were sent for it.
    pub(super) fn saying(&self, text: String, ids: Option<Vec<u32>>) -> Self {
        let mut other = self.clone();
        other.wishes.tokens = ids.map(|ids| TokenPrompt { ids, text: text.clone() }.into());
        if let Some(first) = other.view.messages.first_mut() {
            first.content = text;
        }
        other
    }

    /// What the reply ends before.
    pub(super) fn stops(&self) -> Vec<String> {
        self.stop.clone()
    }

    /// Whom it names.
    pub(super) fn model(&self) -> Option<&str> {
        self.view.model.as_deref()
    }

    /// Completes a name of which the beginning will do, where that is the beginning of one id only.
    pub(super) fn complete_name<'m>(&mut self, ids: impl Iterator<Item = &'m str> + Clone) {
        let found = self.model().and_then(|named| pipeline::find_begun(named, ids));
        if let Some(id) = found {
            self.view.model = Some(id.to_owned());
        }
    }

    /// Refuses log probabilities, where a reply has no place for them.
    pub(super) fn check_unweighed(&self) -> Result<(), ApiError> {
        match self.wishes.logprobs {
            None => Ok(()),
            Some(_) => Err(ApiError::unsupported("logprobs", format!("'logprobs': {ELSEWHERE}"))),
        }
    }

    /// The call with its images; policies get to know how many.
    pub(super) fn with(self, pictures: Pictures) -> Call {
        let Draft { view, caller, form, sampling, stop, ends, wishes } = self;
        let progress = Progress::default();
        Call { view, caller, pictures, wishes, form, sampling, stop, ends, progress }
            .with_images_described()
    }
}

/// What was read of a body before the fields that all dialects share.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) form: Form,
    pub(super) messages: Vec<signalbox_policy::Message>,
    pub(super) wishes: Wishes,
    /// Whether a call that does not say so is answered as a stream.
    pub(super) streams: bool,
}

/// The common fields around a prompt.
pub(super) fn read(
    fields: &mut Fields<'_>,
    (id, caller): (&RequestId, Caller),
    prompt: Prompt,
    settings: &ServerSettings,
) -> Result<(Draft, Delivery), ApiError> {
    let Prompt { form, messages, wishes, streams } = prompt;
    let format = match format::read(fields)? {
        Format::Text => wishes.format,
        other => other,
    };
    let asked = wishes.logprobs.or(logprobs::read(fields, form)?);
    parameters::refuse(fields, form)?;
    let warnings = parameters::warnings(fields);
    let delivery = Delivery { warnings, weighed: asked.is_some(), ..delivery(fields, streams)? };
    let ranked = delivery.sent < delivery.choices;
    let wishes = Wishes {
        format,
        logprobs: asked.or(ranked.then_some(0)),
        prediction: prediction(fields)?,
        ..wishes
    };
    let view = signalbox_policy::Call {
        id: id.as_str().to_owned(),
        caller: caller.number(),
        model: model(fields)?,
        messages,
        max_tokens: max_tokens(fields, settings.limits.max_tokens_max)?,
        temperature: temperature(fields)?,
        streaming: delivery.stream,
        hints: vec![("endpoint".to_owned(), endpoint(form).to_owned())],
        ..signalbox_policy::Call::default()
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

/// Whom a call names; nobody, where that leaves the choice to the router.
pub(super) fn model(fields: &mut Fields<'_>) -> Result<Option<String>, ApiError> {
    let Some(model) = fields.read::<String>("model")? else { return Ok(None) };
    if model.len() > MODEL_BYTES_MAX {
        let message = format!("'model' is longer than {MODEL_BYTES_MAX} bytes");
        return Err(ApiError::value("model", message));
    }
    Ok(Some(model).filter(|model| !is_auto(model)))
}

/// Whether a name leaves the choice to the router.
pub(super) fn is_auto(model: &str) -> bool {
    AUTO.contains(&model.strip_suffix(":latest").unwrap_or(model))
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
        bias: bias(fields)?,
        ..penalties(fields)?
    })
}

/// An object of token ids, as OpenAI has it.
fn bias(fields: &mut Fields<'_>) -> Result<Vec<(u32, f32)>, ApiError> {
    let Some(sent) = fields.take("logit_bias").filter(|sent| !is_empty(sent)) else {
        return Ok(vec![]);
    };
    let short = sent.get().len() <= BIASES_MAX * BIAS_BYTES;
    let read: Option<BTreeMap<u32, f32>> =
        short.then(|| serde_json::from_str(sent.get()).ok()).flatten();
    let within = |bias: &BTreeMap<u32, f32>| {
        bias.len() <= BIASES_MAX && bias.values().all(|bias| (-100.0..=100.0).contains(bias))
    };
    match read.filter(within) {
        Some(bias) => Ok(bias.into_iter().map(barring).collect()),
        None => {
            let message = format!(
                "'logit_bias' must have up to {BIASES_MAX} token ids, each with -100 to 100"
            );
            Err(ApiError::value("logit_bias", message))
        }
    }
}

/// The least bias bars a token, whatever the others weigh.
fn barring((token, bias): (u32, f32)) -> (u32, f32) {
    (token, if bias == -100.0 { f32::NEG_INFINITY } else { bias })
}

/// What much of the reply may be: it makes replies faster, and none other.
fn prediction(fields: &mut Fields<'_>) -> Result<Option<Arc<str>>, ApiError> {
    let Some(sent) = fields.take("prediction") else { return Ok(None) };
    let wrong = |why: &str| ApiError::value("prediction", format!("'prediction' {why}"));
    let shape = "must be like {\"type\": \"content\", \"content\": \"...\"}";
    if sent.get().len() > PREDICTION_BYTES_MAX {
        return Err(wrong(&format!("is longer than {PREDICTION_BYTES_MAX} bytes")));
    }
    let mut fields = Fields::of(sent, PREDICTION_NAMES, "").ok_or_else(|| wrong(shape))?;
    let content = fields.take("content").ok_or_else(|| wrong(shape))?;
    let parts = |value| -> Option<String> {
        let part = |part| text(Fields::of(part, PREDICTION_NAMES, "")?.take("text")?);
        list(value, PARTS_MAX).ok()?.into_iter().map(part).collect()
    };
    let text = text(content).map(Cow::into_owned).or_else(|| parts(content));
    text.map(|text| Some(text.into())).ok_or_else(|| wrong(shape))
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

/// How many replies are drawn, and how many of them are sent.
fn choices(fields: &mut Fields<'_>, stream: bool) -> Result<(u32, u32), ApiError> {
    let sent = fields.count("n", 1, CHOICES_PER_CALL_MAX)?.unwrap_or(1);
    let drawn = fields.count("best_of", 1, CHOICES_PER_CALL_MAX)?.unwrap_or(sent);
    if drawn < sent {
        return Err(ApiError::value("best_of", "'best_of' must be 'n' at least"));
    }
    if drawn > sent && stream {
        let message =
            "'best_of': which replies are best is known when all are complete; leave 'stream' out";
        return Err(ApiError::unsupported("best_of", message));
    }
    Ok((drawn, sent))
}

fn delivery(fields: &mut Fields<'_>, streams: bool) -> Result<Delivery, ApiError> {
    let stream = fields.read("stream")?.unwrap_or(streams);
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
    let (choices, sent) = choices(fields, stream)?;
    Ok(Delivery { stream, choices, sent, weighed: false, include_usage, warnings: vec![] })
}

#[cfg(test)]
mod tests;
