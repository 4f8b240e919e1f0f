//! Requests that web pages send. A page from anywhere can make a browser on this machine send
//! requests here, so pages are refused unless the operator listed their origin (`access.origins`);
//! those get the `Access-Control-*` headers of the Fetch standard, preflight included.

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header, uri::Authority,
    },
    response::{IntoResponse, Response},
};

use crate::error::ApiError;

/// What a page may do; the only methods clients need.
const METHODS: &str = "GET, POST";
/// Seconds that a browser may remember a preflight.
const PREFLIGHT_SECONDS: &str = "600";
/// Headers of replies that pages may read.
const READABLE: &str = "x-request-id, x-signalbox-expert, x-signalbox-route, x-signalbox-reason, x-signalbox-decision, x-signalbox-warning, retry-after";
const FETCH_SITE: &str = "sec-fetch-site";
const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const GRANTS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The listed origin that a request comes from; `None` for programs, which have none.
///
/// # Errors
/// `origin_not_allowed` (403) for every other page.
pub(super) fn origin(
    headers: &HeaderMap,
    listed: &[String],
) -> Result<Option<HeaderValue>, ApiError> {
    let mut sent = headers.get_all(header::ORIGIN).iter();
    match (sent.next(), sent.next()) {
        (None, _) if is_cross_site(headers) => Err(refused("another site")),
        (None, _) => Ok(None),
        (Some(origin), None) if is_listed(origin, listed) => Ok(Some(origin.clone())),
        (Some(origin), _) => {
            let name = String::from_utf8_lossy(origin.as_bytes());
            Err(refused(&format!("'{}'", signalbox_confine::clean(&name, 100))))
        }
    }
}

fn is_listed(origin: &HeaderValue, listed: &[String]) -> bool {
    origin.to_str().is_ok_and(|origin| listed.iter().any(|is| is.eq_ignore_ascii_case(origin)))
}

/// Whether a browser says that a page of another site made it send this.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|site| site == "cross-site")
}

fn refused(who: &str) -> ApiError {
    let message = format!(
        "web pages of {who} may not use this host; let the operator list the origin in \
         access.origins"
    );
    ApiError::client(StatusCode::FORBIDDEN, "origin_not_allowed", message)
}

/// The answer to a browser that asks, before it sends a listed page's request, whether it may.
pub(super) fn preflight(request: &Request<Body>) -> Option<Response> {
    let headers = request.headers();
    if request.method() != Method::OPTIONS
        || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return None;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let granted = response.headers_mut();
    let constant = HeaderValue::from_static;
    granted.insert(header::ACCESS_CONTROL_ALLOW_METHODS, constant(METHODS));
    granted.insert(header::ACCESS_CONTROL_MAX_AGE, constant(PREFLIGHT_SECONDS));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        granted.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if headers.contains_key(ASKS_PRIVATE) {
        granted.insert(GRANTS_PRIVATE, constant("true"));
    }
    Some(response)
}

/// Lets a page of this origin, and no other, read a response.
pub(super) fn readable(mut response: Response, origin: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READABLE));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// Whether a text is an origin as browsers send it: a scheme, a host and perhaps a port.
pub(super) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let known = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let parsed: Option<Authority> = authority.parse().ok();
    known && parsed.is_some_and(|a| !a.host().is_empty()) && !authority.contains(['*', '@'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[(&'static str, &str)], expect: Result<Option<&str>, &str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        let listed = ["https://app.example".to_owned(), "http://localhost:5173".to_owned()];
        let known = origin(&headers, &listed);
        let known = known.as_ref().map(|origin| origin.as_ref().map(|is| is.to_str().unwrap()));
        assert_eq!(known.map_err(ApiError::code), expect, "{sent:?}");
    }

    #[test]
    fn programs_have_no_origin_and_pages_need_a_listed_one() {
        let (app, evil) = ("https://app.example", "https://evil.example");
        check(&[], Ok(None));
        check(&[("origin", app)], Ok(Some(app)));
        check(&[("origin", app), ("sec-fetch-site", "cross-site")], Ok(Some(app)));
        let refused = Err("origin_not_allowed");
        for odd in [evil, "null", "*", "", "https://app.example:444", "https://app.example.evil"] {
            check(&[("origin", odd)], refused);
        }
        check(&[("origin", app), ("origin", evil)], refused);
        check(&[("sec-fetch-site", "cross-site")], refused);
        check(&[("sec-fetch-site", "none")], Ok(None));
    }

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in ["https://app.example", "http://localhost:5173", "chrome-extension://abc"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in
            ["*", "null", "app.example", "https://", "https://a/", "https://*.a", "https://u@a"]
        {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
