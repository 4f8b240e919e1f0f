//! All experts of one process: which are in memory, which come and which go.
//!
//! One lock guards the bookkeeping of residency and is held for moments only. Whatever takes time
//! happens elsewhere: loading on a thread per load, answering on a thread per expert, reading
//! tokenizers and rendering prompts on the runtime's blocking threads.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use signalbox_confine::{Bounded, Limit};

use crate::{
    EmbedRequest, Embedded, EngineError, FleetSettings, KeepAlive, Prompt, Request, Templates,
    TokenStream,
};

mod backoff;
mod cached;
mod call;
mod embedding;
mod habits;
mod handle;
mod loading;
mod member;
mod prefetch;
mod reload;
mod residency;
mod roster;
mod shared;
mod status;
mod stay;
mod unloading;
mod words;

use handle::Handle;
use member::Member;
pub use reload::{FleetChange, FleetPlan, Unfit};
use shared::Shared;
pub use status::{ExpertState, ExpertStatus, Loading, MemoryStatus, Prefetches};

/// The experts of this process. Cheap to clone; all clones are one fleet. When the last clone is
/// dropped, replies in flight are finished and the experts end.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

impl Fleet {
    /// Inspects every expert and begins to load the warm pool on background threads.
    ///
    /// Never fails: an expert whose files are no good is listed as [`ExpertState::Failed`]. Of
    /// experts with the same id the first counts.
    pub fn start(settings: FleetSettings) -> Self {
        let shared = Arc::new(Shared::new(settings));
        loading::warm_up(&shared);
        unloading::watch_idle(&shared);
        Self(shared)
    }

    /// Resolves when every expert of the warm pool is loaded or has failed.
    pub async fn warmed(&self) {
        // An error would mean that the sender, which lives in `self`, is gone.
        let _ = self.0.warmed.subscribe().wait_for(|warmed| *warmed).await;
    }

    /// Every expert, in the operator's order.
    pub fn menu(&self) -> Vec<ExpertStatus> {
        let roster = self.0.roster.load_full();
        roster.iter().map(|member| self.handle(member.clone()).status()).collect()
    }

    /// One expert; `None` when there is none of this id.
    pub fn status(&self, id: &str) -> Option<ExpertStatus> {
        self.find(id).ok().map(|expert| expert.status())
    }

    /// Asks an expert, loading it first when it is cold. Needs a tokio runtime.
    ///
    /// # Errors
    /// Everything that is known before the first token: an unknown expert, values out of bounds, a
    /// template that refuses, a prompt that does not fit, a full queue, files that can't be loaded.
    pub async fn generate(&self, id: &str, request: Request) -> Result<TokenStream, EngineError> {
        let (expert, ticket) = self.enter(id, request.priority, request.keep_alive)?;
        expert.answer(ticket, request).await
    }

    /// Has an expert make vectors of texts, loading it first when it is cold. Needs a tokio runtime; dropping the
    /// future cancels what is still to come.
    ///
    /// # Errors
    /// An unknown expert or one that makes no vectors, a text that does not fit, a full queue, files that can't be
    /// loaded.
    pub async fn embed(&self, id: &str, request: EmbedRequest) -> Result<Embedded, EngineError> {
        let (expert, ticket) = self.enter(id, request.priority, request.keep_alive)?;
        expert.embed(ticket, request).await
    }

    /// What stays the same while an expert says the same of the same: which one it is, and the load that its weights came
    /// with. `None` when there is none of this id.
    pub fn edition(&self, id: &str) -> Option<(u64, u64)> {
        let expert = self.find(id).ok()?;
        Some((expert.member().place().serial(), expert.with_slot(|slot| slot.loads)))
    }

    /// How many tokens of a prompt an expert has computed for earlier calls of this scope, and need not compute again, as
    /// things are; 0 when it is not in memory. Needs a tokio runtime.
    ///
    /// # Errors
    /// An unknown expert, or a prompt that it would refuse.
    pub async fn cached_tokens(
        &self,
        id: &str,
        scope: u64,
        prompt: Prompt,
    ) -> Result<u32, EngineError> {
        self.find(id)?.cached_tokens(scope, prompt).await
    }

