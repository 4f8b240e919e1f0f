//! Who may use which plane, asked before anything else of a request is read.
//!
//! Operators' plane: whoever has the token; without one configured, programs on this machine. A
//! request that came through a proxy is not from this machine, and a browser is never answered.
//!
//! Clients' plane: whoever has a key, where keys are configured; and pages of listed origins.

mod allowance;
mod browser;
mod hosts;
mod keyring;
mod keys;
mod proxies;
mod ratelimit;
mod rules;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    App,
    caller::Caller,
    error::{ApiError, dialects::Shape},
};
pub use allowance::Allowance;
use hosts::Hosts;
pub(crate) use keyring::Keyring;
pub use keys::{Key, KeyError};
pub use rules::{Access, AccessError};

/// Paths of the data plane that balancers ask without a key.
const WITHOUT_KEY: [&str; 2] = ["/health", "/ready"];

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    fn of(request: &Request) -> Option<IpAddr> {
        request.extensions().get::<Self>().map(|peer| peer.0.ip().to_canonical())
    }
}

/// What is asked of clients at one listener.
pub(crate) struct ClientDoor {
    app: App,
    local: IpAddr,
}

impl ClientDoor {
    pub(crate) fn new(app: App, local: SocketAddr) -> Arc<Self> {
        Arc::new(Self { app, local: local.ip() })
    }

    /// The names that this listener answers to.
    fn hosts<'k>(&self, keyring: &'k Keyring) -> Hosts<'k> {
        let Access { keys, hosts, .. } = keyring.access();
        Hosts::new(self.local, !keys.is_empty(), hosts)
    }

    /// Whose call it is.
    fn caller(keyring: &Keyring, request: &Request) -> Result<Caller, ApiError> {
        let keys = &keyring.access().keys;
        if keys.is_empty() || WITHOUT_KEY.contains(&request.uri().path()) {
            return Ok(Caller::at(Peer::of(request)));
        }
        let Some(given) = key(request.headers()) else {
            let message =
                "this host wants a key: 'authorization: Bearer <key>' or 'x-api-key: <key>'";
            return Err(unauthorised("missing_api_key", message));
        };
        let wrong = || unauthorised("invalid_api_key", "the key is none that this host knows");
        let at = keys::owner(keys, given).ok_or_else(wrong)?;
        let (name, account) = keyring.owner(at);
        Ok(Caller::key(name, account.clone()))
    }
}

/// Lets a client through, or says why not.
pub(crate) async fn clients(
    State(door): State<Arc<ClientDoor>>,
    request: Request,
    next: Next,
) -> Response {
    let keyring = door.app.keyring();
    let access = keyring.access();
    let (parts, body) = request.into_parts();
    let known = door.hosts(&keyring).check(&parts);
    let origin = known.and_then(|()| browser::origin(&parts.headers, &access.origins));
    let shape = Shape::of(&parts.uri);
    let mut request = Request::from_parts(parts, body);
    let origin = match origin {
        Ok(origin) => origin,
        Err(error) => return error.into_response(),
    };
    let preflight = origin.as_ref().and_then(|_| browser::preflight(&request));
    let response = match (preflight, ClientDoor::caller(&keyring, &request)) {
        (Some(answer), _) => answer,
        (None, Err(error)) => error.into_response(),
        (None, Ok(caller)) => {
            let caller = caller.sending(request.headers(), &access.headers);
            let account = caller.account().cloned();
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            if let Some(account) = account {
                ratelimit::tell(response.headers_mut(), &account, shape);
            }
            response
        }
    };
    match origin {
        Some(origin) => browser::readable(response, origin),
        None => response,
    }
}

/// Either of the headers that clients send keys in: OpenAI's, then Anthropic's.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii()))
}

/// What is asked of operators at one listener.
pub(crate) struct OperatorDoor {
    app: App,
    local: IpAddr,
}

impl OperatorDoor {
    pub(crate) fn new(app: App, local: SocketAddr) -> Arc<Self> {
        Arc::new(Self { app, local: local.ip() })
    }

    fn admit(&self, peer: Option<IpAddr>, parts: &Parts) -> Result<(), ApiError> {
        let (settings, keyring) = (self.app.settings(), self.app.keyring());
        let token = settings.admin_token.as_deref();
        Hosts::new(self.local, token.is_some(), &keyring.access().hosts).check(parts)?;
        operator(token, peer, &parts.headers)
    }
}

/// Whether a request is an operator's, who has to have this token where there is one.
fn operator(
    token: Option<&str>,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if headers.contains_key(header::ORIGIN) || browser::is_cross_site(headers) {
        return Err(forbidden(
            "admin_browser_refused",
            "the admin plane never answers web pages; use `signalbox policy` or curl",
        ));
    }
    let Some(token) = token else { return local(peer, headers) };
    match headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes())) {
        Some(given) if keys::same(given, token.as_bytes()) => Ok(()),
        Some(_) => Err(unauthorised("invalid_admin_token", "the admin token is wrong")),
        None => Err(unauthorised(
            "missing_admin_token",
            "the admin plane wants 'authorization: Bearer <token>'",
        )),
    }
}

