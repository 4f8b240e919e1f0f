//! Typed questions that policies ask an expert, answered with probabilities.

use crate::{
    AskError, Asked, Decide, Label,
    bindings::signalbox::policy::{decide, inference},
    store::State,
};

impl State {
    async fn decided(&mut self, about: Decide) -> Result<Vec<decide::Weights>, AskError> {
        let delegate = self.delegate()?;
        let (tokens, within) = self.ask_budget.ask(&self.lent.limits)?;
        let terms = self.terms(tokens, within, Some(self.ask_budget.tokens.clone()));
        let weights = self.waiting(delegate.decide(about, terms)).await?;
        let weights = weights
            .into_iter()
            .map(|of| decide::Weights { probabilities: of.probabilities, mass: of.mass });
        Ok(weights.collect())
    }
}

fn asked(question: decide::Question) -> Result<Asked, inference::Error> {
    match question {
        decide::Question::Predicate(decide::Predicate { instructions, yes, no }) => {
            Ok(Asked::Predicate(instructions, [yes, no]))
        }
        decide::Question::Choice(of) => Ok(Asked::Choice(of.instructions, labels(of.labels))),
        decide::Question::Score(of) => Ok(Asked::Score(of.instructions, labels(of.labels))),
        decide::Question::Other(kind) => {
            Err(inference::Error::Other(format!("the question '{kind}' is not known here")))
        }
    }
}

fn labels(labels: Vec<decide::Label>) -> Vec<Label> {
    labels.into_iter().map(|label| (label.name, label.description)).collect()
}

impl decide::Host for State {
    async fn decide(
        &mut self,
        text: String,
        questions: Vec<decide::Question>,
        expert: Option<String>,
    ) -> wasmtime::Result<Result<Vec<decide::Weights>, inference::Error>> {
        let questions = match questions.into_iter().map(asked).collect() {
            Ok(questions) => questions,
            Err(error) => return Ok(Err(error)),
        };
        let about = Decide { text, questions, expert };
        Ok(self.decided(about).await.map_err(Into::into))
    }
}
