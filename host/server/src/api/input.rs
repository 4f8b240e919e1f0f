//! Reading a request: whether it may be read at all, its body within size, time and memory, its path,
//! its query. What does not fit is an error of ours, never the web framework's bare text.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use signalbox_confine::{LINE_BYTES, clean};
use signalbox_policy::Provenance;
use tokio::task::JoinError;

use super::fields::{self, Fields, Names};
use crate::{
    App,
    admission::Permit,
    bodies::{Bodies, Held, SMALL_BYTES, Terms, Unread, Whole},
    caller::Caller,
    error::ApiError,
    limits::DOCUMENT_BYTES_MAX,
    wire::policies::SIGNATURE_HEADER,
};

/// What is read and thrown away behind a body that is not taken, so that the client gets to read
/// the answer instead of a reset connection.
const DISCARD_BYTES_MAX: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Characters of a header that an error repeats.
const SHOWN: usize = 100;

/// A JSON body that somebody is about to read.
#[derive(Debug)]
pub(super) struct Json(Whole);

impl Json {
    /// Reads the body's fields, of which `names` will be asked for. A large body is read on a thread
    /// that may block, as one of few; it is gone when this returns, and its memory is still held.
    pub(super) async fn read<T: Send + 'static>(
        self,
        app: &App,
        names: Names,
        reading: impl FnOnce(Fields<'_>) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<(T, Held), ApiError> {
        let Whole { bytes, held } = self.0;
        let parse = move || {
            let fields = Fields::parse(&bytes, names)?;
            reading(fields)
        };
        let read = match held.bytes() <= SMALL_BYTES {
            true => parse(),
            false => app.bodies().aside(parse).await.unwrap_or_else(|panic| Err(stopped(&panic))),
        };
        Ok((read?, held))
    }

    /// Reads all of it as one type.
    pub(super) fn whole<T: DeserializeOwned>(&self, name: &str) -> Result<T, ApiError> {
        fields::whole(&self.0.bytes, name)
    }
}

fn stopped(panic: &JoinError) -> ApiError {
    let message = format!("reading the body stopped in the middle: {panic}");
    ApiError::host(StatusCode::INTERNAL_SERVER_ERROR, "internal_panic", message)
}

/// A client's call: admission was asked before its body was read, and granted when it was whole, so
/// that slow senders take nobody's place.
pub(super) struct Admitted {
    pub(super) body: Json,
    pub(super) permit: Permit,
}

impl FromRequest<App> for Admitted {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let settings = app.settings();
        let (parts, body) = request.into_parts();
        let admission = &app.pipeline().admission;
        // The door of the data plane puts one there.
        let caller = parts.extensions.get().cloned().unwrap_or_else(|| Caller::at(None));
        let open = json_or_nothing(&parts.headers).and_then(|()| Ok(admission.ask(&caller)?));
        if let Err(refused) = open {
            return Err(unread(&parts.headers, body, refused).await);
        }
        let whole = read(app.bodies(), &parts, body, settings.body_terms()).await?;
        Ok(Self { permit: admission.admit(&caller)?, body: Json(whole) })
    }
}

/// A client's word on something that is there already: a small JSON object, for which no expert is asked.
pub(super) struct Remark(pub(super) Json);

impl FromRequest<App> for Remark {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let terms = app.settings().body_terms();
        Ok(Self(document(request, app.bodies(), terms).await?))
    }
}

/// An operator's document: a JSON object.
pub(super) struct Document(pub(super) Json);

impl FromRequest<App> for Document {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        Ok(Self(document(request, app.uploads(), app.upload_terms()).await?))
    }
}

async fn document(request: Request, bodies: &Bodies, terms: Terms) -> Result<Json, ApiError> {
    let (parts, body) = request.into_parts();
    json_or_nothing(&parts.headers)?;
    let terms = Terms { bytes_max: terms.bytes_max.min(DOCUMENT_BYTES_MAX), ..terms };
    Ok(Json(read(bodies, &parts, body, terms).await?))
}

/// A component: bytes of any content type.
pub(super) struct Upload {
    pub(super) component: Whole,
    pub(super) signature: Signature,
}

/// The text of minisign's signature, where one came.
pub(super) struct Signature(Option<String>);

impl Signature {
    /// Where the component comes from, as far as it says so.
    pub(super) fn provenance(&self) -> Provenance<'_> {
        Provenance::Outside(self.0.as_deref())
    }

    /// In base64, because it has several lines. What can't be read is no signature.
    fn read(headers: &HeaderMap) -> Self {
        let text = headers.get(SIGNATURE_HEADER).map(|sent| {
            let text = BASE64_STANDARD.decode(sent.as_bytes()).ok();
            text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default()
        });
        Self(text)
    }
}

