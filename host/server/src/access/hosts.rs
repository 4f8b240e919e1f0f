//! Whom a request takes us for. A browser can be made to believe that a stranger's name is this
//! machine (DNS rebinding), but it still sends that name, so names nobody gave us are refused.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderValue, StatusCode, Uri, Version, header, request::Parts, uri::Authority,
};

use crate::error::ApiError;

/// The names that one listener answers to.
#[derive(Debug)]
pub(super) struct Hosts<'n> {
    /// Every name: who knows a key or a token has not been tricked into coming.
    any: bool,
    /// Every address: no name can be made to look like one.
    addresses: bool,
    names: &'n [String],
}

impl<'n> Hosts<'n> {
    /// A listener on `local`; `guarded` by keys or a token, or not. Loopback names are always known.
    pub(super) fn new(local: IpAddr, guarded: bool, names: &'n [String]) -> Self {
        let beyond = !local.to_canonical().is_loopback();
        Self { any: beyond && guarded, addresses: beyond, names }
    }

    /// Lets a request through that names this host, or says why not.
    ///
    /// # Errors
    /// `invalid_host` (400) where the request does not say clearly whom it means, and
    /// `host_not_allowed` (403) where it means somebody else.
    pub(super) fn check(&self, request: &Parts) -> Result<(), ApiError> {
        let Some(host) = named(&request.headers, &request.uri, request.version)? else {
            return Ok(());
        };
        if self.any || self.knows(bare(host.host())) {
            return Ok(());
        }
        let message = format!(
            "this host does not go by the name '{}'; use its address, or let the operator add the \
             name to access.hosts",
            signalbox_confine::clean(host.host(), 100)
        );
        Err(ApiError::client(StatusCode::FORBIDDEN, "host_not_allowed", message))
    }

    fn knows(&self, name: &str) -> bool {
        let listed = self.names.iter().any(|known| bare(known).eq_ignore_ascii_case(name));
        listed || name.eq_ignore_ascii_case("localhost") || self.knows_address(name)
    }

    fn knows_address(&self, name: &str) -> bool {
        name.parse::<IpAddr>().is_ok_and(|address| {
            let address = address.to_canonical();
            address.is_loopback() || (self.addresses && !address.is_unspecified())
        })
    }
}

/// A name without the brackets of an IPv6 address or the dot of the root.
fn bare(name: &str) -> &str {
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address,
        None => name.strip_suffix('.').unwrap_or(name),
    }
}

/// The one host that a request names (RFC 9112, 3.2); HTTP/1.0 may name none.
fn named(headers: &HeaderMap, uri: &Uri, version: Version) -> Result<Option<Authority>, ApiError> {
    let mut sent = headers.get_all(header::HOST).iter();
    let host = match (sent.next(), sent.next()) {
        (Some(host), None) => Some(authority(host).ok_or_else(|| invalid("is no host name"))?),
        (None, _) if version >= Version::HTTP_11 => return Err(invalid("is missing")),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(invalid("is given more than once")),
    };
    match (uri.authority(), host) {
        (Some(target), Some(host)) if !agree(target, &host) => {
            Err(invalid("and the request's target name different hosts"))
        }
        (Some(target), _) if target.as_str().contains('@') => Err(invalid("has a user name")),
        (target, host) => Ok(host.or(target.cloned())),
    }
}

fn authority(host: &HeaderValue) -> Option<Authority> {
    let authority: Authority = host.to_str().ok()?.parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    let no_port = port.is_empty() || port == ":" || authority.port_u16().is_some();
    (no_port && !authority.host().is_empty()).then_some(authority)
}

fn agree(target: &Authority, host: &Authority) -> bool {
    let port = |of: &Authority| of.port_u16().unwrap_or(80);
    target.host().eq_ignore_ascii_case(host.host()) && port(target) == port(host)
}

fn invalid(what: &str) -> ApiError {
    let message = format!("the 'host' header {what}; send it once, with this host's name");
    ApiError::client(StatusCode::BAD_REQUEST, "invalid_host", message)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const LOOPBACK: &str = "127.0.0.1";
    const ANYWHERE: &str = "0.0.0.0";

    fn asked(hosts: &Hosts, target: &str, version: Version, sent: &[&str]) -> String {
        let mut request = Request::builder().uri(target).version(version);
        for host in sent {
            request = request.header(header::HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        hosts.check(&parts).map_or_else(|error| error.code().to_owned(), |()| "ok".to_owned())
    }

    fn check(local: &str, guarded: bool, host: &str, expect: &str) {
        let names = ["box.example".to_owned()];
        let hosts = Hosts::new(local.parse().unwrap(), guarded, &names);
        assert_eq!(asked(&hosts, "/", Version::HTTP_11, &[host]), expect, "{local} {host}");
    }

    #[test]
    fn on_loopback_only_loopback_and_listed_names_are_known() {
        for host in ["localhost", "LocalHost:8080", "localhost.", "127.0.0.1:1", "127.9.9.9"] {
            check(LOOPBACK, false, host, "ok");
        }
        for host in ["[::1]:8080", "[::ffff:127.0.0.1]", "box.example", "BOX.example.:80"] {
            check(LOOPBACK, true, host, "ok");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "127.1"] {
            check(LOOPBACK, false, host, "host_not_allowed");
            check(LOOPBACK, true, host, "host_not_allowed");
        }
    }

    #[test]
    fn beyond_loopback_addresses_are_known_and_names_need_a_key_or_a_line() {
        for host in ["10.0.0.1:8080", "[2001:db8::1]", "localhost", "box.example"] {
            check(ANYWHERE, false, host, "ok");
        }
        check(ANYWHERE, false, "rebound.example", "host_not_allowed");
        check(ANYWHERE, false, "0.0.0.0", "host_not_allowed");
        check(ANYWHERE, true, "rebound.example", "ok");
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = Hosts::new(LOOPBACK.parse().unwrap(), false, &[]);
        let check = |target, version, sent: &[&str], expect| {
            assert_eq!(asked(&hosts, target, version, sent), expect, "{target} {sent:?}");
        };
        check("/", Version::HTTP_11, &[], "invalid_host");
        check("/", Version::HTTP_10, &[], "ok");
        check("/", Version::HTTP_11, &["localhost", "localhost"], "invalid_host");
        check("/", Version::HTTP_10, &["localhost", "evil.example"], "invalid_host");
        for odd in ["", "a b", "user@localhost", "localhost:http", "localhost:99999", "localhost/"]
        {
            check("/", Version::HTTP_11, &[odd], "invalid_host");
        }
        check("http://localhost:8080/", Version::HTTP_11, &["localhost:8080"], "ok");
        check("http://evil.example/", Version::HTTP_11, &["localhost"], "invalid_host");
        check("http://localhost:81/", Version::HTTP_11, &["localhost"], "invalid_host");
        check("http://evil.example/", Version::HTTP_10, &[], "host_not_allowed");
    }
}
