//! The hosts that an operator lets a policy ask: how they are written down, and which requests go to them.

use std::{fmt, net::IpAddr};

use http::{Uri, uri::Authority};

/// What an entry begins with whose name may stand for an address of the operator's own network.
const PRIVATE: &str = "private:";
const CLEAR: &str = "http://";
const SECURED: &str = "https://";

/// A host that a policy may ask: by its name or address, a port, and whether over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    /// Whether it is asked over TLS.
    pub tls: bool,
    /// In lower case, without brackets.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    private: bool,
}

impl HttpHost {
    /// Reads an entry of the operator's list: `host` or `host:port` over TLS, `http://host` in clear; with `private:` before
    /// it one whose name stands for a private address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(entry: &str) -> Result<HttpHost, String> {
        let (flagged, rest) = match entry.strip_prefix(PRIVATE) {
            Some(rest) => (true, rest),
            None => (false, entry),
        };
        let (tls, rest) = match (rest.strip_prefix(CLEAR), rest.strip_prefix(SECURED)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => (true, rest),
        };
        let malformed = || {
            format!(
                "\"{entry}\" is no host; write example.com, example.com:8443, http://10.0.0.7:8001 or private:http://rag.lan"
            )
        };
        let authority: Authority = rest.parse().map_err(|_| malformed())?;
        let mut host = Self::of(tls, &authority).ok_or_else(malformed)?;
        host.private = flagged || host.is_written_private();
        Ok(host)
    }

    /// The host of a URI; `None` for one that names none, or a user.
    pub(crate) fn asked(uri: &Uri) -> Option<HttpHost> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        Self::of(tls, uri.authority()?)
    }

    fn of(tls: bool, authority: &Authority) -> Option<HttpHost> {
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        // Where a user stands before the host, it is not what the authority begins with.
        let behind = authority.as_str().strip_prefix(authority.host())?;
        let port = match behind {
            "" if tls => 443,
            "" => 80,
            _ => authority.port_u16()?,
        };
        let named = !host.is_empty();
        named.then_some(Self { tls, host, port, private: false })
    }

    /// The entry of `listed` that lets this host be asked.
    pub(crate) fn among<'l>(&self, listed: &'l [HttpHost]) -> Option<&'l HttpHost> {
        let place = |host: &HttpHost| (host.tls, host.host.clone(), host.port);
        listed.iter().find(|entry| place(entry) == place(self))
    }

    /// Whether the operator lets its name stand for an address that is not public: said so, or wrote down the address
    /// itself. Whoever rules over any other name could have it stand for a door into the operator's network.
    pub fn may_be_private(&self) -> bool {
        self.private
    }

    fn is_written_private(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok()
    }

    /// What stands in the header `host`.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { SECURED } else { CLEAR };
        write!(f, "{scheme}{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_hosts_with_what_goes_without_saying() {
        let check = |entry, expect: &str, private| {
            let host = HttpHost::parse(entry).unwrap();
            assert_eq!((host.to_string().as_str(), host.may_be_private()), (expect, private));
        };
        check("example.com", "https://example.com", false);
        check("EXAMPLE.com:443", "https://example.com", false);
        check("https://example.com:8443", "https://example.com:8443", false);
        check("http://example.com", "http://example.com", false);
        check("http://localhost:8001", "http://localhost:8001", true);
        check("10.0.0.7", "https://10.0.0.7", true);
        check("http://[::1]:81", "http://[::1]:81", true);
        check("private:http://rag.lan", "http://rag.lan", true);
        let odd =
            ["", "a b", "http://", "example.com/", "user@example.com", "ftp://a", "a:", "a:b"];
        for entry in odd {
            assert!(HttpHost::parse(entry).is_err_and(|why| why.contains("is no host")), "{entry}");
        }
    }

    #[test]
    fn a_request_goes_to_a_host_that_is_listed_and_to_no_other() {
        let listed = ["example.com", "http://localhost:8001"].map(|e| HttpHost::parse(e).unwrap());
        let check = |uri: &str, expect: bool| {
            let asked = HttpHost::asked(&uri.parse().unwrap());
            assert_eq!(asked.is_some_and(|host| host.among(&listed).is_some()), expect, "{uri}");
        };
        check("https://example.com/a?b=c", true);
        check("https://Example.COM:443/", true);
        check("http://localhost:8001/", true);
        check("http://example.com/", false);
        check("https://example.com:8443/", false);
        check("https://example.com.evil.org/", false);
        check("https://user@example.com/", false);
        check("https://evil.org/?https://example.com/", false);
        check("http://localhost/", false);
        check("http://127.0.0.1:8001/", false);
        check("/example.com", false);
    }
}
