//! `POST /v1/embeddings`, `POST /v1/rerank`, `POST /api/embed` and `POST /api/embeddings`: vectors of texts, and documents
//! ranked by them. The files beside it read and write the dialects; what they have in common is here.

mod ollama;
mod openai;
mod rerank;

use axum::http::HeaderMap;
use signalbox_engine::{Ends, KeepAlive, Progress, Sampling};
use signalbox_policy::Message;

use super::{conversation::unmarked, reply::account};
use crate::{
    App,
    admission::Permit,
    bodies::Held,
    caller::Caller,
    error::ApiError,
    pipeline::{
        Call, Deadline, Form, Pictures, Refusal, Refused, Texts, TokenPrompt, Vectors, Wishes,
    },
    request_id::RequestId,
};
pub(super) use ollama::{embed, embeddings as old_embeddings};
pub(super) use openai::embeddings;
pub(super) use rerank::rerank;

/// What a ranking is called where policies and operators read of it.
const RERANK: &str = "rerank";

/// A text as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Text(String),
    /// Tokens of the expert that is named.
    Tokens(Vec<u32>),
}

/// What a body asks, whatever the dialect.
struct Asked {
    model: Option<String>,
    texts: Vec<Sent>,
    truncate: bool,
    /// How long the expert is to stay in memory behind it.
    keep_alive: Option<KeepAlive>,
    warnings: Vec<String>,
}

/// What came with a call beside its body.
struct Granted {
    id: RequestId,
    caller: Caller,
    permit: Permit,
    held: Held,
    deadline: Deadline,
}

/// The vectors that are asked for, and the headers that account for them.
async fn answer(
    app: &App,
    asked: Asked,
    endpoint: &'static str,
    granted: Granted,
) -> Result<(HeaderMap, Vectors), ApiError> {
    let Granted { id, caller, permit, mut held, deadline } = granted;
    let refused = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    let Asked { model, texts, truncate, keep_alive, .. } = asked;
    let shown = deadline.within(shown(app, &caller, model.as_deref(), texts)).await;
    let (shown, tokens) = shown.flatten().map_err(refused)?;
    let mut call = call(&id, caller, (model, shown), endpoint);
    call.wishes.keep_alive = keep_alive;
    held.shrink(call.text_bytes());
    let _permit = permit.holding(held);
    let texts = Texts { tokens, truncate, operation: endpoint, ranks: endpoint == RERANK };
    let vectors = app.pipeline().embed(call, texts, deadline).await?;
    let Vectors { model, route, reason, decision, .. } = &vectors;
    Ok((account(model, route, reason, decision), vectors))
}

/// The texts as policies see them, and the tokens that were sent for them.
async fn shown(
    app: &App,
    caller: &Caller,
    named: Option<&str>,
    sent: Vec<Sent>,
) -> Result<(Vec<String>, Vec<Option<TokenPrompt>>), Refusal> {
    let (mut texts, mut tokens) = (Vec::with_capacity(sent.len()), Vec::with_capacity(sent.len()));
    for sent in sent {
        match sent {
            Sent::Text(text) => {
                texts.push(unmarked(&text).into_owned());
                tokens.push(None);
            }
            Sent::Tokens(ids) => {
                let named = named.unwrap_or_default();
                let expert = app.pipeline().meant(named).ok_or_else(|| {
                    let known = app.menu(caller).into_iter().map(|expert| expert.id).collect();
                    Refusal::UnknownExpert { asked: named.to_owned(), known }
                })?;
                app.pipeline().allow(caller, &expert)?;
                let text = app.fleet().detokenize(&expert, ids.clone()).await?;
                let text = unmarked(&text).into_owned();
                texts.push(text.clone());
                tokens.push(Some(TokenPrompt { ids, text }));
            }
        }
    }
    Ok((texts, tokens))
}

/// The call as policies see it: a message for each text.
fn call(
    id: &RequestId,
    caller: Caller,
    (model, texts): (Option<String>, Vec<String>),
    endpoint: &str,
) -> Call {
    let message = |(at, content)| Message { role: "user".to_owned(), content, origin: Some(at) };
    let view = signalbox_policy::Call {
        id: id.as_str().to_owned(),
        caller: caller.number(),
        model,
        messages: texts.into_iter().enumerate().map(message).collect(),
        hints: vec![("endpoint".to_owned(), endpoint.to_owned())],
        ..signalbox_policy::Call::default()
    };
    Call {
        view,
        caller,
        pictures: Pictures::default(),
        wishes: Wishes::default(),
        form: Form::Text,
        sampling: Sampling::default(),
        stop: vec![],
        ends: Ends::default(),
        progress: Progress::default(),
    }
}
