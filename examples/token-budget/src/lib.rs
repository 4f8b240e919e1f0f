//! Bounds what one call may cost: refuses prompts over `prompt-tokens-max` and caps replies at
//! `reply-tokens-max`, both set by the operator.

use signalbox_sdk::{Edits, Outcome, Pre, Refusal, Request, config, export, log, tokens};

/// Prompt tokens allowed where the operator set no other bound.
const PROMPT_TOKENS_MAX: u32 = 4096;
/// Reply tokens allowed where the operator set no other bound.
const REPLY_TOKENS_MAX: u32 = 1024;
/// Estimated bytes of a token, for when the expert's tokenizer can't be asked.
const BYTES_PER_TOKEN: usize = 4;

struct TokenBudget;

impl Pre for TokenBudget {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let prompt_max = config::parse("prompt-tokens-max", PROMPT_TOKENS_MAX);
        let prompt = prompt_tokens(request);
        if prompt > prompt_max {
            return Err(Refusal::too_large(format!(
                "the prompt has about {prompt} tokens and {prompt_max} are allowed; shorten it"
            )));
        }
        let reply_max = config::parse("reply-tokens-max", REPLY_TOKENS_MAX).max(1);
        if request.max_tokens().is_none_or(|asked| asked > reply_max) {
            edits.set_max_tokens(reply_max);
        }
        Ok(Outcome::Proceed)
    }
}

/// Tokens of all messages, as the expert counts them, or estimated when it can't be asked.
fn prompt_tokens(request: &Request) -> u32 {
    let texts: Vec<String> = request.messages().into_iter().map(|m| m.content).collect();
    let text = texts.join("\n");
    tokens::count(&text, request.model().as_deref()).unwrap_or_else(|error| {
        log::warn(format!("counting by length: {error}"));
        u32::try_from(text.len() / BYTES_PER_TOKEN).unwrap_or(u32::MAX)
    })
}

export!(TokenBudget: pre);

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_sdk::testing;

    fn capped(asked: Option<u32>) -> Option<u32> {
        let request = testing::request("hello");
        let request = match asked {
            Some(tokens) => request.max_tokens(tokens).build(),
            None => request.build(),
        };
        let edits = testing::edits();
        assert_eq!(TokenBudget::handle(&request, &edits), Ok(Outcome::Proceed));
        testing::apply(&request, &edits).max_tokens()
    }

    #[test]
    fn replies_are_capped_and_never_extended() {
        testing::set_config("reply-tokens-max", "100");
        assert_eq!(capped(None), Some(100));
        assert_eq!(capped(Some(500)), Some(100));
        assert_eq!(capped(Some(7)), Some(7));
    }

    #[test]
    fn long_prompts_are_refused_with_numbers() {
        testing::set_config("prompt-tokens-max", "5");
        let long = testing::request(&"word ".repeat(100)).build();
        let refusal = TokenBudget::handle(&long, &testing::edits()).unwrap_err();
        assert!(refusal.message.contains("5 are allowed"), "{}", refusal.message);
    }
}
