//! System One's `POST /v1/systemone`, as vLLM and others serve it: a `state` and an object of `questions`.

use std::time::SystemTime;

use serde_json::{Map, Value, json, value::RawValue};

use super::{
    super::{
        fields::{Fields, Names, entries, list, text},
        parameters,
        writer::unix_seconds,
    },
    answer::{Answered, Weights},
    question::{Described, Kind, Question},
};
use crate::{
    error::ApiError,
    limits::{LEVELS_MAX, OPTIONS_MAX, QUESTIONS_MAX},
    wire::decide::{SystemOneAnswer, SystemOneUsage},
};

pub(super) const NAMES: Names = &[
    &["model", "state", "instructions", "questions"],
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
const QUESTION_NAMES: Names = &[&["type", "instructions", "criteria"]];
const MEANING_NAMES: Names = &[&["true", "false"]];

/// The text and what is asked about it.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<(String, Vec<Question>), ApiError> {
    let state = said(fields.need("state")?);
    if state.trim().is_empty() {
        return Err(ApiError::value(
            "state",
            "'state' is empty; it must be what the questions are about",
        ));
    }
    let state = match fields.take("instructions").map(said) {
        Some(before) => format!("{before}\n\n{state}"),
        None => state,
    };
    let wrong = || {
        let message = format!(
            "'questions' must be an object of 1 to {QUESTIONS_MAX} questions, each under its name"
        );
        ApiError::value("questions", message)
    };
    let questions = entries(fields.need("questions")?, QUESTIONS_MAX).ok();
    let questions = questions.filter(|questions| !questions.is_empty()).ok_or_else(wrong)?;
    let questions = questions.into_iter().map(|(name, sent)| question(name, sent));
    Ok((state, questions.collect::<Result<_, _>>()?))
}

/// A string, or JSON as its text.
fn said(sent: &RawValue) -> String {
    text(sent).map_or_else(|| sent.get().to_owned(), |text| text.into_owned())
}

fn question(name: String, sent: &RawValue) -> Result<Question, ApiError> {
    let at = format!("questions.{}", signalbox_confine::clean(&name, 64));
    let wrong = || {
        let message = format!(
            "'{at}' must be like {{\"type\": \"noul\", \"instructions\": \"...\"}}; the other types are 'choice' and \
             'score', both with 'criteria'"
        );
        ApiError::value(&at, message)
    };
    let mut fields = Fields::of(sent, QUESTION_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    if !fields.unknown().is_empty() {
        return Err(wrong());
    }
    let kind: String = fields.read("type")?.ok_or_else(wrong)?;
    let instructions = fields.take("instructions").map(said).unwrap_or_default();
    let (criteria, name) = (fields.take("criteria"), Some(name));
    let at = fields.at("criteria");
    match kind.as_str() {
        "noul" => Ok(Question::predicate(name, &instructions, meanings(criteria, &at)?)),
        "choice" => Question::choice((name, &at), &instructions, options(criteria, &at)?),
        "score" => Question::score((name, &at), &instructions, levels(criteria, &at)?),
        _ => Err(wrong()),
    }
}

/// What yes and no mean, where that is said.
fn meanings(sent: Option<&RawValue>, at: &str) -> Result<[Option<String>; 2], ApiError> {
    let Some(sent) = sent else { return Ok([None, None]) };
    let wrong = || ApiError::value(at, format!("'{at}' must be an object of 'true' and 'false'"));
    let mut fields = Fields::of(sent, MEANING_NAMES, "").ok_or_else(wrong)?;
    Ok(["true", "false"].map(|name| fields.take(name).map(said)))
}

fn options(sent: Option<&RawValue>, at: &str) -> Result<Vec<(Value, Described)>, ApiError> {
    let wrong = || {
        let message = format!(
            "'{at}' must be an object of up to {OPTIONS_MAX} options, each with a description or null"
        );
        ApiError::value(at, message)
    };
    let options = entries(sent.ok_or_else(wrong)?, OPTIONS_MAX).map_err(|_| wrong())?;
    let option = |(name, sent): (String, &RawValue)| {
        let description = (sent.get() != "null").then(|| said(sent));
        (Value::from(name.clone()), (name, description))
    };
    Ok(options.into_iter().map(option).collect())
}

fn levels(sent: Option<&RawValue>, at: &str) -> Result<Vec<Described>, ApiError> {
    let wrong = || {
        let message = format!("'{at}' must be a list of 2 to {LEVELS_MAX} levels, the least first");
        ApiError::value(at, message)
    };
    let levels = list(sent.ok_or_else(wrong)?, LEVELS_MAX).map_err(|_| wrong())?;
    Ok(levels.into_iter().map(|level| (said(level), None)).collect())
}

/// The answers in System One's words.
pub(super) fn written(answered: Answered) -> SystemOneAnswer {
    let (mut answers, mut diagnostics) = (Map::new(), Map::new());
    for (question, weights) in answered.answers {
        let Some(weights) = weights else { continue };
        let name = question.name.unwrap_or_default();
        diagnostics.insert(name.clone(), json!({ "label_mass": weights.mass }));
        answers.insert(name, answer(question.kind, &weights));
    }
    SystemOneAnswer {
        id: answered.id.as_str().to_owned(),
        object: "structured_decision".into(),
        created: unix_seconds(SystemTime::now()),
        model: answered.model,
        answers,
        usage: SystemOneUsage {
            input_tokens: answered.usage.prompt_tokens,
            output_tokens: answered.usage.completion_tokens,
        },
        diagnostics,
    }
}

fn answer(kind: Kind, weights: &Weights) -> Value {
    let confidence = weights.confidence();
    let shares = weights.probabilities.iter().map(|share| Value::from(*share));
    match kind {
        Kind::Predicate => json!({ "type": "noul", "noul": weights.probabilities[0] }),
        Kind::Choice(options) => {
            let names: Vec<String> = options
                .into_iter()
                .map(|name| name.as_str().unwrap_or_default().to_owned())
                .collect();
            let choice = names[weights.best()].clone();
            let probabilities: Map<String, Value> = names.into_iter().zip(shares).collect();
            json!({ "type": "choice", "choice": choice, "probabilities": probabilities, "confidence": confidence })
        }
        Kind::Score(levels) => {
            let numbers = || (0..levels.len()).map(|at| at.to_string());
            let probabilities: Map<String, Value> = numbers().zip(shares).collect();
            let legend: Map<String, Value> =
                numbers().zip(levels.iter().map(|level| level.clone().into())).collect();
            json!({
                "type": "score", "score": weights.expected(), "legend": legend,
                "probabilities": probabilities, "confidence": confidence,
            })
        }
    }
}
