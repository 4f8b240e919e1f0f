//! OpenAI's `POST /v1/responses`: a conversation in items, which may follow one that is kept here; and what is kept, by
//! its id.

pub(super) mod items;
mod read;
mod writer;

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{
    asked::{Asked, Granted},
    fields::Fields,
    input::{Admitted, Named},
    sampling,
};
use crate::{
    App, caller::Caller, error::ApiError, request_id::RequestId, wire::responses::ResponseDeleted,
};
use read::Echo;
use writer::{Keeping, Writer};

/// What was read of a body.
struct Read {
    asked: Asked,
    echo: Echo,
    /// The conversation that this one follows, and the items that came now.
    history: (Option<Arc<str>>, String),
}

/// Answers a conversation.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (all, name, owner) = (app.clone(), id.clone(), caller.clone());
    let reading = move |mut fields: Fields<'_>| {
        let settings = all.settings();
        let echo = read::echo(&mut fields)?;
        let followed = match &echo.previous {
            None => None,
            Some(previous) => {
                let kept = all.responses().history(previous, &owner);
                Some(kept.ok_or_else(|| unknown(previous).at("previous_response_id"))?)
            }
        };
        let limits = (settings.images.per_call_max, settings.limits.body_bytes_max);
        let (prompt, images, items) =
            read::prompt(&mut fields, &echo, followed.as_deref(), limits)?;
        let (draft, delivery) = sampling::read(&mut fields, (&name, owner), prompt, &settings)?;
        delivery.check_single()?;
        let asked = Asked { draft, others: vec![], delivery, images };
        Ok(Read { asked, echo, history: (followed, items) })
    };
    let (read, mut held) = body.read(&app, read::NAMES, reading).await?;
    let Read { asked, echo, history } = read;
    held.hold_also(history.0.as_ref().map_or(0, |followed| followed.len())).await?;
    let keeping = echo.store.then(|| Keeping { store: app.responses().clone(), caller, history });
    let writer = Writer::new(echo, keeping);
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}

/// One that is kept.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Response, ApiError> {
    let answer = app.responses().answer(&id, &caller).ok_or_else(|| unknown(&id))?;
    Ok(([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response())
}

/// Forgets one.
pub(super) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<ResponseDeleted>, ApiError> {
    match app.responses().delete(&id, &caller) {
        true => Ok(Json(ResponseDeleted { id, object: "response".into(), deleted: true })),
        false => Err(unknown(&id)),
    }
}

fn unknown(id: &str) -> ApiError {
    let message = format!(
        "there is no response '{id}' of yours; it may have given way to newer ones, so send the conversation again"
    );
    ApiError::client(StatusCode::NOT_FOUND, "response_not_found", message)
}
