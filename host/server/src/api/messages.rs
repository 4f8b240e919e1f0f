//! Anthropic's `POST /v1/messages`, and `POST /v1/messages/count_tokens`: the same call as a chat, in other words.

mod read;
mod writer;

use axum::{Extension, Json, extract::State, response::Response};

use super::{
    asked::{Asked, Granted},
    fields::Fields,
    input::Admitted,
    sampling,
};
use crate::{
    App, caller::Caller, error::ApiError, pipeline::Refused, request_id::RequestId,
    wire::messages::TokenCount,
};
use writer::Writer;

/// Answers a conversation.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (asked, held) = body.read(&app, read::NAMES, reading(&app, &id, caller)).await?;
    let writer = Writer::new(&id, asked.draft.stops());
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}

/// Counts what a conversation costs. Policies are not asked: nothing is answered.
pub(super) async fn count(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Json<TokenCount>, ApiError> {
    let deadline = app.pipeline().deadline();
    let (asked, held) = body.read(&app, read::NAMES, reading(&app, &id, caller)).await?;
    let _permit = permit.holding(held);
    let late = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    let call = deadline.within(asked.call(&app)).await.map_err(late)??;
    let (expert, prompt) = app.pipeline().addressed(call).map_err(late)?;
    let counting = deadline.within(app.fleet().prompt_tokens(&expert, prompt));
    let counted = counting.await.map_err(late)?;
    let input_tokens = counted.map_err(|error| late(error.into()))?;
    Ok(Json(TokenCount { input_tokens }))
}

fn reading(
    app: &App,
    id: &RequestId,
    caller: Caller,
) -> impl FnOnce(Fields<'_>) -> Result<Asked, ApiError> + Send + 'static {
    let (app, id) = (app.clone(), id.clone());
    move |mut fields: Fields<'_>| {
        let settings = app.settings();
        let (prompt, images) = read::prompt(&mut fields, settings.images.per_call_max)?;
        let (draft, delivery) = sampling::read(&mut fields, (&id, caller), prompt, &settings)?;
        draft.check_unweighed()?;
        delivery.check_single()?;
        Ok(Asked { draft, others: vec![], delivery, images })
    }
}
