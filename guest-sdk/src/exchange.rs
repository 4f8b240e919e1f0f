//! Requests to other hosts, their answers, and why there is none.

use std::fmt;

/// Bytes of an answer's body, where the policy sets no bound of its own.
const ANSWER_BYTES: usize = 1 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The operator does not list the host, the call has sent as many requests as it may, or nothing is sent from here.
    Denied,
    /// The time is over.
    Timeout,
    /// The request, or the answer, is larger than it may be.
    TooLarge,
    /// The request makes no sense, and why.
    Invalid(String),
    /// Something else went wrong on the way, in words.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the request may not be sent"),
            Self::Timeout => f.write_str("there was no answer in time"),
            Self::TooLarge => f.write_str("the request or its answer is too large"),
            Self::Invalid(why) => write!(f, "the request makes no sense: {why}"),
            Self::Failed(what) => write!(f, "the request failed: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// A request that was not sent yet.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    answer_bytes: usize,
}

impl Request {
    /// Asks for what is at `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url.into())
    }

    /// Sends something to `url`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url.into())
    }

    fn new(method: &'static str, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Vec::new(), answer_bytes: ANSWER_BYTES }
    }

    /// Adds a header. Those that say how the request travels (`host`, `connection`, ...) are the host's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is sent; nothing otherwise.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Takes an answer of at most `bytes`, and fewer where the host has a smaller bound; 1 MiB otherwise.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.answer_bytes = bytes;
        self
    }

    /// `GET` or `POST`.
    pub fn method(&self) -> &str {
        self.method
    }

    /// Where it goes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its headers, in the order they were added.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// What it sends.
    pub fn sent(&self) -> &[u8] {
        &self.body
    }

    /// Bytes that its answer may have.
    pub(crate) fn most(&self) -> usize {
        self.answer_bytes
    }
}

/// What answers requests in native tests.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type Answering = Box<dyn FnMut(&Request) -> Result<Response, Error>>;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    /// An answer for [tests](crate::testing::answer_http).
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Its status: 200 where all went well.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What it says.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Where a URL leads to.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "only a component goes there"))]
pub(crate) struct Place<'u> {
    pub(crate) tls: bool,
    /// Host, and port where there is one.
    pub(crate) authority: &'u str,
    pub(crate) path: &'u str,
}

impl<'u> Place<'u> {
    pub(crate) fn read(url: &'u str) -> Result<Self, Error> {
        let wrong =
            || Error::Invalid(format!("'{url}' is no URL that begins with https:// or http://"));
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(wrong());
        }
        Ok(Self { tls, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_a_request_goes() {
        let check = |url: &str, expect: Option<(bool, &str, &str)>| {
            let place = Place::read(url).ok();
            assert_eq!(place.map(|p| (p.tls, p.authority, p.path)), expect, "{url}");
        };
        check("https://example.com", Some((true, "example.com", "")));
        check("http://localhost:8001/api?a=b#c", Some((false, "localhost:8001", "/api?a=b")));
        check("https://example.com?q", Some((true, "example.com", "?q")));
        check("ftp://example.com", None);
        check("https:///path", None);
        check("example.com", None);
    }
}
