//! Where an image may be fetched from: a host that the operator named, at an address that is no
//! secret door into the operator's own network.

use std::net::IpAddr;

use axum::http::{Uri, uri::Scheme};

use super::ImageProblem;
use crate::outgoing::is_public;

/// A place that the operator allowed.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) uri: Uri,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl Address {
    /// Reads a URL whose host the operator allowed: by its name, and by its port when it is not the
    /// scheme's own.
    pub(super) fn read(url: &str, hosts: &[String]) -> Result<Self, ImageProblem> {
        let unreadable = |why: &str| ImageProblem::Url(format!("the URL can't be read: {why}"));
        let uri: Uri = url.parse().map_err(|_| unreadable("it is malformed"))?;
        let authority = uri.authority().ok_or_else(|| unreadable("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(unreadable("it carries a user name"));
        }
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let own_port = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(own_port);
        let named = match port == own_port {
            true => authority.host().to_owned(),
            false => format!("{}:{port}", authority.host()),
        };
        if !hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&named)) {
            let why = match hosts {
                [] => "the operator allowed no host (images.allowed_hosts)".to_owned(),
                hosts => format!("the operator allowed {} only", hosts.join(", ")),
            };
            return Err(ImageProblem::NotAllowed { host: format!("'{named}'"), why });
        }
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        Ok(Self { uri, host, port, tls })
    }

    /// Whether what the host's name stands for may be connected to. Whoever rules over a name can let
    /// it stand for any address, so one that is not public has to be allowed by itself.
    pub(super) fn leads_to(&self, ip: IpAddr, hosts: &[String]) -> bool {
        let ip = ip.to_canonical();
        is_public(ip)
            || self.host == "localhost" && ip.is_loopback()
            || hosts.iter().any(|allowed| literal(allowed) == Some(ip))
    }
}

/// The address that an entry of the list is, with or without a port.
fn literal(allowed: &str) -> Option<IpAddr> {
    let uri: axum::http::uri::Authority = allowed.parse().ok()?;
    uri.host().trim_matches(['[', ']']).parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_allowed_hosts_are_addressed() {
        let check = |hosts: &[&str], url: &str, expect: Option<&str>| {
            let message = Address::read(url, &list(hosts)).err().map(|problem| problem.to_string());
            match expect {
                None => assert_eq!(message, None, "{url}"),
                Some(word) => {
                    assert!(message.as_ref().unwrap().contains(word), "{url}: {message:?}")
                }
            }
        };
        check(&["example.com"], "http://example.com/a.png", None);
        check(&["example.com"], "https://EXAMPLE.com:443/a.png", None);
        check(&["example.com:81"], "http://example.com:81/a.png", None);
        check(&["[::1]:81"], "http://[::1]:81/a.png", None);
        check(&["example.com"], "http://example.com:81/a.png", Some("'example.com:81'"));
        check(&["example.com"], "http://example.com.evil.org/", Some("allowed example.com only"));
        check(&["example.com"], "http://example.com@evil.org/", Some("user name"));
        check(&["example.com"], "http://169.254.169.254/", Some("'169.254.169.254'"));
        check(&[], "http://example.com/", Some("allowed no host"));
        check(&["example.com"], "http:a.png", Some("not fetched from 'http'"));
        check(&["example.com"], "http://example.com\\@evil.org/", Some("can't be read"));
    }

    #[test]
    fn a_name_does_not_lead_into_the_operators_network() {
        let check = |hosts: &[&str], host: &str, ip: &str, expect: bool| {
            let address = Address::read(&format!("http://{host}/"), &list(hosts)).unwrap();
            assert_eq!(address.leads_to(ip.parse().unwrap(), &list(hosts)), expect, "{host} {ip}");
        };
        for public in ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"] {
            check(&["example.com"], "example.com", public, true);
        }
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:10.1.2.3",
            "64:ff9b::a01:203",
            "2002:a01:203::1",
            "2001:db8::1",
            "::127.0.0.1",
            "fec0::1",
        ] {
            check(&["example.com"], "example.com", inner, false);
        }
        check(&["10.1.2.3"], "10.1.2.3", "10.1.2.3", true);
        check(&["intern.example", "10.1.2.3:81"], "intern.example", "10.1.2.3", true);
        check(&["intern.example", "10.1.2.3:81"], "intern.example", "10.1.2.4", false);
        check(&["localhost"], "localhost", "127.0.0.1", true);
        check(&["localhost"], "localhost", "10.1.2.3", false);
    }
}
