//! What policies may ask of this host: the menu and token counts.

use async_trait::async_trait;
use signalbox_engine::Fleet;
use signalbox_policy::{ExpertView, TokenError, World};

use signalbox_engine::EngineError;

use crate::pipeline::expert_view;

/// The fleet as policies see it.
pub(crate) struct FleetWorld(Fleet);

impl FleetWorld {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self(fleet)
    }
}

#[async_trait]
impl World for FleetWorld {
    fn menu(&self) -> Vec<ExpertView> {
        self.0.menu().into_iter().map(expert_view).collect()
    }

    /// Counting may read a tokenizer from disk, so it leaves the async threads.
    async fn count_tokens(&self, text: String, expert: Option<String>) -> Result<u32, TokenError> {
        let fleet = self.0.clone();
        let counting =
            tokio::task::spawn_blocking(move || fleet.count_tokens(expert.as_deref(), &text));
        match counting.await {
            Ok(Ok(count)) => Ok(count),
            Ok(Err(EngineError::UnknownExpert { expert })) => {
                Err(TokenError::UnknownExpert(expert))
            }
            Ok(Err(error)) => Err(TokenError::Unavailable(error.to_string())),
            Err(error) => Err(TokenError::Unavailable(error.to_string())),
        }
    }
}
