//! Experts that policies ask, and what every asking has in common: a budget, a bill, and time that is the host's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{
    AskError, Bill, Delegate, Question, Terms,
    bindings::signalbox::policy::{inference, types},
    store::State,
};

impl From<AskError> for inference::Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::UnknownExpert(id) => Self::UnknownExpert(id),
            AskError::Invalid(why) | AskError::TooLarge(why) | AskError::NoEmbeddingExpert(why) => {
                Self::Invalid(why)
            }
            AskError::OutOfTime(why) => Self::OutOfTime(why),
            AskError::OutOfBudget(why) => Self::OutOfBudget(why),
            AskError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl State {
    /// Who asks for the call that was shown.
    pub(super) fn delegate(&self) -> Result<Arc<dyn Delegate>, AskError> {
        let delegate = self.shown.as_ref().and_then(|call| call.on_behalf.delegate());
        delegate.cloned().ok_or_else(|| {
            let message = "no expert can be asked here: this is a probe, a test or a replay";
            AskError::Unavailable(message.to_owned())
        })
    }

    /// On what terms experts are asked for this instance; tokens are added to `spent`.
    pub(super) fn terms(
        &self,
        tokens: u64,
        within: Duration,
        spent: Option<Arc<AtomicU64>>,
    ) -> Terms {
        let runs = self.shown.as_ref().map(|call| call.runs.clone()).unwrap_or_default();
        let (meters, hook) = (self.gauge.meters.clone(), self.gauge.hook);
        let policy = self.lent.policy.clone();
        let asker = (hook, policy.clone());
        let bill = Bill::new(move |tokens| {
            meters.asked(hook, tokens);
            runs.asked(hook, &policy, tokens);
            if let Some(spent) = spent {
                spent.fetch_add(tokens, Relaxed);
            }
        });
        Terms { tokens, within, aside: self.lent.aside, bill, asker }
    }

    /// Awaits an expert. The time is not the guest's own, but there is so much of it.
    pub(super) async fn waiting<T>(&mut self, asking: impl Future<Output = T>) -> T {
        let since = Instant::now();
        let said = self.turn.own_time.with_host(asking).await;
        self.ask_budget.waited(since.elapsed());
        said
    }

    async fn asked(
        &mut self,
        question: inference::Question,
    ) -> Result<inference::Answer, AskError> {
        let delegate = self.delegate()?;
        let (tokens, left) = self.ask_budget.ask(&self.lent.limits)?;
        let within = left.min(Duration::from_millis(question.time_budget_ms.into()));
        let terms = self.terms(tokens, within, Some(self.ask_budget.tokens.clone()));
        let said = self.waiting(delegate.ask(question.into(), terms)).await?;
        let finish = match said.cut {
            true => types::FinishReason::Length,
            false => types::FinishReason::Stop,
        };
        Ok(inference::Answer {
            text: said.text,
            expert: said.expert,
            finish,
            prompt_tokens: said.prompt_tokens,
            completion_tokens: said.completion_tokens,
        })
    }
}

impl From<inference::Question> for Question {
    fn from(question: inference::Question) -> Self {
        let inference::Question { messages, max_tokens, temperature, expert, .. } = question;
        let messages =
            messages.into_iter().map(|message| (message.role, message.content)).collect();
        Self { messages, max_tokens, temperature, expert }
    }
}

impl inference::Host for State {
    async fn ask(
        &mut self,
        question: inference::Question,
    ) -> wasmtime::Result<Result<inference::Answer, inference::Error>> {
        Ok(self.asked(question).await.map_err(Into::into))
    }
}
