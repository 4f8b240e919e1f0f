//! Who may use the admin plane: whoever has the token; without one configured, programs on this
//! machine. A browser on this machine is not such a program: a page from anywhere can make it send
//! requests to loopback, so its marks (`Origin`, a foreign `Host`) are refused.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{App, error::ApiError};

/// The address at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Lets a request through, or says why not.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let token = app.settings().admin_token.as_deref();
    match admit(token, peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn admit(token: Option<&str>, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = token else { return local(peer, headers) };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    match given {
        Some(given) if same(given, token.as_bytes()) => Ok(()),
        Some(_) => Err(unauthorised("invalid_admin_token", "the admin token is wrong")),
        None => Err(unauthorised(
            "missing_admin_token",
            "the admin plane wants 'authorization: Bearer <token>'",
        )),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Equality whose time tells nothing of where two tokens differ.
fn same(given: &[u8], token: &[u8]) -> bool {
    let differ = given.iter().zip(token).fold(0, |differ, (a, b)| differ | (a ^ b));
    given.len() == token.len() && std::hint::black_box(differ) == 0
}

fn unauthorised(code: &str, message: &str) -> ApiError {
    ApiError::client(StatusCode::UNAUTHORIZED, code, message)
}

fn local(peer: Option<IpAddr>, headers: &HeaderMap) -> Result<(), ApiError> {
    let forbidden = |code, message| Err(ApiError::client(StatusCode::FORBIDDEN, code, message));
    if !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        return forbidden(
            "admin_loopback_only",
            "without an admin token the admin plane answers this machine only; configure a token",
        );
    }
    if headers.contains_key(header::ORIGIN) || !host_is_local(headers) {
        return forbidden(
            "admin_browser_refused",
            "without an admin token the admin plane refuses requests that come from a web page or \
             name another host; configure a token",
        );
    }
    Ok(())
}

/// A foreign name in `Host` means that somebody's DNS points here.
fn host_is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or("?");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(token: Option<&str>, peer: &str, sent: &[(&'static str, &str)], expect: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        let admitted = admit(token, Some(peer.parse().unwrap()), &headers);
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
        check(token, "10.0.0.9", &[("authorization", "bearer correct-horse")], "ok");
    }

    #[test]
    fn without_a_token_only_programs_on_this_machine_are_answered() {
        check(None, "127.0.0.1", &[("host", "localhost:8081")], "ok");
        check(None, "::1", &[("host", "[::1]:8081")], "ok");
        check(None, "::ffff:127.0.0.1", &[("host", "127.0.0.1")], "ok");
        check(None, "192.168.1.7", &[], "admin_loopback_only");
        check(None, "127.0.0.1", &[("origin", "https://evil.example")], "admin_browser_refused");
        check(None, "127.0.0.1", &[("host", "rebound.example:8081")], "admin_browser_refused");
    }
}
