//! Whom policies may ask over `wasi:http`, how often, for how long and for how much; and when nobody is asked at all.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use signalbox_policy::{Hook, HttpHost, NewImports, PolicySettings, Provenance, RecordedCall};

use crate::scene::{Scene, guest, menu, says, until, variant};

/// Who may be asked in these tests.
const LISTED: &str = "https://listed.example";

fn listing(settings: &mut PolicySettings) {
    settings.http_hosts.insert("guest".into(), vec![HttpHost::parse(LISTED).unwrap()]);
}

/// What came of the requests of the policy's router.
fn counted(scene: &Scene) -> BTreeMap<&'static str, u64> {
    scene.policies.show("guest").unwrap().counters[&Hook::Route].http_requests.clone()
}

#[tokio::test]
async fn a_policy_asks_hosts_that_are_listed_for_it_and_no_others() {
    let scene = Scene::new(listing).await;
    let told = "200 GET /echo?a=b listed.example:443 0 bytes";
    assert_eq!(scene.reason("get https://listed.example/echo?a=b").await, told);
    assert_eq!(scene.reason("get https://LISTED.example:443/echo?a=b").await, told);
    for url in [
        "http://listed.example/echo",
        "https://listed.example:8443/echo",
        "https://other.example/echo",
        "https://listed.example.evil.org/echo",
        "https://169.254.169.254/latest",
    ] {
        let said = scene.reason(&format!("get {url}")).await;
        assert_eq!(said, "ErrorCode::HttpRequestDenied", "{url}");
    }
    let tunnel = scene.reason("connect https://listed.example/").await;
    assert_eq!(tunnel, "ErrorCode::HttpProtocolError");
    assert_eq!(counted(&scene), BTreeMap::from([("answered", 2), ("denied", 5), ("invalid", 1)]));
    let nobody = Scene::new(|_| {}).await;
    let said = nobody.reason("get https://listed.example/echo").await;
    assert_eq!(said, "ErrorCode::HttpRequestDenied");
    // What the world finds out on the way is told apart.
    for (path, expect) in [
        ("private", "ErrorCode::DestinationIpProhibited"),
        ("nobody", "ErrorCode::ConnectionRefused"),
        ("redirect", "302 "),
    ] {
        assert_eq!(scene.reason(&format!("get {LISTED}/{path}")).await, expect);
    }
}

#[tokio::test]
async fn requests_are_few_and_they_and_their_answers_are_small() {
    let scene = Scene::new(|settings| {
        listing(settings);
        settings.limits.http_requests = 2;
        settings.limits.http_request_bytes = 10_000;
        settings.limits.http_response_bytes = 2000;
    })
    .await;
    let [told, denied] =
        ["200 GET /echo listed.example:443 0 bytes", "ErrorCode::HttpRequestDenied"];
    let thrice = scene.reason("thrice https://listed.example/echo").await;
    assert_eq!(thrice, [told, told, denied].join(", "));
    let sent = scene.reason("send 10000 https://listed.example/echo").await;
    assert_eq!(sent, "200 POST /echo listed.example:443 10000 bytes");
    let sent = scene.reason("send 10001 https://listed.example/echo").await;
    assert_eq!(sent, "ErrorCode::HttpRequestBodySize(Some(10000))");
    let large = scene.reason("get https://listed.example/large").await;
    assert_eq!(large, "ErrorCode::HttpResponseBodySize(Some(2000))");
}

#[tokio::test]
async fn a_host_that_does_not_answer_costs_no_own_time_and_not_much_else() {
    let scene = Scene::new(|settings| {
        listing(settings);
        settings.limits.http_ms = 600; // twice what the hook has for itself
    })
    .await;
    let (began, late) = (Instant::now(), "ErrorCode::HttpResponseTimeout");
    assert_eq!(scene.reason("get https://listed.example/forever").await, late);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(600), "{took:?}");
    // Those of one call have their time together.
    let thrice = scene.reason("thrice https://listed.example/forever").await;
    assert_eq!(thrice, [late; 3].join(", "));
    assert_eq!(scene.reason("within 20 https://listed.example/forever").await, late);
    let counters = &scene.policies.show("guest").unwrap().counters[&Hook::Route];
    assert!(counters.host_us > 3 * counters.guest_us, "{counters:?}");
    // Who sleeps beside a request has the time of the request for it, and its own.
    let began = Instant::now();
    let error = scene.route("leave https://listed.example/forever").await.unwrap_err();
    assert_eq!(error.code(), "policy_deadline");
    assert!(began.elapsed() >= Duration::from_millis(600));
    until(|| counted(&scene).get("late") == Some(&6)).await;
}

#[tokio::test]
async fn who_is_only_tried_asks_nobody() {
    let scene = Scene::empty(listing);
    scene.put("guest", guest()).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    let told = "200 GET /echo listed.example:443 0 bytes";
    assert_eq!(scene.reason("get https://listed.example/echo").await, told);
    let seen = || {
        let shadow = scene.policies.show("guest").unwrap().shadow.unwrap();
        shadow.hooks.get(&Hook::Route).map(|seen| (seen.compared, seen.failures.len()))
    };
    until(|| seen() == Some((1, 0))).await;
    let call = says("get https://listed.example/echo");
    let recorded = RecordedCall { call, routed: None, menu: menu() };
    let (component, from) = (variant(2).into(), Provenance::Outside(None));
    let within = Duration::from_secs(60);
    let replayed = scene.policies.replay("guest", component, from, vec![recorded], within).await;
    assert_eq!(replayed.unwrap().hooks[&Hook::Route].failures.len(), 0);
    assert_eq!(counted(&scene), BTreeMap::from([("answered", 1)]));
    let revisions = scene.policies.show("guest").unwrap().revisions;
    let shadow = revisions.iter().find(|revision| revision.revision == candidate).unwrap();
    let asked = shadow.counters.get(&Hook::Route).map(|counters| &counters.http_requests);
    assert!(asked.is_none_or(|asked| !asked.contains_key("answered")), "{asked:?}");
}
