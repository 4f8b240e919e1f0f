//! Asked twice, asked otherwise, and asked too late, without a host.

use signalbox_sdk::{
    keyvalue,
    testing::{self, RequestBuilder},
};

use super::*;

/// Goes through both hooks: what the cache answers by itself, or what the expert says.
fn ask(call: RequestBuilder) -> Option<String> {
    let (call, edits) = (call.build(), testing::edits());
    match AnswerCache::handle(&call, &edits).unwrap() {
        Outcome::Answer(text) => Some(text),
        _ => {
            let call = testing::apply(&call, &edits);
            testing::reply::<AnswerCache>(&call, "expert", ["an ", "answer"]);
            None
        }
    }
}

#[test]
fn the_same_call_is_answered_and_others_are_not() {
    let call = || testing::request("hello").caller("key:a");
    assert_eq!(ask(call()), None);
    assert_eq!(ask(call()).as_deref(), Some("an answer"));
    assert_eq!(ask(call().caller("key:b")), None);
    assert_eq!(ask(call().max_tokens(5)), None);
    assert_eq!(ask(call().model("expert")), None);
    for _ in 0..2 {
        assert_eq!(ask(call().tool("search")), None);
        assert_eq!(ask(call().images(1)), None);
    }
}

#[test]
fn callers_share_where_the_operator_says_so() {
    testing::set_config("share", "yes");
    assert_eq!(ask(testing::request("hello").caller("key:a")), None);
    assert!(ask(testing::request("hello").caller("key:b")).is_some());
}

#[test]
fn an_answer_ends() {
    testing::set_config("seconds", "0");
    assert_eq!((ask(testing::request("hello")), ask(testing::request("hello"))), (None, None));
    assert_eq!(keyvalue::open().unwrap().keys().unwrap().len(), 1);
}
