//! `POST /v1/completions`: text that an expert continues. `prompt` is one string.

use axum::{Extension, extract::State, response::Response};
use signalbox_policy::Message;

use super::{
    asked::{Asked, Granted},
    conversation::unmarked,
    fields::{Fields, Names, list, text},
    format,
    input::Admitted,
    logprobs, parameters,
    sampling::{self, Prompt},
    writer::Writer,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Form, Wishes},
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
    let deadline = app.pipeline().deadline();
    let (settings, name) = (app.clone(), id.clone());
    let reading = move |mut fields: Fields<'_>| {
        let content = prompt(&mut fields)?;
        let messages = vec![Message { role: "user".to_owned(), content, origin: Some(0) }];
        let (form, wishes) = (Form::Text, Wishes::default());
        let prompt = Prompt { form, messages, wishes, streams: false };
        let read = sampling::read(&mut fields, (&name, caller), prompt, settings.settings());
        let (draft, delivery) = read?;
        Ok(Asked { draft, delivery, images: vec![] })
    };
    let (asked, held) = body.read(&app, NAMES, reading).await?;
    let writer = Writer::new(Form::Text, &asked.delivery, &id);
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}

/// One string, or an array of one.
fn prompt(fields: &mut Fields<'_>) -> Result<String, ApiError> {
    let sent = fields.need("prompt")?;
    let one = list(sent, 1).ok().and_then(|prompts| prompts.first().copied());
    match text(one.unwrap_or(sent)) {
        Some(text) if !text.is_empty() => Ok(unmarked(&text).into_owned()),
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
