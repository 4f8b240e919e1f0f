//! Log probabilities in OpenAI's two forms: of a conversation a list of tokens, of a text lists side by side.

use signalbox_engine::{Logprob, TokenLogprobs};

use super::fields::Fields;
use crate::{
    error::ApiError,
    limits::TOP_LOGPROBS_MAX,
    pipeline::Form,
    wire::completions::{ChatLogprobs, Logprobs, TextLogprobs, TokenLogprob, TopLogprob},
};

/// The fields read here.
pub(super) const NAMES: &[&str] = &["logprobs", "top_logprobs"];

/// Whether they are wanted, and of how many other tokens: a flag and a number in a conversation, one number
/// elsewhere.
pub(super) fn read(fields: &mut Fields<'_>, form: Form) -> Result<Option<u32>, ApiError> {
    if form == Form::Text {
        return fields.count("logprobs", 0, TOP_LOGPROBS_MAX);
    }
    let wanted = fields.read("logprobs")?.unwrap_or(false);
    match (wanted, fields.count("top_logprobs", 0, TOP_LOGPROBS_MAX)?) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            Err(ApiError::value("top_logprobs", "'top_logprobs' goes with \"logprobs\": true only"))
        }
    }
}

/// The tokens of a conversation's reply.
pub(super) fn listed(tokens: Vec<TokenLogprobs>) -> Vec<TokenLogprob> {
    tokens.into_iter().map(token).collect()
}

/// Writes down what tokens weighed; nothing where nobody asked. `offset` is how many characters of the reply
/// came before, and grows by those of these tokens.
pub(super) fn written(
    form: Form,
    tokens: Vec<TokenLogprobs>,
    offset: &mut u32,
) -> Option<Logprobs> {
    (!tokens.is_empty()).then(|| match form {
        Form::Chat => Logprobs::Chat(ChatLogprobs { content: listed(tokens), refusal: None }),
        Form::Text => Logprobs::Text(text(tokens, offset)),
    })
}

fn token(TokenLogprobs { drawn, top }: TokenLogprobs) -> TokenLogprob {
    let top_logprobs = top.into_iter().map(weighed).collect();
    let TopLogprob { token, logprob, bytes } = weighed(drawn);
    TokenLogprob { token, logprob, bytes, top_logprobs }
}

fn weighed(Logprob { bytes, logprob, .. }: Logprob) -> TopLogprob {
    TopLogprob { token: shown(&bytes), logprob, bytes }
}

/// Half characters show as U+FFFD; the bytes say what they are.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn text(weighed: Vec<TokenLogprobs>, offset: &mut u32) -> TextLogprobs {
    let mut lists = TextLogprobs::default();
    for TokenLogprobs { drawn, top } in weighed {
        let token = shown(&drawn.bytes);
        lists.text_offset.push(*offset);
        *offset += u32::try_from(token.chars().count()).unwrap_or(u32::MAX);
        lists.token_logprobs.push(drawn.logprob);
        lists.tokens.push(token);
        let top = top.into_iter().map(|top| (shown(&top.bytes), top.logprob)).collect();
        lists.top_logprobs.push(top);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logprob(bytes: &[u8], logprob: f32) -> Logprob {
        Logprob { token: 7, bytes: bytes.into(), logprob }
    }

    #[test]
    fn both_forms_say_the_same() {
        let tokens = || {
            let token = |bytes: &[u8], at| TokenLogprobs {
                drawn: logprob(bytes, at),
                top: vec![logprob(b"x", -0.5)],
            };
            vec![token("hé".as_bytes(), -1.0), token(&[0xc3], -2.0)]
        };
        let json = |form| {
            let mut offset = 3;
            let written = serde_json::to_value(written(form, tokens(), &mut offset)).unwrap();
            (written, offset)
        };
        let (chat, _) = json(Form::Chat);
        assert_eq!(chat["content"][0]["token"], "hé");
        assert_eq!(chat["content"][1]["bytes"], serde_json::json!([0xc3]));
        assert_eq!(chat["content"][1]["top_logprobs"][0]["logprob"], -0.5);
        let (text, offset) = json(Form::Text);
        assert_eq!(text["tokens"], serde_json::json!(["hé", "\u{fffd}"]));
        assert_eq!(text["text_offset"], serde_json::json!([3, 5]));
        assert_eq!((&text["top_logprobs"][0]["x"], offset), (&serde_json::json!(-0.5), 6));
        assert_eq!(written(Form::Chat, vec![], &mut 0), None);
    }
}
