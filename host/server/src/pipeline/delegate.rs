//! What the policies of a call ask of experts, on behalf of its caller: whom the caller may ask, with its priority, and at the
//! cost of its tokens. It goes straight to an expert and past all policies, so no circle can come of it. The work belongs to
//! this server's threads, not to those of guests, and ends when nobody waits for it any more.

mod decide;
mod embed;
mod infer;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use signalbox_engine::{Blame, EngineError, Message, Priority, Progress, Prompt, Request};
use signalbox_policy::{
    Answer, AskError, Bill, Decide, Delegate, ExpertView, OnBehalf, Question, Terms, Texts, Weights,
};
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};

use super::{
    ask_cache::AskCache,
    call::{Bounds, Call},
    choose, convert,
    experts::Experts,
    parameters,
};
use crate::{
    caller::Caller,
    otel::{Ask, Asks},
    quota::Charge,
};

/// Asks for the policies of one call.
pub(super) struct ForCaller {
    pub(super) experts: Arc<dyn Experts>,
    pub(super) cache: Arc<AskCache>,
    pub(super) bounds: Arc<Bounds>,
    pub(super) caller: Caller,
    /// The call without its messages, for as long as it is not decided who answers it.
    pub(super) unanswered: Option<Call>,
    /// Where it goes down what was asked.
    pub(super) asks: Asks,
    pub(super) runtime: Handle,
}

impl ForCaller {
    /// As a call carries it.
    pub(super) fn lent(self) -> OnBehalf {
        OnBehalf::of(Arc::new(self))
    }

    fn menu(&self) -> Vec<ExpertView> {
        let mut menu = self.experts.menu();
        menu.retain(|expert| self.caller.may_ask(&expert.id));
        menu
    }

    /// Who is meant, of those whom the caller may ask.
    fn whom(&self, named: Option<String>) -> Result<String, AskError> {
        let menu = self.menu();
        match named {
            Some(id) if menu.iter().any(|expert| expert.id == id) => Ok(id),
            Some(id) => Err(AskError::UnknownExpert(id)),
            None => choose::unrouted(&menu, None, false)
                .map_err(|refusal| AskError::Unavailable(refusal.to_string())),
        }
    }

    /// Refuses where the caller has no tokens left to pay with.
    fn check_quota(&self, aside: bool) -> Result<(), AskError> {
        let tokens = self.caller.account().and_then(|account| account.left().1);
        match tokens.filter(|tokens| tokens.left == 0 && !aside) {
            None => Ok(()),
            Some(tokens) => {
                let most = tokens.most;
                let message =
                    format!("the caller may spend {most} tokens a minute and has spent them");
                Err(AskError::OutOfBudget(message))
            }
        }
    }

    fn asking(&self, what: What<'_>, terms: Terms) -> Asking {
        let Terms { aside, bill, asker, .. } = terms;
        let What { import, operation, named, expert } = what;
        let progress = Progress::default();
        let charge = if aside { None } else { self.caller.charged(&progress) };
        let now = Instant::now();
        let ask = Ask {
            asker,
            import,
            operation,
            asked_for: named.map(str::to_owned),
            expert: expert.to_owned(),
            began: now,
            until: now,
            tokens: (0, 0),
            failed: true,
        };
        // What is only compared is no part of the call.
        let asks = if aside { Asks::default() } else { self.asks.clone() };
        Asking {
            experts: self.experts.clone(),
            scope: self.caller.number(),
            priority: if aside { Priority::Low } else { self.caller.priority() },
            spending: Spending { progress, bill, ask, asks, _charge: charge },
        }
    }

    /// Has `work` done on this server's threads, within its time.
    async fn within<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, AskError>> + Send + 'static,
    ) -> Result<T, AskError> {
        let mut task = Task(self.runtime.spawn(async move { timeout(within, work).await }));
        match (&mut task.0).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => {
                let ms = within.as_millis();
                Err(AskError::OutOfTime(format!("the expert did not answer within {ms} ms")))
            }
            Err(error) => Err(AskError::Unavailable(error.to_string())),
        }
    }
}