impl FromRequest<App> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        not_compressed(&parts.headers)?;
        let terms = app.upload_terms();
        match read(app.uploads(), &parts, body, terms).await {
            Err(refused) if refused.is_too_large() => Err(ApiError::upload_too_large(&terms)),
            read => Ok(Self { component: read?, signature: Signature::read(&parts.headers) }),
        }
    }
}

/// Parts of the path.
pub(super) struct Named<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(problem) => Err(ApiError::value("path", described("path", &problem))),
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
            Err(problem) => Err(ApiError::value("query", described("query", &problem))),
        }
    }
}

fn described(what: &str, problem: &impl std::fmt::Display) -> String {
    format!("the {what}: {}", clean(&problem.to_string(), LINE_BYTES))
}

/// Web pages can send forms and plain text anywhere without asking; JSON they can't. So what says
/// it is something else is refused, and what says nothing is read. A form is also what curl and other
/// programs call a body when nobody told them; they have no origin, and a browser that sends a form
/// always names its page's.
fn json_or_nothing(headers: &HeaderMap) -> Result<(), ApiError> {
    not_compressed(headers)?;
    let Some(sent) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let sent = sent.to_str().unwrap_or("?");
    let essence = sent.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let by_default = DEFAULT_TYPES.contains(&essence.as_str()) && !from_browser(headers);
    if essence == "application/json" || essence.ends_with("+json") || by_default {
        return Ok(());
    }
    let sent = clean(sent, SHOWN);
    let message = format!("the content type is '{sent}'; send 'content-type: application/json'");
    Err(ApiError::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// What programs call a body when nobody told them.
const DEFAULT_TYPES: [&str; 4] =
    ["", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"];

/// Whether a browser may have sent this for a page.
fn from_browser(headers: &HeaderMap) -> bool {
    let marks = [header::ORIGIN, header::REFERER, header::COOKIE];
    marks.iter().any(|mark| headers.contains_key(mark)) || headers.contains_key("sec-fetch-site")
}

/// A compressed body can become any size.
fn not_compressed(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(sent) = named.find(|sent| !sent.as_bytes().eq_ignore_ascii_case(b"identity")) else {
        return Ok(());
    };
    let sent = clean(&String::from_utf8_lossy(sent.as_bytes()), SHOWN);
    let message = format!("the body is encoded with '{sent}'; send it as it is");
    Err(ApiError::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message))
}

async fn read(
    bodies: &Bodies,
    parts: &Parts,
    mut body: Body,
    terms: Terms,
) -> Result<Whole, ApiError> {
    match bodies.read(&mut body, terms).await {
        Ok(whole) => Ok(whole),
        Err(why @ (Unread::TooLarge { .. } | Unread::Full { .. })) => {
            Err(unread(&parts.headers, body, why.into()).await)
        }
        Err(why) => Err(why.into()),
    }
}

/// The refusal of a body that is not read.
async fn unread(headers: &HeaderMap, body: Body, message: ApiError) -> ApiError {
    if !headers.contains_key(header::EXPECT) {
        discard(body).await;
    }
    message
}

async fn discard(body: Body) {
    let mut rest = Limited::new(body, DISCARD_BYTES_MAX);
    let reading = async { while let Some(Ok(_)) = rest.frame().await {} };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a page's body of this type is read.
    fn check(content_type: &str, taken: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        headers.insert(header::ORIGIN, "http://localhost".parse().unwrap());
        assert_eq!(json_or_nothing(&headers).is_ok(), taken, "{content_type}");
    }

    #[test]
    fn programs_that_name_no_content_type_are_read_and_pages_are_not() {
        let read = |content_type: &str, more: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            for (name, value) in more {
                headers.insert(*name, value.parse().unwrap());
            }
            json_or_nothing(&headers).is_ok()
        };
        let form = "application/x-www-form-urlencoded";
        for default in [form, "text/plain;charset=UTF-8", "application/octet-stream", ""] {
            assert!(read(default, &[]) && read(default, &[("user-agent", "curl/8")]), "{default}");
            for mark in ["origin", "referer", "cookie", "sec-fetch-site"] {
                assert!(!read(default, &[(mark, "same-origin")]), "{default} {mark}");
            }
        }
        assert!(!read("multipart/form-data; boundary=x", &[]) && !read("text/html", &[]));
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

    #[test]
    fn compressed_bodies_are_named() {
        for (encoding, taken) in [("identity", true), ("gzip", false), ("br", false), ("", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            assert_eq!(json_or_nothing(&headers).is_ok(), taken, "{encoding}");
        }
    }
}
