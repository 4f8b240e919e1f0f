//! Keeps calls within a budget: caps the tokens of a reply and refuses prompts that are too long.
//!
//! Tokens are counted by the tokenizer of the expert that the client named, or else by that of the
//! highest-priority expert; chat templates add a few more, which are not counted here.

#[cfg(test)]
mod tests;

use signalbox_sdk::{Edits, Outcome, Pre, Refusal, Request, config, export, log, tokens};

/// Used for `prompt-tokens-max`, tokens, when the operator sets none.
const PROMPT_TOKENS_MAX: u32 = 2048;

/// Used for `reply-tokens-max`, tokens, when the operator sets none.
const REPLY_TOKENS_MAX: u32 = 512;

/// Counted at once.
const PIECE_BYTES: usize = 32 << 10;

struct TokenBudget;

impl Pre for TokenBudget {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let most = config::parse("prompt-tokens-max", PROMPT_TOKENS_MAX);
        if let Some(message) = beyond(request, most) {
            return Err(Refusal::too_large(format!(
                "the messages have {message} tokens and {most} are allowed; shorten them"
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

/// How many tokens all messages have, in words, when they are more than `most`. They are counted
/// piece by piece and no further than that, so that a text far too long is refused at once.
fn beyond(request: &Request, most: u32) -> Option<String> {
    let (model, mut piece, mut tokens) = (request.model(), String::new(), 0u32);
    for index in 0..request.message_count() {
        if index > 0 {
            piece.push('\n');
        }
        for part in parts(&request.message(index)?.content) {
            if piece.len() + part.len() > PIECE_BYTES {
                tokens = tokens.saturating_add(count(&piece, model.as_deref()));
                piece.clear();
            }
            if tokens > most {
                return Some(format!("over {most}"));
            }
            piece.push_str(part);
        }
    }
    tokens = tokens.saturating_add(count(&piece, model.as_deref()));
    (tokens > most).then(|| tokens.to_string())
}

/// The text in parts that are no larger than a piece.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (part, rest) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

fn count(text: &str, expert: Option<&str>) -> u32 {
    tokens::count(text, expert).unwrap_or_else(|error| {
        log::warn(format_args!("{error}; estimating one token per four bytes"));
        u32::try_from(text.len() / 4).unwrap_or(u32::MAX)
    })
}
