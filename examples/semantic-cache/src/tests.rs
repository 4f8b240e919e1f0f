//! Nearly the same, another number, another caller, and too late, without a host.

use signalbox_sdk::testing::{self, RequestBuilder};

use super::*;
use crate::{
    group::{Entry, Group},
    question::Question,
};

/// Goes through both hooks: what the cache answers by itself, or what the expert says.
fn ask(call: RequestBuilder) -> Option<String> {
    let (call, edits) = (call.build(), testing::edits());
    match SemanticCache::handle(&call, &edits).unwrap() {
        Outcome::Answer(text) => Some(text),
        _ => {
            let call = testing::apply(&call, &edits);
            testing::reply::<SemanticCache>(&call, "expert", ["an ", "answer"]);
            None
        }
    }
}

fn asked(text: &str) -> RequestBuilder {
    testing::request(text).caller("key:a").temperature(0.0)
}

/// Words count by their first three letters; the order of words does not.
fn vectors() {
    testing::set_vectors(|text| {
        let mut vector = vec![0.0; 64];
        for word in text.to_lowercase().split_whitespace() {
            let place: u32 = word.bytes().take(3).map(u32::from).sum();
            vector[place as usize % 64] += 1.0;
        }
        vector
    });
}

#[test]
fn nearly_the_same_question_is_answered_and_others_are_not() {
    vectors();
    assert_eq!(ask(asked("how tall is the tower")), None);
    assert_eq!(ask(asked("How tall, is the tower?")).as_deref(), Some("an answer"));
    assert_eq!(ask(asked("is the tower how tall")).as_deref(), Some("an answer"));
    assert_eq!(ask(asked("who built the house")), None);
    assert_eq!(ask(asked("how tall is the tower").caller("key:b")), None, "another caller");
    assert_eq!(ask(asked("how tall is the tower").max_tokens(5)), None, "another parameter");
    let before = [("user", "hello"), ("assistant", "hi"), ("user", "how tall is the tower")];
    let behind = || testing::conversation(before).caller("key:a").temperature(0.0);
    assert_eq!((ask(behind()), ask(behind()).is_some()), (None, true), "another conversation");
}

#[test]
fn numbers_and_code_have_to_be_the_same() {
    vectors();
    testing::set_config("threshold", "0.5");
    assert_eq!(ask(asked("what is 16 plus x_1")), None);
    assert!(ask(asked("what was 16 plus x_1")).is_some());
    assert_eq!(ask(asked("what is 17 plus x_1")), None);
    assert_eq!(ask(asked("what is 16 plus x_2")), None);
}

#[test]
fn what_is_drawn_by_chance_or_not_in_the_text_is_not_kept() {
    vectors();
    for _ in 0..2 {
        assert_eq!(ask(asked("hello there").temperature(0.7)), None);
        assert_eq!(ask(testing::request("hello there")), None);
        assert_eq!(ask(asked("hello there").tool("search")), None);
        assert_eq!(ask(asked("hello there").images(1)), None);
        assert_eq!(ask(asked(&"hello ".repeat(200))), None);
    }
    testing::set_config("any-temperature", "yes");
    assert_eq!(ask(asked("hello there").temperature(0.7)), None);
    assert!(ask(asked("hello there").temperature(0.7)).is_some());
}

#[test]
fn callers_share_where_the_operator_says_so_and_answers_end() {
    vectors();
    testing::set_config("shared", "yes");
    assert_eq!(ask(asked("hello there")), None);
    assert!(ask(asked("hello there").caller("key:b")).is_some());
    testing::set_config("seconds", "0");
    assert_eq!((ask(asked("good night")), ask(asked("good night"))), (None, None));
}

#[test]
fn without_vectors_nothing_is_near() {
    assert_eq!((ask(asked("hello there")), ask(asked("hello there"))), (None, None));
}

#[test]
fn a_group_is_read_as_it_was_written_and_stays_small() {
    let entry = |n: u64, bytes: usize| Entry {
        end: n,
        question: Question { vector: vec![0.5, n as f32], exact: n.to_string() },
        answer: "x".repeat(bytes),
    };
    let group = (1..4).fold(Group::default(), |group, n| group.with(entry(n, 10)));
    assert_eq!(Group::read(&group.written()), Some(group.clone()));
    assert_eq!(group.clone().lives(2).0.len(), 1);
    let written = group.written();
    assert_eq!(Group::read(&written[..written.len() - 1]), None);
    assert_eq!(Group::read(b"something else"), None);
    let many = (0..99).fold(Group::default(), |group, n| group.with(entry(n, 10)));
    assert_eq!((many.0.len(), many.0[0].end), (64, 35), "the oldest gave way");
    let large = (0..40).fold(Group::default(), |group, n| group.with(entry(n, 8 << 10)));
    assert!(large.written().len() <= 128 << 10 && large.0.len() > 10);
}
