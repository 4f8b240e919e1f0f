//! OpenAI's `POST /v1/decisions`: `input` and a list of `questions`.

use serde_json::{Value, value::RawValue};

use super::{
    super::{
        fields::{Fields, Names, list, text},
        parameters, parts,
    },
    answer::{Answered, Weights},
    question::{Described, Kind, Question},
};
use crate::{
    error::ApiError,
    limits::{LEVELS_MAX, OPTIONS_MAX, PARTS_MAX, QUESTIONS_MAX},
    wire::decide::{Answer, ChoiceProbability, DecisionsAnswer, LevelProbability},
};

pub(super) const NAMES: Names = &[
    &["model", "input", "questions"],
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];
const MESSAGE_NAMES: Names = &[&["role", "content", "type"]];
const QUESTION_NAMES: Names = &[&["type", "name", "instructions", "choices", "levels"]];
const OPTION_NAMES: Names = &[&["value", "label", "description"]];

/// The text and what is asked about it.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<(String, Vec<Question>), ApiError> {
    let input = input(fields.need("input")?)?;
    let sent = fields.need("questions")?;
    let wrong = || {
        let message = format!("'questions' must be a list of 1 to {QUESTIONS_MAX} questions");
        ApiError::value("questions", message)
    };
    let questions = list(sent, QUESTIONS_MAX).ok().filter(|questions| !questions.is_empty());
    let questions = questions.ok_or_else(wrong)?.into_iter().enumerate();
    let questions = questions.map(|(at, sent)| question(sent, &format!("questions[{at}]")));
    Ok((input, questions.collect::<Result<_, _>>()?))
}

/// A string, or messages of the user's, which are one text here.
fn input(sent: &RawValue) -> Result<String, ApiError> {
    let wrong = || {
        let message =
            "'input' must be a string, or a list of messages of the role 'user' with text";
        ApiError::value("input", message)
    };
    let input = match text(sent) {
        Some(input) => input.into_owned(),
        None => {
            let messages = list(sent, PARTS_MAX).map_err(|_| wrong())?.into_iter().enumerate();
            let texts = messages.map(|(at, sent)| {
                let at = format!("input[{at}]");
                let mut message = Fields::of(sent, MESSAGE_NAMES, "").ok_or_else(wrong)?;
                let role = message.take("role").and_then(text);
                if role.is_some_and(|role| role != "user") {
                    return Err(wrong());
                }
                let content = message.take("content").ok_or_else(wrong)?;
                let content = parts::content(content, &format!("{at}.content"))?;
                match content.images.first() {
                    Some(image) => {
                        let message = format!("'{}': decisions are about text", image.at);
                        Err(ApiError::unsupported(&image.at, message))
                    }
                    None => Ok(content.text),
                }
            });
            texts.collect::<Result<Vec<_>, _>>()?.join("\n\n")
        }
    };
    if input.trim().is_empty() { Err(wrong()) } else { Ok(input) }
}

fn question(sent: &RawValue, at: &str) -> Result<Question, ApiError> {
    let wrong = || {
        let message = format!(
            "'{at}' must be like {{\"type\": \"predicate\", \"instructions\": \"...\"}}; the other types are \
             'choice' with 'choices' and 'score' with 'levels'"
        );
        ApiError::value(at, message)
    };
    let mut fields = Fields::of(sent, QUESTION_NAMES, format!("{at}.")).ok_or_else(wrong)?;
    let kind: String = fields.read("type")?.ok_or_else(wrong)?;
    let name = fields.read("name")?;
    let instructions: String =
        fields.read("instructions")?.ok_or_else(|| fields.missing("instructions"))?;
    match kind.as_str() {
        "predicate" => Ok(Question::predicate(name, &instructions, [None, None])),
        "choice" => {
            let options = options(&mut fields, "choices", OPTIONS_MAX)?;
            Question::choice((name, &fields.at("choices")), &instructions, options)
        }
        "score" => {
            let levels = options(&mut fields, "levels", LEVELS_MAX)?;
            let levels = levels.into_iter().map(|(_, described)| described).collect();
            Question::score((name, &fields.at("levels")), &instructions, levels)
        }
        _ => Err(wrong()),
    }
}

/// Choices, each with its `value`, or levels, each with its `label`.
fn options(
    fields: &mut Fields<'_>,
    name: &str,
    max: usize,
) -> Result<Vec<(Value, Described)>, ApiError> {
    let at = fields.at(name);
    let (key, what) = match name {
        "choices" => ("value", "a string or a boolean"),
        _ => ("label", "a string"),
    };
    let wrong = || {
        let message = format!("'{at}' must be a list of up to {max} objects, with '{key}', {what}");
        ApiError::value(&at, message)
    };
    let option = |sent: &RawValue| {
        let mut option = Fields::of(sent, OPTION_NAMES, "")?;
        let value: Value = option.read(key).ok()??;
        let shown = match &value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) if key == "value" => flag.to_string(),
            _ => return None,
        };
        Some((value, (shown, option.read("description").ok()?)))
    };
    let options = list(fields.need(name)?, max).map_err(|_| wrong())?;
    options.into_iter().map(option).collect::<Option<_>>().ok_or_else(wrong)
}

/// The answers in OpenAI's words.
pub(super) fn written(answered: Answered) -> DecisionsAnswer {
    let answers = answered.answers.into_iter();
    let answers = answers.map(|(question, weights)| match weights {
        Some(weights) => answer(question, &weights),
        None => Answer::Refusal { name: question.name },
    });
    let (model, answers) = (answered.model, answers.collect());
    DecisionsAnswer { model, answers, usage: answered.usage.into() }
}

fn answer(Question { name, kind, .. }: Question, weights: &Weights) -> Answer {
    let shares = weights.probabilities.iter().copied();
    match kind {
        Kind::Predicate => Answer::Predicate { name, probability: weights.probabilities[0] },
        Kind::Choice(values) => Answer::Choice {
            name,
            choice: values[weights.best()].clone(),
            probabilities: values
                .into_iter()
                .zip(shares)
                .map(|(value, probability)| ChoiceProbability { value, probability })
                .collect(),
            confidence: weights.confidence(),
        },
        Kind::Score(levels) => Answer::Score {
            name,
            score: weights.expected(),
            probabilities: levels
                .into_iter()
                .zip(shares)
                .enumerate()
                .map(|(value, (label, probability))| LevelProbability { value, label, probability })
                .collect(),
            confidence: weights.confidence(),
        },
    }
}
