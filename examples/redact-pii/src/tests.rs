//! Both directions without a host.

use super::*;
use signalbox_sdk::testing;

const PERSONAL: &str =
    "Mail jane.doe+x@example.co.uk, pay 4111 1111 1111 1111, call +1 (555) 010-0199.";
const CLEAN: &str = "Mail [email], pay [card], call [phone].";

#[test]
fn personal_data_is_named_and_gone() {
    assert_eq!(redact(PERSONAL), CLEAN);
}

#[test]
fn other_numbers_stay() {
    for text in [
        "299 792 458 m/s",
        "2026-11-23",
        "1 000 000 000 people",
        "4111 1111 1111 1112",
        "3.14159",
        "a@b",
        "@name",
        "10.0.0.1",
        "1024 * 768",
        "user@localhost",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn every_message_is_cleaned_before_an_expert_reads_it() {
    let request = testing::conversation([("user", PERSONAL), ("user", "fine")]).build();
    let edits = testing::edits();
    assert_eq!(RedactPii::handle(&request, &edits), Ok(Outcome::Proceed));
    let contents = testing::apply(&request, &edits).messages();
    assert_eq!([&contents[0].content, &contents[1].content], [CLEAN, "fine"]);
}

#[test]
fn chunk_borders_hide_nothing() {
    let request = testing::request("who?").build();
    for size in 1..PERSONAL.len() {
        let chunks = PERSONAL.as_bytes().chunks(size).map(|c| std::str::from_utf8(c).unwrap());
        assert_eq!(testing::reply::<RedactPii>(&request, "any", chunks), CLEAN, "chunks of {size}");
    }
}
