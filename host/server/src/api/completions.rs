//! `POST /v1/completions`: text that an expert continues. `prompt` is one string.

use axum::{Extension, extract::State, response::Response};
use serde_json::Value;
use signalbox_policy::Message;

use super::{chat, fields::Fields, input::Json, reply, sampling};
use crate::{App, caller::Caller, error::ApiError, pipeline::Form, request_id::RequestId};

/// Continues a text.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Json(mut fields): Json,
) -> Result<Response, ApiError> {
    let content = chat::unmarked(prompt(&mut fields)?);
    let prompt = Message { role: "user".to_owned(), content, origin: Some(0) };
    let (call, delivery) =
        sampling::read(&mut fields, (&id, caller), Form::Text, vec![prompt], app.settings())?;
    let answered = app.pipeline().answer(call).await?;
    reply::send(answered, Form::Text, delivery, &id).await
}

/// One string, or an array of one.
fn prompt(fields: &mut Fields) -> Result<String, ApiError> {
    let mut prompt = fields.need("prompt")?;
    if let Value::Array(prompts) = &mut prompt
        && prompts.len() == 1
    {
        prompt = prompts.remove(0);
    }
    match prompt {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(ApiError::value("prompt", "'prompt' must be one string that is not empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: Result<&str, &str>) {
        let read = prompt(&mut Fields::parse(body.as_bytes()).unwrap());
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
