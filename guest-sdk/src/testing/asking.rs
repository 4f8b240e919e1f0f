//! What experts say to a policy that asks them, in native tests.

use std::rc::Rc;
use std::time::Duration;

use crate::bindings::signalbox::policy::{decide, inference};
use crate::decide::{Label, Question as Decision};
use crate::inference::{Error, Question};
use crate::native::WORLD;

/// Sets how [`embeddings::embed`](crate::embeddings::embed) makes a vector of a text; it is brought to the length 1.
pub fn set_vectors(vector: impl Fn(&str) -> Vec<f32> + 'static) {
    WORLD.with_borrow_mut(|world| world.embedder = Some(Rc::new(vector)));
}

/// Sets what [`inference::ask`](crate::inference::ask) is answered. A token is a word.
pub fn set_answers(answer: impl Fn(&Question) -> Result<String, Error> + 'static) {
    let answer = move |question| answer(&asked(question)).map_err(refused);
    WORLD.with_borrow_mut(|world| world.answerer = Some(Rc::new(answer)));
}

/// Sets what the labels of a question weigh that [`decide::decide`](crate::decide::decide) asks about a text: how likely each
/// is, 1 or less together.
pub fn set_weights(weights: impl Fn(&str, &Decision) -> Vec<f64> + 'static) {
    let weights = move |text: &str, question| weights(text, &decision(question));
    WORLD.with_borrow_mut(|world| world.decider = Some(Rc::new(weights)));
}

fn asked(question: inference::Question) -> Question {
    Question {
        messages: question.messages.into_iter().map(Into::into).collect(),
        max_tokens: question.max_tokens,
        temperature: question.temperature,
        within: Duration::from_millis(question.time_budget_ms.into()),
        expert: question.expert,
    }
}

fn decision(question: decide::Question) -> Decision {
    let labels = |labels: Vec<decide::Label>| {
        let label =
            |label: decide::Label| Label { name: label.name, description: label.description };
        labels.into_iter().map(label).collect()
    };
    match question {
        decide::Question::Predicate(of) => Decision::Predicate(of.instructions),
        decide::Question::Choice(of) => Decision::Choice(of.instructions, labels(of.labels)),
        decide::Question::Score(of) => Decision::Score(of.instructions, labels(of.labels)),
        decide::Question::Other(kind) => Decision::Predicate(kind), // the SDK asks nothing like that
    }
}

fn refused(error: Error) -> inference::Error {
    match error {
        Error::UnknownExpert(id) => inference::Error::UnknownExpert(id),
        Error::Invalid(why) => inference::Error::Invalid(why),
        Error::OutOfTime(why) => inference::Error::OutOfTime(why),
        Error::OutOfBudget(why) => inference::Error::OutOfBudget(why),
        Error::Unavailable(why) => inference::Error::Unavailable(why),
        Error::Other(why) => inference::Error::Other(why),
    }
}
