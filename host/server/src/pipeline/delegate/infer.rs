//! An expert's whole answer to a question of a policy's.

use futures_util::StreamExt;
use signalbox_engine::{Event, Finish, Request, Sampling};
use signalbox_policy::{Answer, AskError, Question, Terms};

use super::{Asking, ForCaller, What, ask_error, over_budget, turns};
use crate::pipeline::experts::{Opened, cut_off, open};

/// Roles of a conversation.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

impl ForCaller {
    pub(super) async fn answered(
        &self,
        question: Question,
        terms: Terms,
    ) -> Result<Answer, AskError> {
        check(&question)?;
        self.check_quota(terms.aside)?;
        let expert = self.whom(question.expert.clone())?;
        let (tokens, within, most) = (terms.tokens, terms.within, self.bounds.tokens_max);
        let (import, operation, named) = ("inference", "chat", question.expert.as_deref());
        let asking = self.asking(What { import, operation, named, expert: &expert }, terms);
        let question = Question { max_tokens: question.max_tokens.min(most), ..question };
        self.within(within, asking.answer(expert, question, tokens)).await
    }
}

impl Asking {
    /// What the prompt takes is known before it is computed, but for what the chat template puts around the messages.
    async fn answer(
        self,
        expert: String,
        question: Question,
        tokens: u64,
    ) -> Result<Answer, AskError> {
        let texts = question.messages.iter().map(|(_, text)| text.as_str());
        let prompt = self.count(&expert, texts).await?;
        let left = tokens.saturating_sub(prompt);
        if left == 0 {
            return Err(over_budget(prompt, tokens));
        }
        let messages = question.messages.iter().map(|(role, text)| (role.as_str(), text.as_str()));
        let most = u64::from(question.max_tokens).min(left);
        let request = Request {
            sampling: Sampling { temperature: question.temperature, ..Sampling::default() },
            max_tokens: u32::try_from(most).ok(),
            ..self.request(turns(messages))
        };
        let Opened { first, mut tokens, expert } =
            open(&*self.experts, &expert, request).await.map_err(ask_error)?;
        let (mut text, mut next) = (String::new(), Some(first));
        while let Some(event) = next {
            match event {
                Event::Text(more) => text.push_str(&more),
                Event::Logprobs(_) | Event::Weighed(_) => {} // nobody asked for them
                Event::Failed(error) => return Err(ask_error(error)),
                Event::Finished { reason, usage, .. } => {
                    let cut = reason == Finish::Length;
                    let (prompt_tokens, completion_tokens) =
                        (usage.prompt_tokens, usage.completion_tokens);
                    let answer = Answer { text, expert, cut, prompt_tokens, completion_tokens };
                    return Ok(self.spending.answered(answer));
                }
            }
            next = tokens.next().await;
        }
        Err(ask_error(cut_off(&expert)))
    }
}

/// What no expert could be asked.
fn check(question: &Question) -> Result<(), AskError> {
    let invalid = |message: String| Err(AskError::Invalid(message));
    if question.messages.is_empty() {
        return invalid("the question has no messages".to_owned());
    }
    let strange = question.messages.iter().find(|(role, _)| !ROLES.contains(&role.as_str()));
    if let Some((role, _)) = strange {
        return invalid(format!("a message has the role '{role}'; it can be {}", ROLES.join(", ")));
    }
    if question.max_tokens == 0 {
        return invalid("the answer may have 0 tokens; let it have 1 or more".to_owned());
    }
    match question.temperature.filter(|temperature| !(0.0..=2.0).contains(temperature)) {
        Some(temperature) => invalid(format!("the temperature is {temperature}, not 0 to 2")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_make_no_sense_are_refused_before_anybody_is_asked() {
        let plain = || Question {
            messages: vec![("user".to_owned(), "Hello".to_owned())],
            max_tokens: 5,
            temperature: Some(0.0),
            expert: None,
        };
        assert_eq!(check(&plain()), Ok(()));
        let refused = |question: Question, words: &str| {
            let error = check(&question).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(Question { messages: vec![], ..plain() }, "no messages");
        let robot = vec![("robot".to_owned(), String::new())];
        refused(Question { messages: robot, ..plain() }, "the role 'robot'");
        refused(Question { max_tokens: 0, ..plain() }, "0 tokens");
        refused(Question { temperature: Some(f32::NAN), ..plain() }, "NaN");
        refused(Question { temperature: Some(2.5), ..plain() }, "2.5");
    }
}
