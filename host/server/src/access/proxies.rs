//! What a proxy leaves in a request. A proxy on this machine connects from loopback on behalf of
//! somebody who may be anywhere, so a request with its marks is not local.

use axum::http::HeaderMap;

/// Headers that proxies, load balancers and content networks add.
const MARKS: [&str; 24] = [
    "ali-cdn-real-ip",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ipcountry",
    "cf-ray",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "proxy-connection",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-amzn-trace-id",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
];
/// Families of such headers.
const FAMILIES: [&str; 4] = ["x-forwarded", "x-original-forwarded", "x-envoy-", "x-appengine-"];

/// The first mark of a proxy in a request.
pub(super) fn mark(headers: &HeaderMap) -> Option<&str> {
    headers
        .keys()
        .map(|name| name.as_str())
        .find(|name| MARKS.contains(name) || FAMILIES.iter().any(|family| name.starts_with(family)))
}
