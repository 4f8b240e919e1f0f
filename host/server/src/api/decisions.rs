//! `GET /decisions?limit=N`: recent calls, newest first: what was chosen, why, and how it ended.

use std::sync::Arc;

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::input::Asked;
use crate::{App, decisions::Record};

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

/// Lists recent calls.
pub(super) async fn list(State(app): State<App>, Asked(page): Asked<Page>) -> Json<List> {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    Json(List { decisions: app.pipeline().decisions.recent(limit) })
}
