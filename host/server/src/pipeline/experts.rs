//! Those who answer, as the pipeline knows them: a menu, a stream of events for a request, vectors for texts, and
//! what is known of a prompt beforehand. The fleet is one; tests script another.

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use signalbox_engine::{EmbedRequest, Embedded, EngineError, Event, Fleet, Prompt, Request};
use signalbox_policy::ExpertView;
use tokio::task::{JoinError, spawn_blocking};

use super::convert::expert_view;

/// The events of one generation. Dropping it cancels what is still to come.
pub(crate) type Tokens = BoxStream<'static, Event>;

/// Those who answer.
#[async_trait]
pub(crate) trait Experts: Send + Sync {
    /// All of them, in the operator's order.
    fn menu(&self) -> Vec<ExpertView>;

    /// Has `expert` answer.
    ///
    /// # Errors
    /// What is known before generation begins; what goes wrong later is the stream's last event.
    async fn generate(&self, expert: &str, request: Request) -> Result<Tokens, EngineError>;

    /// Has `expert` make vectors of texts.
    ///
    /// # Errors
    /// Everything that keeps any of the texts from becoming a vector.
    async fn embed(&self, expert: &str, request: EmbedRequest) -> Result<Embedded, EngineError>;

    /// Tokens of a text as `expert` counts them.
    ///
    /// # Errors
    /// An unknown expert, or a tokenizer that can't be read.
    async fn count(&self, expert: &str, text: String) -> Result<u32, EngineError>;

    /// Tokens of a prompt that `expert` has computed for earlier calls of this scope.
    ///
    /// # Errors
    /// An unknown expert, or a prompt that it would refuse.
    async fn cached(&self, expert: &str, scope: u64, prompt: Prompt) -> Result<u32, EngineError>;

    /// What stays the same while `expert` says the same of the same; `None` when there is none of this id.
    fn edition(&self, expert: &str) -> Option<(u64, u64)>;
}

#[async_trait]
impl Experts for Fleet {
    fn menu(&self) -> Vec<ExpertView> {
        Fleet::menu(self).into_iter().map(expert_view).collect()
    }

    async fn generate(&self, expert: &str, request: Request) -> Result<Tokens, EngineError> {
        let mut tokens = Fleet::generate(self, expert, request).await?;
        Ok(stream::poll_fn(move |cx| tokens.poll_next(cx)).boxed())
    }

    async fn embed(&self, expert: &str, request: EmbedRequest) -> Result<Embedded, EngineError> {
        Fleet::embed(self, expert, request).await
    }

    /// Counting may read a tokenizer from disk, so it leaves the async threads.
    async fn count(&self, expert: &str, text: String) -> Result<u32, EngineError> {
        let (fleet, id) = (self.clone(), expert.to_owned());
        let counting = spawn_blocking(move || fleet.count_tokens(Some(&id), &text));
        let crashed = |error: JoinError| EngineError::Crashed {
            expert: expert.to_owned(),
            problem: error.to_string(),
        };
        counting.await.map_err(crashed)?
    }

    async fn cached(&self, expert: &str, scope: u64, prompt: Prompt) -> Result<u32, EngineError> {
        self.cached_tokens(expert, scope, prompt).await
    }

    fn edition(&self, expert: &str) -> Option<(u64, u64)> {
        Fleet::edition(self, expert)
    }
}

/// An expert that has begun to answer.
pub(super) struct Opened {
    /// Who it is.
    pub(super) expert: String,
    /// Its first event; never `Failed`.
    pub(super) first: Event,
    /// The rest of the reply.
    pub(super) tokens: Tokens,
}

/// Asks one expert and waits for its first event, so that early failures are still errors.
pub(super) async fn open(
    experts: &dyn Experts,
    expert: &str,
    request: Request,
) -> Result<Opened, EngineError> {
    let mut tokens = experts.generate(expert, request).await?;
    match tokens.next().await {
        Some(Event::Failed(error)) => Err(error),
        Some(first) => Ok(Opened { expert: expert.to_owned(), first, tokens }),
        None => Err(cut_off(expert)),
    }
}

/// A reply that ended without its last event.
pub(super) fn cut_off(expert: &str) -> EngineError {
    EngineError::Crashed {
        expert: expert.to_owned(),
        problem: "its reply ended without an end".to_owned(),
    }
}