    /// Counts the tokens of a text with an expert's tokenizer; `None` asks the expert of highest
    /// priority. Blocks while the tokenizer is read the first time; needs no weights.
    ///
    /// # Errors
    /// An unknown expert, or a tokenizer that can't be read.
    pub fn count_tokens(&self, id: Option<&str>, text: &str) -> Result<u32, EngineError> {
        let expert = match id {
            Some(id) => self.find(id)?,
            None => self.handle(self.0.default_expert()?),
        };
        let count = expert.tokenizer()?.count(text);
        count
            .map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
            .map_err(|message| EngineError::InvalidRequest { message })
    }

    /// Loads an expert, or waits for the load that is under way. One that failed is inspected
    /// again, so that it can be mended without a restart.
    ///
    /// # Errors
    /// An unknown expert, no memory, files that can't be loaded.
    pub async fn load(&self, id: &str) -> Result<(), EngineError> {
        let expert = self.find(id)?;
        expert.reset_failure();
        expert.resident(None).await.map(|_| ())
    }

    /// Loads an expert as a call would that asks for it: one that failed stays failed.
    ///
    /// # Errors
    /// An unknown expert, no memory, files that can't be loaded.
    pub async fn warm(&self, id: &str) -> Result<(), EngineError> {
        self.find(id)?.resident(None).await.map(|_| ())
    }

    /// Has an expert stay in memory for as long as a call that ends now would.
    ///
    /// # Errors
    /// An unknown expert.
    pub fn keep(&self, id: &str, asked: Option<KeepAlive>) -> Result<(), EngineError> {
        self.find(id)?.call_ended(asked, |_| {});
        Ok(())
    }

    /// Unloads an expert and frees its memory, pinned or not; a cold one stays cold.
    ///
    /// # Errors
    /// [`EngineError::Busy`] while it loads or answers.
    pub async fn unload(&self, id: &str) -> Result<(), EngineError> {
        self.find(id)?.unload().await
    }

    /// Protects an expert from being unloaded to make room or for idleness, or ends the protection.
    ///
    /// # Errors
    /// An unknown expert.
    pub fn pin(&self, id: &str, pinned: bool) -> Result<(), EngineError> {
        self.find(id)?.with_slot(|slot| slot.pinned = pinned);
        self.0.notify();
        Ok(())
    }

    /// When the first of all replies under way may end, as measured; `None` while nothing was.
    pub fn next_place(&self) -> Option<Duration> {
        let roster = self.0.roster.load();
        let busy = roster.iter().map(|member| &member.counters).filter_map(|counters| {
            let running = counters.running.load(Relaxed);
            (running > 0).then(|| counters.between_ends(running)).flatten()
        });
        busy.min()
    }

    /// What bounds all experts. Templates that are rendered in this process are not bounded.
    pub fn limits(&self) -> Vec<(&'static Limit, u64)> {
        let templates = match self.0.templates {
            Templates::Child { limits, .. } => limits.table(),
            Templates::InProcess => Vec::new(),
        };
        [self.0.tuning.load().limits.table(), templates].concat()
    }

    /// What came of loading experts ahead of the calls for them.
    pub fn prefetches(&self) -> Prefetches {
        let residency = self.0.residency();
        Prefetches { hits: residency.foresight.hits, wastes: residency.foresight.wastes }
    }

    /// The memory budget and what is reserved of it.
    pub fn memory(&self) -> MemoryStatus {
        let residency = self.0.residency();
        MemoryStatus { max_bytes: residency.bytes_max, reserved_bytes: residency.reserved() }
    }

    /// Takes no new calls, waits up to `within` for running replies, cancels the rest with
    /// [`EngineError::ShuttingDown`], and unloads all. A load under way is not waited for: what it
    /// loads is dropped when it is done.
    pub async fn shutdown(&self, within: Duration) {
        self.0.residency().closing = true;
        self.0.notify();
        let mut changed = self.0.changed.subscribe();
        let answered =
            async { while self.0.residency().calls() > 0 && changed.changed().await.is_ok() {} };
        // Running out of time is not an error here: what still runs is cancelled next.
        let _ = tokio::time::timeout(within, answered).await;
        unloading::unload_all(&self.0).await;
    }

    fn find(&self, id: &str) -> Result<Handle, EngineError> {
        self.0.find(id).map(|member| self.handle(member))
    }

    fn handle(&self, member: Arc<Member>) -> Handle {
        Handle::new(&self.0, member)
    }
}
