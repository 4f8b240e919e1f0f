//! Reading a request: its body within size and time, its path, its query. What does not fit is an
//! error of ours, never the web framework's bare text.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::fields::Fields;
use crate::{App, error::ApiError};

/// What is read and thrown away behind a body that is too large, so that the client gets to read
/// the answer instead of a reset connection.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// A JSON object.
pub(super) struct Json(pub(super) Fields);

impl FromRequest<App> for Json {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        json_or_nothing(request.headers())?;
        let settings = app.settings();
        let body = read(request, settings.body_bytes_max, settings.body_read).await?;
        Ok(Self(Fields::parse(&body)?))
    }
}

/// Bytes of any content type, as uploads are.
pub(super) struct Upload(pub(super) Bytes);

impl FromRequest<App> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let settings = app.settings();
        Ok(Self(read(request, settings.upload_bytes_max, settings.body_read).await?))
    }
}

/// Parts of the path.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(problem) => Err(ApiError::value("path", format!("the path: {problem}"))),
        }
    }
}

/// The query string.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, app).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(problem) => Err(ApiError::value("query", format!("the query: {problem}"))),
        }
    }
}

/// Web pages can send forms and plain text anywhere without asking; JSON they can't. So what says
/// it is something else is refused, and what says nothing is read.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(sent) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let sent = sent.to_str().unwrap_or("?");
    let essence = sent.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let message = format!("the content type is '{sent}'; send 'content-type: application/json'");
    Err(ApiError::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

async fn read(request: Request, max: usize, within: Duration) -> Result<Bytes, ApiError> {
    let (parts, mut body) = request.into_parts();
    if body.size_hint().lower() > max as u64 {
        return Err(too_large(&parts.headers, body, max).await);
    }
    let reading = Limited::new(&mut body, max).collect();
    match tokio::time::timeout(within, reading).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(too_large(&parts.headers, body, max).await)
        }
        Ok(Err(error)) => {
            let message = format!("the body could not be read: {error}");
            Err(ApiError::client(StatusCode::BAD_REQUEST, "body_unreadable", message))
        }
        Err(_) => {
            let message = format!("the body did not arrive within {} s", within.as_secs());
            Err(ApiError::client(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
        }
    }
}

async fn too_large(headers: &HeaderMap, body: Body, max: usize) -> ApiError {
    if !headers.contains_key(header::EXPECT) {
        discard(body).await;
    }
    let message = format!("the body is larger than the {max} bytes taken here; send less");
    ApiError::client(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

async fn discard(body: Body) {
    let mut rest = Limited::new(body, DISCARD_BYTES_MAX);
    let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: &str, taken: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        assert_eq!(json_or_nothing(&headers).is_ok(), taken, "{content_type}");
    }

    #[test]
    fn content_types() {
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/problem+json", true);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
        assert!(json_or_nothing(&HeaderMap::new()).is_ok());
    }
}
