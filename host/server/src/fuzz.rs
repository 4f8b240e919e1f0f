//! What strangers send, as fuzzers send it: any bytes. The suite runs each target for a second on bytes
//! drawn at random; `tests/fuzz` runs it under coverage guidance until it is stopped.

use crate::api;

/// A chat call's body: read, or refused with a code; never more text than was sent.
///
/// The bytes are taken as they are, or, when the first one is odd, as words of a dictionary: pieces
/// of JSON that calls are made of, which random bytes would not hit upon.
pub fn body(bytes: &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if first % 2 == 1 => api::read_any(worded(rest).as_bytes()),
        Some((_, rest)) => api::read_any(rest),
        None => api::read_any(bytes),
    }
}

/// Pieces of bodies.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "{\"messages\":[",
    "]}",
    "\"messages\":",
    "\"role\":\"user\"",
    "\"role\":",
    "\"content\":",
    "\"type\":\"text\"",
    "\"text\":",
    "\"type\":\"image_url\"",
    "\"image_url\":",
    "{\"url\":\"data:image/png;base64,",
    "\"system\"",
    "\"tool_calls\":",
    "\"stop\":",
    "\"max_tokens\":",
    "\"temperature\":",
    "\"top_p\":",
    "\"seed\":",
    "\"stream\":",
    "\"model\":",
    "\"tools\":",
    "\"response_format\":",
    "\"n\":",
    "\"unknown\":",
    "\"\\u0000\\ud83d\"",
    "\"\u{fffc}\"",
    "\"",
    "\\",
    "\\u",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "0.5",
    "\"auto\"",
    "\"\\n\\u2028\"",
    "[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    " ",
];

fn worded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn any_body_is_read_or_refused() {
        bolero::check!().with_test_time(Duration::from_secs(1)).for_each(super::body);
    }
}
