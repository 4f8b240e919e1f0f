//! Ends: asked to stop, the host finishes its streams within a bound and exits 0.

use std::time::Duration;

use serde_json::json;

use crate::{
    answers::recorded,
    host::{Host, config},
    http::{Events, chat_body},
};

#[test]
fn a_stream_in_flight_is_finished_before_the_exit() {
    let mut host = Host::start();
    let (prompt, answer) = &recorded("gemma3_multimodal")[0];
    let mut events = Events::open(&host.url, chat_body("gemma3_multimodal", prompt));
    events.next_data().unwrap();
    host.terminate();
    let (text, _) = events.finish();
    assert!(answer.ends_with(&text) && !text.is_empty(), "{text:?} is not the rest of {answer:?}");
    assert_eq!(host.exit_within(Duration::from_secs(20)).and_then(|s| s.code()), Some(0));
}

#[test]
fn a_stream_that_does_not_end_is_cut_at_the_bound() {
    let mut hasty = config();
    hasty["limits"] = json!({"drain_s": 1});
    let mut host = Host::start_with(hasty);
    let mut body = chat_body("gemma3_multimodal", "Hello there");
    body["temperature"] = json!(2);
    body["top_p"] = json!(1);
    body["max_tokens"] = json!(1500);
    let mut streams: Vec<_> = (0..16).map(|_| Events::open(&host.url, body.clone())).collect();
    streams.iter_mut().for_each(|events| drop(events.next_data().unwrap()));
    host.terminate();
    assert_eq!(host.exit_within(Duration::from_secs(10)).and_then(|s| s.code()), Some(0));
}
