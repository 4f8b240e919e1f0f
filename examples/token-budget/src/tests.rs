//! Within the budget and beyond it, without a host.

use signalbox_sdk::testing;

use super::*;

#[test]
fn replies_are_capped() {
    testing::set_config("reply-tokens-max", "100");
    let check = |wanted: Option<u32>, expect: Option<u32>| {
        let call = testing::request("hello");
        let call = wanted.map_or(call.clone(), |tokens| call.max_tokens(tokens)).build();
        let edits = testing::edits();
        assert_eq!(TokenBudget::handle(&call, &edits), Ok(Outcome::Proceed));
        assert_eq!(testing::apply(&call, &edits).max_tokens(), expect);
    };
    check(None, Some(100));
    check(Some(500), Some(100));
    check(Some(20), Some(20));
}

#[test]
fn prompts_beyond_the_budget_are_refused() {
    testing::set_config("prompt-tokens-max", "4");
    let handle = |text: &str| {
        let call = testing::conversation([("system", "Be kind."), ("user", text)]).build();
        TokenBudget::handle(&call, &testing::edits())
    };
    assert_eq!(handle("two words"), Ok(Outcome::Proceed));
    let refusal = handle("now three words").unwrap_err();
    let expect = "the messages have 5 tokens and 4 are allowed; shorten them";
    assert_eq!(refusal, Refusal::too_large(expect));
}

#[test]
fn an_expert_that_cannot_count_is_estimated_and_logged() {
    testing::set_config("prompt-tokens-max", "10");
    let call = testing::request(&"x".repeat(44)).model("nobody").build();
    assert!(TokenBudget::handle(&call, &testing::edits()).is_err());
    assert!(testing::logs()[0].1.starts_with("no expert is called 'nobody'"));
}

#[test]
fn a_text_far_too_long_is_not_counted_to_its_end() {
    testing::set_config("prompt-tokens-max", "10");
    let call = testing::request(&"word ".repeat(100_000)).build();
    let refusal = TokenBudget::handle(&call, &testing::edits()).unwrap_err();
    let expect = "the messages have over 10 tokens and 10 are allowed; shorten them";
    assert_eq!(refusal, Refusal::too_large(expect));
}
