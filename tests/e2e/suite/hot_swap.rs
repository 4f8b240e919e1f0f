//! Levers are thrown while trains run: 200 activations under 8 streaming clients.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;

use crate::{
    answers::recorded,
    host::{EXPERTS, Host},
    http::{Events, chat_body},
};

const CLIENTS: usize = 8;
const ACTIVATIONS: usize = 200;

/// What every expert says to every prompt: whoever is chosen, the reply must be whole.
type Expected = BTreeMap<(String, String), String>;

#[test]
fn swapping_routers_under_load_tears_nothing_and_reloads_nothing() {
    let host = Host::start();
    let by_domain = active_router(&host);
    let round_robin = host.deploy_example("round-robin");
    let prompts: Vec<String> = EXPERTS.iter().map(|(id, _)| recorded(id)[0].0.clone()).collect();
    let expected = expected_replies(&host, &prompts);
    let before = weights(&host);

    let swapping = AtomicBool::new(true);
    let replies = AtomicUsize::new(0);
    let routes = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|i| {
                let (host, prompts, expected) = (&host, &prompts, &expected);
                let (swapping, replies) = (&swapping, &replies);
                scope.spawn(move || client(host, i, prompts, expected, swapping, replies))
            })
            .collect();
        for i in 0..ACTIVATIONS {
            let (name, revision) =
                [("round-robin", &round_robin), ("route-by-domain", &by_domain)][i % 2];
            host.activate(name, revision);
        }
        swapping.store(false, Ordering::SeqCst);
        clients.into_iter().flat_map(|c| c.join().unwrap()).collect::<Vec<_>>()
    });

    assert!(replies.into_inner() >= CLIENTS, "the clients hardly spoke");
    for name in ["round-robin", "route-by-domain"] {
        assert!(routes.iter().any(|r| r.starts_with(name)), "no reply was routed by {name}");
    }
    assert_eq!(weights(&host), before, "an expert was loaded again or moved");
    for (id, _) in EXPERTS {
        assert_eq!(host.expert(id)["load_count"], 1);
    }
}

/// Stream until the swapping ends; every reply must be one that its expert gives.
fn client(
    host: &Host,
    offset: usize,
    prompts: &[String],
    expected: &Expected,
    swapping: &AtomicBool,
    replies: &AtomicUsize,
) -> Vec<String> {
    let mut routes = Vec::new();
    for prompt in prompts.iter().cycle().skip(offset) {
        if !swapping.load(Ordering::SeqCst) {
            break;
        }
        let events = Events::open(&host.url, chat_body("auto", prompt));
        let (expert, route) = (events.expert.clone(), events.route.clone());
        let (text, _) = events.finish();
        assert_eq!(text, expected[&(expert.clone(), prompt.clone())], "a torn reply by {expert}");
        routes.push(route);
        replies.fetch_add(1, Ordering::Relaxed);
    }
    routes
}

fn expected_replies(host: &Host, prompts: &[String]) -> Expected {
    let pairs = EXPERTS.iter().flat_map(|(id, _)| prompts.iter().map(move |p| (*id, p)));
    pairs.map(|(id, p)| ((id.to_owned(), p.clone()), host.ask(id, p))).collect()
}

fn active_router(host: &Host) -> String {
    let policy = host.admin_get("/policies/route-by-domain");
    policy["active"].as_str().unwrap_or_else(|| panic!("no active revision: {policy}")).to_owned()
}

/// How often each expert was loaded, and where its weights are.
fn weights(host: &Host) -> Vec<(Value, Value)> {
    let experts = host.admin_get("/experts");
    let experts = experts["experts"].as_array().unwrap();
    let found: Vec<_> =
        experts.iter().map(|e| (e["load_count"].clone(), e["weights_address"].clone())).collect();
    assert!(found.iter().all(|(_, address)| !address.is_null()), "no addresses: {experts:?}");
    found
}
