//! `GET /decisions?limit=N`: recent calls, newest first: what was chosen, why, and how it ended. `GET /decisions/{decision}`:
//! one of them.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::input::{Asked, Named};
use crate::{
    App,
    decisions::{Found, Record, Seen},
    error::ApiError,
};

/// Records given when the client does not say.
const LIMIT_DEFAULT: usize = 50;

/// `?limit=N`; as many as are kept at most.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
}

/// Recent calls.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DecisionList")]
pub(super) struct List {
    #[serde(serialize_with = "each")]
    #[schemars(with = "Vec<Record>")]
    decisions: Vec<Arc<Record>>,
}

/// The records are the log's own; only their text is copied.
fn each<S: Serializer>(records: &[Arc<Record>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(records.iter().map(|record| &**record))
}

/// One call.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Decision")]
pub(super) struct One {
    #[serde(serialize_with = "one")]
    #[schemars(with = "Record")]
    decision: Arc<Record>,
    /// What policies saw, where `decision_log.text` is `full`: the call as it came, as it was routed where that was
    /// another, and the experts there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    seen: Option<Box<Seen>>,
}

fn one<S: Serializer>(record: &Arc<Record>, to: S) -> Result<S::Ok, S::Error> {
    record.serialize(to)
}

/// The call that a client read this name of.
pub(super) async fn show(
    State(app): State<App>,
    Named(decision): Named<String>,
) -> Result<Json<One>, ApiError> {
    let decisions = app.pipeline().decisions.clone();
    let finding = tokio::task::spawn_blocking(move || decisions.find(&decision));
    match finding.await.ok().flatten() {
        Some(Found { record: decision, seen }) => Ok(Json(One { decision, seen })),
        None => {
            let message = "no call of this name is kept; 'limits.decisions_kept' and \
                           'decision_log.bytes_max' say how many are";
            Err(ApiError::client(StatusCode::NOT_FOUND, "decision_not_found", message))
        }
    }
}

/// Lists recent calls.
pub(super) async fn list(State(app): State<App>, Asked(page): Asked<Page>) -> Json<List> {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    Json(List { decisions: app.pipeline().decisions.recent(limit) })
}