#[async_trait]
impl Delegate for ForCaller {
    async fn embed(&self, texts: Texts, terms: Terms) -> Result<Vec<Arc<[f32]>>, AskError> {
        self.embedded(texts, terms).await
    }

    async fn ask(&self, question: Question, terms: Terms) -> Result<Answer, AskError> {
        self.answered(question, terms).await
    }

    async fn decide(&self, about: Decide, terms: Terms) -> Result<Vec<Weights>, AskError> {
        self.decided(about, terms).await
    }

    async fn cached_tokens(&self, call: &Arc<signalbox_policy::Call>, expert: &str) -> Option<u32> {
        let unanswered = self.unanswered.as_ref()?;
        let shown = unanswered.view.parameters.clone();
        let call = Call { view: (**call).clone(), ..unanswered.clone() };
        let call = parameters::applied(call, &shown);
        let prompt = convert::prompt(&call);
        let (experts, expert) = (self.experts.clone(), expert.to_owned());
        let scope = self.caller.number();
        let counting = async move { experts.cached(&expert, scope, prompt).await };
        let mut task = Task(self.runtime.spawn(counting));
        (&mut task.0).await.ok()?.ok()
    }
}

/// Work that is cancelled when nobody waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is asked, and of whom.
struct What<'a> {
    /// The import that it came through.
    import: &'static str,
    /// As traces have it.
    operation: &'static str,
    /// Whom the policy named.
    named: Option<&'a str>,
    expert: &'a str,
}

/// One thing that is asked.
struct Asking {
    experts: Arc<dyn Experts>,
    scope: u64,
    priority: Priority,
    spending: Spending,
}

impl Asking {
    /// A request with nothing but who asks, and what is asked.
    fn request(&self, prompt: impl Into<Prompt>) -> Request {
        Request {
            scope: self.scope,
            priority: self.priority,
            progress: self.spending.progress.clone(),
            ..Request::new(prompt)
        }
    }

    /// Tokens of all texts together.
    async fn count(
        &self,
        expert: &str,
        texts: impl Iterator<Item = &str>,
    ) -> Result<u64, AskError> {
        let mut sum = 0u64;
        for text in texts {
            let count = self.experts.count(expert, text.to_owned()).await;
            sum = sum.saturating_add(u64::from(count.map_err(ask_error)?));
        }
        Ok(sum)
    }
}

/// What is spent on it, for the caller's account, the policy's counters and the call's trace, however it ends.
struct Spending {
    progress: Progress,
    bill: Bill,
    ask: Ask,
    asks: Asks,
    _charge: Option<Charge>,
}

impl Spending {
    /// It came to its end.
    fn answered<T>(mut self, answer: T) -> T {
        self.ask.failed = false;
        answer
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        let (prompt, completion) = self.progress.spent();
        self.bill.add(u64::from(prompt) + u64::from(completion));
        let (until, tokens) = (Instant::now(), (prompt, completion));
        self.asks.ended(Ask { until, tokens, ..self.ask.clone() });
    }
}

/// The conversation, as the engine takes it.
fn turns<'t>(messages: impl IntoIterator<Item = (&'t str, &'t str)>) -> Vec<Message> {
    messages.into_iter().map(|(role, text)| Message::text(role, text)).collect()
}

fn ask_error(error: EngineError) -> AskError {
    match error {
        EngineError::UnknownExpert { expert } => AskError::UnknownExpert(expert),
        error @ EngineError::NoVectors { .. } => AskError::NoEmbeddingExpert(error.to_string()),
        error if error.blame() == Blame::Client => AskError::Invalid(error.to_string()),
        error => AskError::Unavailable(error.to_string()),
    }
}

fn over_budget(needed: u64, left: u64) -> AskError {
    let message = format!(
        "the question has {needed} tokens, and the policy has {left} left; \
         policies.limits.inference_tokens says how many it may have"
    );
    AskError::OutOfBudget(message)
}
