//! `GET /decisions?limit=N`: recent calls, newest first: what was chosen, why, and how it ended. `GET /decisions/{decision}`:
//! one of them. `POST /decisions/{decision}/feedback`, for clients: what they think of a reply.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use signalbox_policy::Rating;

use super::{
    fields::Fields,
    input::{Asked, Named, Remark},
};
use crate::{
    App,
    caller::Caller,
    decisions::{Found, Record, Seen, Unrated},
    error::ApiError,
    limits::RATING_NOTE_BYTES_MAX,
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

/// What the caller of a call thinks of its reply.
pub(super) async fn rate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Named(decision): Named<String>,
    Remark(body): Remark,
) -> Result<StatusCode, ApiError> {
    let (rating, _) = body.read(&app, &[&["rating", "note"]], rating).await?;
    match app.pipeline().decisions.rate(&decision, &caller, rating) {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(Unrated::Unknown) => {
            let message = "no call of yours that has ended is remembered under this name; rate a reply soon after it \
                           has ended, with the key that the call came with";
            Err(ApiError::client(StatusCode::NOT_FOUND, "decision_not_found", message))
        }
        Err(Unrated::Already) => {
            let message = "this reply was rated already; a rating stays as it is";
            Err(ApiError::client(StatusCode::CONFLICT, "decision_rated", message))
        }
    }
}

fn rating(mut fields: Fields<'_>) -> Result<Rating, ApiError> {
    let value: f32 = fields.read("rating")?.ok_or_else(|| fields.missing("rating"))?;
    if !(-1.0..=1.0).contains(&value) {
        let message = format!("'rating' is {value}; send a number from -1 (bad) to 1 (good)");
        return Err(ApiError::value("rating", message));
    }
    let note: Option<String> = fields.read("note")?;
    let bytes = note.as_ref().map_or(0, String::len);
    if bytes > RATING_NOTE_BYTES_MAX {
        let message = format!("'note' has {bytes} bytes and may have {RATING_NOTE_BYTES_MAX}");
        return Err(ApiError::value("note", message));
    }
    Ok(Rating { value, note })
}
