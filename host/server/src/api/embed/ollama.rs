//! Ollama's `POST /api/embed`, and `POST /api/embeddings`, which is older. Without a text they load the expert.

use std::time::{Duration, Instant};

use axum::{Extension, Json, extract::State, http::HeaderMap};
use serde_json::value::RawValue;
use signalbox_engine::KeepAlive;

use super::{
    super::{
        fields::{Fields, Names, list, text},
        input::Admitted,
        ollama::{keep_alive, models},
        sampling,
    },
    Asked, Granted, Sent, answer,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    limits::TEXTS_MAX,
    pipeline::{Refusal, Refused, Vectors},
    request_id::RequestId,
    wire::embeddings::{EmbedAnswer, OldEmbedAnswer},
};

/// What else Ollama reads is for its own runners and changes no vector.
const NAMES: Names = &[&["model", "name", "input", "prompt", "truncate", "options", "keep_alive"]];

/// Makes vectors of texts.
pub(in crate::api) async fn embed(
    state: State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<(HeaderMap, Json<EmbedAnswer>), ApiError> {
    let began = Instant::now();
    let (named, headers, made) = vectors(state, (id, caller), admitted, "input").await?;
    let total_duration = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let (embeddings, prompt_eval_count) =
        made.map_or_else(Default::default, |made| (made.vectors, made.usage.prompt_tokens));
    let answer = EmbedAnswer { model: named, embeddings, total_duration, prompt_eval_count };
    Ok((headers, Json(answer)))
}

/// Makes the vector of one text.
pub(in crate::api) async fn embeddings(
    state: State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<(HeaderMap, Json<OldEmbedAnswer>), ApiError> {
    let (_, headers, made) = vectors(state, (id, caller), admitted, "prompt").await?;
    let embedding = made.and_then(|made| made.vectors.into_iter().next()).unwrap_or_default();
    Ok((headers, Json(OldEmbedAnswer { embedding })))
}

/// The name that was sent, and the vectors of the texts in a field; `None` where there are none.
async fn vectors(
    State(app): State<App>,
    (id, caller): (RequestId, Caller),
    Admitted { body, permit }: Admitted,
    field: &'static str,
) -> Result<(String, HeaderMap, Option<Vectors>), ApiError> {
    let deadline = app.pipeline().deadline();
    let (mut asked, held) = body.read(&app, NAMES, move |fields| read(fields, field)).await?;
    let named = asked.model.clone().unwrap_or_default();
    let refused = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    if let Some(named) = &asked.model {
        asked.model = Some(models::find(&app, &caller, named).map_err(refused)?.id);
    }
    if !asked.texts.is_empty() {
        let granted = Granted { id, caller, permit, held, deadline };
        let (headers, made) = answer(&app, asked, "embeddings", granted).await?;
        return Ok((named, headers, Some(made)));
    }
    if let Some(expert) = &asked.model {
        let failed = |error| refused(Refusal::Engine(error));
        if asked.keep_alive != Some(KeepAlive::For(Duration::ZERO)) {
            let loading = deadline.within(app.fleet().warm(expert)).await.map_err(refused)?;
            loading.map_err(failed)?;
        }
        app.fleet().keep(expert, asked.keep_alive).map_err(failed)?;
    }
    Ok((named, HeaderMap::new(), None))
}

fn read(mut fields: Fields<'_>, field: &'static str) -> Result<Asked, ApiError> {
    let texts = fields.take(field).map_or(Ok(vec![]), |sent| texts(sent, field))?;
    let truncate = fields.read("truncate")?.unwrap_or(true);
    let name: Option<String> = fields.read("name")?;
    let model = sampling::model(&mut fields)?.or(name).filter(|name| !sampling::is_auto(name));
    let keep_alive = keep_alive(&mut fields)?;
    Ok(Asked { model, texts, truncate, keep_alive, warnings: vec![] })
}

/// A string, or where several are allowed a list of strings; an empty string alone is none.
fn texts(sent: &RawValue, field: &str) -> Result<Vec<Sent>, ApiError> {
    let wrong = || {
        let message = match field {
            "input" => format!("'input' must be a string, or a list of up to {TEXTS_MAX} strings"),
            _ => format!("'{field}' must be a string"),
        };
        ApiError::value(field, message)
    };
    if let Some(text) = text(sent) {
        let text = Some(text).filter(|text| !text.is_empty());
        return Ok(text.map(|text| Sent::Text(text.into_owned())).into_iter().collect());
    }
    if field != "input" {
        return Err(wrong());
    }
    let items = list(sent, TEXTS_MAX).map_err(|_| wrong())?;
    let texts = items.into_iter().map(|item| Some(Sent::Text(text(item)?.into_owned())));
    texts.collect::<Option<_>>().ok_or_else(wrong)
}
