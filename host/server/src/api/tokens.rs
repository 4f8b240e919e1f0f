//! `POST /tokenize` and `POST /detokenize`: what an expert's vocabulary makes of a text. Nothing is answered, so no policy
//! is asked.

use std::borrow::Cow;

use axum::{Extension, Json, extract::State};

use super::{
    fields::{Fields, Names, text},
    input::Admitted,
    sampling,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Deadline, Refused},
    request_id::RequestId,
    wire::tokens::{DetokenizeAnswer, Piece, Token, TokenizeAnswer},
};

const TOKENIZE: Names = &[
    &["model", "prompt", "content", "add_special_tokens", "add_special", "return_token_strs"],
    &["with_pieces", "parse_special"],
];
const DETOKENIZE: Names = &[&["model", "tokens"]];

/// A text, and how its tokens are told.
struct Asked {
    model: Option<String>,
    text: String,
    begun: bool,
    strings: bool,
    pieces: bool,
}

/// The tokens of a text.
pub(super) async fn tokenize(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit: _permit }: Admitted,
) -> Result<Json<TokenizeAnswer>, ApiError> {
    let deadline = app.pipeline().deadline();
    let (asked, _held) = body.read(&app, TOKENIZE, read).await?;
    let Asked { model, text, begun, strings, pieces } = asked;
    let expert = expert(&app, (&id, &caller), model.as_deref())?;
    let reading = app.fleet().tokenize(&expert, text, begun);
    let tokens = within(deadline, &id, reading).await?;
    let strings = strings.then(|| {
        tokens.iter().map(|(_, piece)| String::from_utf8_lossy(piece).into_owned()).collect()
    });
    let known = app.fleet().status(&expert);
    let told = |(id, piece): (u32, Vec<u8>)| match pieces {
        false => Token::Id(id),
        true => Token::Piece { id, piece: told(piece) },
    };
    Ok(Json(TokenizeAnswer {
        count: tokens.len(),
        max_model_len: known.map_or(0, |expert| expert.context_length),
        token_strs: strings,
        tokens: tokens.into_iter().map(told).collect(),
    }))
}

/// The text of tokens.
pub(super) async fn detokenize(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit: _permit }: Admitted,
) -> Result<Json<DetokenizeAnswer>, ApiError> {
    let deadline = app.pipeline().deadline();
    let reading = |mut fields: Fields<'_>| {
        let model = sampling::model(&mut fields)?;
        let ids: Option<Vec<u32>> = fields.read("tokens")?;
        Ok((model, ids.ok_or_else(|| fields.missing("tokens"))?))
    };
    let ((model, ids), _held) = body.read(&app, DETOKENIZE, reading).await?;
    let expert = expert(&app, (&id, &caller), model.as_deref())?;
    let prompt = within(deadline, &id, app.fleet().detokenize(&expert, ids)).await?;
    Ok(Json(DetokenizeAnswer { content: prompt.clone(), prompt }))
}

fn read(mut fields: Fields<'_>) -> Result<Asked, ApiError> {
    let (prompt, content) = (fields.take("prompt"), fields.take("content"));
    let sent = prompt.or(content).ok_or_else(|| fields.missing("prompt"))?;
    let wrong = || ApiError::value("prompt", "'prompt', or 'content', must be a string");
    let begun = fields.read("add_special_tokens")?.or(fields.read("add_special")?);
    Ok(Asked {
        model: sampling::model(&mut fields)?,
        text: text(sent).map(Cow::into_owned).ok_or_else(wrong)?,
        begun: begun.unwrap_or(prompt.is_some()),
        strings: fields.read("return_token_strs")?.unwrap_or(false),
        pieces: fields.read("with_pieces")?.unwrap_or(false),
    })
}

fn told(piece: Vec<u8>) -> Piece {
    String::from_utf8(piece).map_or_else(|half| Piece::Bytes(half.into_bytes()), Piece::Text)
}

/// Whose vocabulary is meant.
fn expert(
    app: &App,
    (id, caller): (&RequestId, &Caller),
    named: Option<&str>,
) -> Result<String, ApiError> {
    let found = app.pipeline().unrouted(caller, named);
    found.map_err(|refusal| Refused { id: id.as_str().to_owned(), refusal }.into())
}

async fn within<T>(
    deadline: Deadline,
    id: &RequestId,
    work: impl Future<Output = Result<T, signalbox_engine::EngineError>>,
) -> Result<T, ApiError> {
    let late = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    let done = deadline.within(work).await.map_err(late)?;
    done.map_err(|error| late(error.into()))
}
