//! Keeps calls within a budget: caps the tokens of a reply and refuses prompts that are too long.
//!
//! Tokens are counted by the tokenizer of the expert that the client named, or else by that of the
//! highest-priority expert; chat templates add a few more, which are not counted here.

use signalbox_sdk::{Edits, Outcome, Pre, Refusal, Request, config, export, log, tokens};

/// Used for `prompt-tokens-max`, tokens, when the operator sets none.
const PROMPT_TOKENS_MAX: u32 = 2048;

/// Used for `reply-tokens-max`, tokens, when the operator sets none.
const REPLY_TOKENS_MAX: u32 = 512;

struct TokenBudget;

impl Pre for TokenBudget {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let most = config::parse("prompt-tokens-max", PROMPT_TOKENS_MAX);
        let tokens = prompt_tokens(request);
        if tokens > most {
            return Err(Refusal::too_large(format!(
                "the messages have {tokens} tokens and {most} are allowed; shorten them"
            )));
        }
        let cap = config::parse("reply-tokens-max", REPLY_TOKENS_MAX).max(1);
        if request.max_tokens().is_none_or(|wanted| wanted > cap) {
            edits.set_max_tokens(cap);
        }
        Ok(Outcome::Proceed)
    }
}

export!(TokenBudget: pre);

/// Tokens of all messages.
fn prompt_tokens(request: &Request) -> u32 {
    let texts: Vec<_> = request.messages().into_iter().map(|message| message.content).collect();
    let text = texts.join("\n");
    tokens::count(&text, request.model().as_deref()).unwrap_or_else(|error| {
        log::warn(format_args!("{error}; estimating one token per four bytes"));
        u32::try_from(text.len() / 4).unwrap_or(u32::MAX)
    })
}

#[cfg(test)]
mod tests {
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
}
