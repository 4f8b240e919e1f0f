//! `POST /v1/completions`: text that an expert continues. `prompt` is one string.

use axum::{Extension, extract::State, response::Response};
use signalbox_policy::Message;

use super::{
    chat,
    fields::{Fields, Names, list, text},
    format,
    input::Admitted,
    logprobs, parameters,
    reply::Sending,
    sampling,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Form, Pictures, Wishes},
    request_id::RequestId,
};

const NAMES: Names = &[
    &["prompt"],
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];

/// Continues a text.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let (settings, name) = (app.clone(), id.clone());
    let reading = move |mut fields: Fields<'_>| {
        let content = prompt(&mut fields)?;
        let prompt = vec![Message { role: "user".to_owned(), content, origin: Some(0) }];
        let prompt = (prompt, Wishes::default());
        sampling::read(&mut fields, (&name, caller), Form::Text, prompt, settings.settings())
    };
    let ((draft, delivery), mut held) = body.read(&app, NAMES, reading).await?;
    let call = draft.with(Pictures::default());
    held.shrink(call.text_bytes());
    let (deadline, progress) = (app.pipeline().deadline(), call.progress.clone());
    let sending = Sending { form: Form::Text, delivery, id, progress };
    sending.send(app, call, permit.holding(held), deadline).await
}

/// One string, or an array of one.
fn prompt(fields: &mut Fields<'_>) -> Result<String, ApiError> {
    let sent = fields.need("prompt")?;
    let one = list(sent, 1).ok().and_then(|prompts| prompts.first().copied());
    match text(one.unwrap_or(sent)) {
        Some(text) if !text.is_empty() => Ok(chat::unmarked(&text).into_owned()),
        _ => Err(ApiError::value("prompt", "'prompt' must be one string that is not empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: Result<&str, &str>) {
        let read = prompt(&mut Fields::parse(body.as_bytes(), NAMES).unwrap());
        let read = read.as_deref().map_err(ApiError::code);
        assert_eq!(read, expect, "{body}");
    }

    #[test]
    fn a_prompt_is_one_string() {
        check(r#"{"prompt": "once"}"#, Ok("once"));
        check(r#"{"prompt": ["once"]}"#, Ok("once"));
        check(r"{}", Err("missing_parameter"));
        for bad in [r#""""#, "[]", r#"["a", "b"]"#, "[1, 2]", "7"] {
            check(&format!(r#"{{"prompt": {bad}}}"#), Err("invalid_value"));
        }
    }
}
