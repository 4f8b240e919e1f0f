//! Errors in the words of the dialect that was asked, known by the path: whatever turned a request away, its door, its
//! body or its expert, the client's library reads the shape that it knows.

use axum::{
    Json,
    http::{HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::ApiError;
use crate::{
    request_id::RequestId,
    wire::messages::{MessageError, MessageErrorBody},
};

/// Where Anthropic's clients look for the id of an exchange.
const ANTHROPIC_ID: HeaderName = HeaderName::from_static("request-id");

/// Whose words an answer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    OpenAi,
    Anthropic,
    Ollama,
}

impl Shape {
    /// What is asked for at this address.
    pub(crate) fn of(uri: &Uri) -> Self {
        let path = uri.path();
        let under = |root: &str| {
            path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match (under("/v1/messages"), under("/api")) {
            (true, _) => Self::Anthropic,
            (_, true) => Self::Ollama,
            _ => Self::OpenAi,
        }
    }

    /// An answer in this shape: what is no error of ours stays as it is.
    pub(crate) fn shaped(self, mut response: Response, id: &RequestId) -> Response {
        let error = response.extensions_mut().remove::<ApiError>();
        if self == Self::Anthropic {
            response.headers_mut().insert(ANTHROPIC_ID, id.header());
        }
        match (self, error) {
            (Self::OpenAi, _) | (_, None) => response,
            (Self::Anthropic, Some(error)) => with_body(response, &anthropic(&error, id)),
            (Self::Ollama, Some(error)) => with_body(response, &ollama(&error)),
        }
    }
}

/// The same head with another body.
fn with_body(response: Response, body: &impl serde::Serialize) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts.status, parts.headers, Json(body)).into_response()
}

/// `{"type": "error", "error": {...}, "request_id": "..."}`.
pub(crate) fn anthropic(error: &ApiError, id: &RequestId) -> MessageError {
    let kind = match error.0.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    MessageError {
        r#type: "error".into(),
        error: MessageErrorBody { r#type: kind.into(), message: error.0.body.message.clone() },
        request_id: id.as_str().to_owned(),
    }
}

/// `{"error": "..."}`, with the code beside it for whoever wants to switch on one.
pub(crate) fn ollama(error: &ApiError) -> Value {
    json!({ "error": error.0.body.message, "code": error.0.body.code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_whose_words_are_spoken() {
        let check = |path: &str, expect| assert_eq!(Shape::of(&path.parse().unwrap()), expect);
        check("/v1/messages", Shape::Anthropic);
        check("/v1/messages/count_tokens?beta=true", Shape::Anthropic);
        check("/v1/messages2", Shape::OpenAi);
        check("/api/chat", Shape::Ollama);
        check("/apis", Shape::OpenAi);
        check("/v1/chat/completions", Shape::OpenAi);
    }
}
