//! Ollama's `POST /api/generate` and `POST /api/chat`. Without anything to answer they load an expert, as its
//! clients ask for ahead of time.

pub(super) mod models;
mod read;
mod writer;

use std::time::Duration;

use axum::{Extension, Json, extract::State, response::IntoResponse, response::Response};
use signalbox_engine::KeepAlive;

use super::{
    asked::{Asked, Granted},
    fields::{Fields, Names, text},
    input::Admitted,
    sampling,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Deadline, Refusal, Refused},
    request_id::RequestId,
};
use writer::{Endpoint, Writer};

/// What is read of a body: what it asks for, or only whom.
enum Read {
    Call(Box<Asked>),
    Load { model: Option<String>, keep_alive: Option<KeepAlive> },
}

/// Reads what an endpoint is asked.
type Reader = fn(&mut Fields<'_>, usize) -> Result<read::Prompted, ApiError>;

/// Answers a prompt.
pub(super) async fn generate(
    state: State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<Response, ApiError> {
    answer(state, (id, caller), admitted, Endpoint::Generate).await
}

/// Answers a conversation.
pub(super) async fn chat(
    state: State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<Response, ApiError> {
    answer(state, (id, caller), admitted, Endpoint::Chat).await
}

async fn answer(
    State(app): State<App>,
    (id, caller): (RequestId, Caller),
    Admitted { body, permit }: Admitted,
    endpoint: Endpoint,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (names, reader): (Names, Reader) = match endpoint {
        Endpoint::Generate => (read::GENERATE, read::generate),
        Endpoint::Chat => (read::CHAT, read::chat),
    };
    let (settings, name, sender) = (app.clone(), id.clone(), caller.clone());
    let reading = move |mut fields: Fields<'_>| {
        let settings = settings.settings();
        read::options(&mut fields)?;
        let keep_alive = keep_alive(&mut fields)?;
        let Some((mut prompt, images)) = reader(&mut fields, settings.images.per_call_max)? else {
            return Ok(Read::Load { model: sampling::model(&mut fields)?, keep_alive });
        };
        prompt.wishes.keep_alive = keep_alive;
        let read = sampling::read(&mut fields, (&name, sender), prompt, &settings);
        let (draft, delivery) = read?;
        delivery.check_single()?;
        Ok(Read::Call(Box::new(Asked { draft, others: vec![], delivery, images })))
    };
    let (read, held) = body.read(&app, names, reading).await?;
    match read {
        Read::Load { model, keep_alive } => {
            load(&app, (&id, &caller), deadline, endpoint, (model, keep_alive)).await
        }
        Read::Call(mut asked) => {
            let named = asked.draft.model().map(str::to_owned);
            if named.is_some_and(|named| app.pipeline().meant(&named).is_none()) {
                let menu = app.fleet().menu();
                asked.draft.complete_name(menu.iter().map(|expert| expert.id.as_str()));
            }
            let writer = Writer::new(endpoint, asked.draft.model());
            asked.answer(app, Granted { permit, held, deadline, id }, writer).await
        }
    }
}

/// How long the expert is to stay in memory behind the call, which the operator's bounds hold for.
pub(super) fn keep_alive(fields: &mut Fields<'_>) -> Result<Option<KeepAlive>, ApiError> {
    let Some(sent) = fields.take("keep_alive") else { return Ok(None) };
    let said = text(sent).unwrap_or(sent.get().into());
    let wrong = |problem| ApiError::value("keep_alive", format!("'keep_alive' {problem}"));
    said.parse().map(Some).map_err(wrong)
}

/// Has an expert in memory, as its next call would have, or lets go of it where it is to stay for no time.
async fn load(
    app: &App,
    (id, caller): (&RequestId, &Caller),
    deadline: Deadline,
    endpoint: Endpoint,
    (model, keep_alive): (Option<String>, Option<KeepAlive>),
) -> Result<Response, ApiError> {
    let refused = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    let failed = |error| refused(Refusal::Engine(error));
    let stays = keep_alive != Some(KeepAlive::For(Duration::ZERO));
    if let Some(named) = &model {
        let expert = models::find(app, caller, named).map_err(refused)?.id;
        if stays {
            let loading = deadline.within(app.fleet().warm(&expert)).await.map_err(refused)?;
            loading.map_err(failed)?;
        }
        app.fleet().keep(&expert, keep_alive).map_err(failed)?;
    }
    let loaded = stays && model.is_some();
    Ok(Json(writer::without_reply(endpoint, model, loaded)).into_response())
}
