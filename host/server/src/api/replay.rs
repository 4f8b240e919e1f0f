//! `POST /policies/{name}/replay`: a component is tried on recorded decisions before anything is uploaded for real.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use signalbox_policy::RecordedCall;

use super::input::{Asked, Named, Upload};
use crate::{
    App,
    bodies::Whole,
    decisions::Seen,
    error::ApiError,
    limits::{REPLAY_BYTES_MAX, REPLAY_CALLS_MAX, REPLAY_S},
    wire::trials::Replay,
};

/// For all calls together.
const WITHIN: Duration = Duration::from_secs(REPLAY_S);

/// `?since_s=3600`; all that is kept where it is absent.
#[derive(Deserialize)]
pub(super) struct Since {
    since_s: Option<u64>,
}

/// Shows recorded calls to a component and to the revision in force. Nothing of it is kept.
pub(super) async fn run(
    State(app): State<App>,
    Named(name): Named<String>,
    Asked(Since { since_s }): Asked<Since>,
    Upload { component: Whole { bytes, held: _held }, signature }: Upload,
) -> Result<Json<Replay>, ApiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = since_s.map_or(Duration::ZERO, |s| now.saturating_sub(Duration::from_secs(s)));
    let decisions = app.pipeline().decisions.clone();
    let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let reading = tokio::task::spawn_blocking(move || {
        decisions.recorded(since_ms, REPLAY_CALLS_MAX, REPLAY_BYTES_MAX)
    });
    let recorded: Vec<_> = reading.await.unwrap_or_default().into_iter().map(call).collect();
    if recorded.is_empty() {
        let message = "no decision of that time has the texts that policies saw, so there is nothing to replay; set \
                       'decision_log.text' to 'full', or ask for a longer time";
        return Err(ApiError::client(StatusCode::CONFLICT, "replay_impossible", message));
    }
    let (bytes, provenance) = (bytes.into(), signature.provenance());
    Ok(Json(app.policies().replay(&name, bytes, provenance, recorded, WITHIN).await?.into()))
}

fn call(seen: Seen) -> RecordedCall {
    RecordedCall { call: seen.call, routed: seen.routed, menu: seen.menu }
}