/// Lets an operator through, or says why not.
pub(crate) async fn operators(
    State(door): State<Arc<OperatorDoor>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = Peer::of(&request);
    let (parts, body) = request.into_parts();
    match door.admit(peer, &parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

fn local(peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), ApiError> {
    let code = "admin_loopback_only";
    if !peer.is_some_and(|peer| peer.is_loopback()) {
        let message = "without an admin token the admin plane answers this machine only; configure \
                       admin.token";
        return Err(forbidden(code, message));
    }
    match proxies::mark(headers) {
        Some(mark) => {
            let message = format!(
                "without an admin token the admin plane answers this machine only, and the header \
                 '{mark}' says that a proxy passes somebody else's request on; configure admin.token"
            );
            Err(forbidden(code, message))
        }
        None => Ok(()),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn unauthorised(code: &str, message: &str) -> ApiError {
    ApiError::client(StatusCode::UNAUTHORIZED, code, message)
}

fn forbidden(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::client(StatusCode::FORBIDDEN, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: Option<&str>, peer: &str, sent: &[(&'static str, &str)], expect: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        let peer: IpAddr = peer.parse().unwrap();
        let admitted = operator(token, Some(peer.to_canonical()), &headers);
        let code = admitted.as_ref().map_or_else(ApiError::code, |()| "ok");
        assert_eq!(code, expect, "{peer} {sent:?}");
    }

    #[test]
    fn a_token_is_asked_of_everybody() {
        let token = Some("correct-horse");
        check(token, "127.0.0.1", &[], "missing_admin_token");
        check(token, "127.0.0.1", &[("authorization", "Basic x")], "missing_admin_token");
        for wrong in ["Bearer wrong", "Bearer correct-hors", "Bearer correct-horsee", "Bearer "] {
            check(token, "127.0.0.1", &[("authorization", wrong)], "invalid_admin_token");
        }
        let right = ("authorization", "bearer correct-horse");
        check(token, "10.0.0.9", &[right], "ok");
        check(token, "10.0.0.9", &[right, ("x-forwarded-for", "10.0.0.1")], "ok");
        check(
            token,
            "127.0.0.1",
            &[right, ("origin", "http://localhost")],
            "admin_browser_refused",
        );
    }

    #[test]
    fn without_a_token_only_programs_on_this_machine_are_answered() {
        check(None, "127.0.0.1", &[], "ok");
        check(None, "::1", &[], "ok");
        check(None, "::ffff:127.0.0.1", &[("sec-fetch-site", "none")], "ok");
        check(None, "192.168.1.7", &[], "admin_loopback_only");
        check(None, "127.0.0.1", &[("origin", "https://evil.example")], "admin_browser_refused");
        check(None, "127.0.0.1", &[("origin", "null")], "admin_browser_refused");
        check(None, "127.0.0.1", &[("sec-fetch-site", "cross-site")], "admin_browser_refused");
    }

    #[test]
    fn what_came_through_a_proxy_is_not_local() {
        for mark in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-real-ip",
            "via",
            "cf-connecting-ip",
            "true-client-ip",
            "x-forwarded",
            "x-envoy-external-address",
        ] {
            check(None, "127.0.0.1", &[(mark, "203.0.113.9")], "admin_loopback_only");
        }
        check(None, "127.0.0.1", &[("x-request-id", "a"), ("user-agent", "curl")], "ok");
    }

    #[test]
    fn access_is_bounded_and_does_not_contradict_itself() {
        let key = |name: &str, key: &str| Key::new(name, key).unwrap();
        let check = |access: Access, word: &str| {
            let message = access.check().unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        };
        let (one, other) = (key("a", "sixteen-or-more-1"), key("b", "sixteen-or-more-2"));
        let good = Access { keys: vec![one.clone(), other.clone()], ..Access::default() };
        assert_eq!(good.check(), Ok(()));
        let keys = vec![one.clone(), key("b", "sixteen-or-more-1")];
        check(Access { keys, ..Access::default() }, "\"a\" and \"b\" are one key");
        let keys = vec![one.clone(), key("a", "sixteen-or-more-2")];
        check(Access { keys, ..Access::default() }, "\"a\" is taken");
        check(Access { keys: vec![one], open: true, ..Access::default() }, "keep one");
        for odd in ["*", "null", "app.example"] {
            check(Access { origins: vec![odd.to_owned()], ..Access::default() }, "https://");
        }
        for odd in ["", "*", "http://a", "a:80"] {
            check(Access { hosts: vec![odd.to_owned()], ..Access::default() }, "without scheme");
        }
    }
}
