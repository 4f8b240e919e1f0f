//! What a host's name stands for, and whether that may be connected to. It is looked up once, and what was judged is what is
//! connected to: whoever rules over a name could say something else the next time.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Until one address of a host has accepted.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// Nobody knows the name.
    Unknown,
    /// It stands for addresses that may not be connected to, and for no other.
    NotAllowed,
    /// None of them accepts.
    Refused,
}

/// Connects to the first address of a host that is `allowed` and accepts.
///
/// # Errors
/// Why there is none.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    allowed: impl Fn(IpAddr) -> bool,
) -> Result<TcpStream, NoConnection> {
    let found = lookup_host((host, port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| NoConnection::Unknown)?.collect();
    let known = !found.is_empty();
    let mut places = found.into_iter().filter(|found| allowed(found.ip())).peekable();
    if known && places.peek().is_none() {
        return Err(NoConnection::NotAllowed);
    }
    for place in places {
        match timeout(CONNECT_TIME, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tracing::debug!(%place, %error, "a host does not accept"),
            Err(_) => tracing::debug!(%place, "a host does not answer"),
        }
    }
    Err(NoConnection::Refused)
}

/// Whether an address is reached over the Internet and nowhere else.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b); // RFC 6598
    let benchmark = a == 198 && (18..20).contains(&b); // RFC 2544
    let assigned = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    !(a == 0
        || a >= 224
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || shared
        || benchmark
        || assigned)
}

/// Global unicast, without what carries other addresses (6to4, Teredo) or stands in documents.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let carried = a == 0x2002 || (a, b) == (0x2001, 0);
    let document = (a, b) == (0x2001, 0xdb8) || a == 0x3fff;
    a & 0xe000 == 0x2000 && !carried && !document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_allowed_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let public = connect("127.0.0.1", port, is_public).await;
        assert_eq!(public.err(), Some(NoConnection::NotAllowed));
        assert!(connect("127.0.0.1", port, |_| true).await.is_ok());
        drop(listener);
        let gone = connect("127.0.0.1", port, |_| true).await;
        assert_eq!(gone.err(), Some(NoConnection::Refused));
    }
}
