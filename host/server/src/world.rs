//! What policies may ask of this host: the menu, token counts, and requests to other hosts.

mod requests;

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use signalbox_engine::Fleet;
use signalbox_policy::{ExpertView, HttpHost, HttpProblem, TokenError, World};
use tokio::runtime::Handle;

use signalbox_engine::EngineError;

use crate::pipeline::expert_view;

/// The fleet as policies see it.
pub(crate) struct FleetWorld {
    fleet: Fleet,
    /// Where requests are sent from: guests have no runtime that could. None where the host is opened outside of one.
    network: Option<Handle>,
}

impl FleetWorld {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet, network: Handle::try_current().ok() }
    }
}

#[async_trait]
impl World for FleetWorld {
    fn menu(&self) -> Vec<ExpertView> {
        self.fleet.menu().into_iter().map(expert_view).collect()
    }

    /// Counting may read a tokenizer from disk, so it leaves the async threads.
    async fn count_tokens(&self, text: String, expert: Option<String>) -> Result<u32, TokenError> {
        let fleet = self.fleet.clone();
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
    async fn send(
        &self,
        to: &HttpHost,
        request: Request<Bytes>,
        bytes_max: u64,
    ) -> Result<Response<Bytes>, HttpProblem> {
        let network = self.network.as_ref().ok_or(HttpProblem::NoNetwork)?;
        requests::send(network, to, request, bytes_max).await
    }
}
