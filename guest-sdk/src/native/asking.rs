//! Experts in native tests: they do what a test has set up, and can't be asked where it has set up nothing.

use super::WORLD;
use crate::bindings::signalbox::policy::{decide as questions, embeddings, inference, types};

const NOBODY: &str = "no expert can be asked here: the test has set up none";

pub(crate) fn embed(
    texts: &[String],
    _words_of: &embeddings::Owner,
    _expert: Option<&str>,
) -> Result<Vec<Vec<f32>>, embeddings::Error> {
    let embedder = WORLD.with_borrow(|world| world.embedder.clone());
    let embedder = embedder.ok_or_else(|| embeddings::Error::Unavailable(NOBODY.to_owned()))?;
    let unit = |vector: Vec<f32>| {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.into_iter().map(|x| x / length).collect()
    };
    Ok(texts.iter().map(|text| unit(embedder(text))).collect())
}

pub(crate) fn ask(question: &inference::Question) -> Result<inference::Answer, inference::Error> {
    let answerer = WORLD.with_borrow(|world| world.answerer.clone());
    let answerer = answerer.ok_or_else(|| inference::Error::Unavailable(NOBODY.to_owned()))?;
    let text = answerer(question.clone())?;
    let words = |text: &str| u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
    Ok(inference::Answer {
        expert: question.expert.clone().unwrap_or_else(|| "expert".to_owned()),
        finish: types::FinishReason::Stop,
        prompt_tokens: question.messages.iter().map(|message| words(&message.content)).sum(),
        completion_tokens: words(&text),
        text,
    })
}

pub(crate) fn decide(
    text: &str,
    questions: &[questions::Question],
    _expert: Option<&str>,
) -> Result<Vec<questions::Weights>, inference::Error> {
    let decider = WORLD.with_borrow(|world| world.decider.clone());
    let decider = decider.ok_or_else(|| inference::Error::Unavailable(NOBODY.to_owned()))?;
    let weigh = |question: &questions::Question| {
        let weights = decider(text, question.clone());
        let mass: f64 = weights.iter().sum();
        let probabilities = weights.iter().map(|weight| weight / mass).collect();
        questions::Weights { probabilities, mass: mass.min(1.0) }
    };
    Ok(questions.iter().map(weigh).collect())
}
