//! Headers that say what is left of a minute, in the names that clients look for: OpenAI's, and Anthropic's on its paths.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    date,
    error::dialects::Shape,
    quota::{Account, Left},
};

/// Adds them, where the account is bounded.
pub(super) fn tell(headers: &mut HeaderMap, account: &Account, shape: Shape) {
    let (requests, tokens) = account.left();
    for (what, left) in [("requests", requests), ("tokens", tokens)] {
        for (name, value) in left.into_iter().flat_map(|left| lines(what, left, shape)) {
            // Both are made of letters, digits and punctuation.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        }
    }
}

fn lines(what: &str, left: Left, shape: Shape) -> [(String, String); 3] {
    let Left { most, left, full_in } = left;
    let (most, left) = (most.to_string(), left.to_string());
    match shape {
        Shape::Anthropic => {
            let name = |part| format!("anthropic-ratelimit-{what}-{part}");
            let reset = date::rfc_3339(SystemTime::now() + full_in);
            [(name("limit"), most), (name("remaining"), left), (name("reset"), reset)]
        }
        Shape::OpenAi | Shape::Ollama => {
            let name = |part| format!("x-ratelimit-{part}-{what}");
            [(name("limit"), most), (name("remaining"), left), (name("reset"), span(full_in))]
        }
    }
}

/// As OpenAI writes it: `6m0s`, `1.5s`, `17ms`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 60, seconds) {
        (0, 0) => format!("{}ms", time.as_millis()),
        (0, _) => format!("{}s", (time.as_secs_f64() * 1e3).ceil() / 1e3),
        (minutes, _) => format!("{minutes}m{}s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_openai_does() {
        let check = |millis, expect| assert_eq!(span(Duration::from_millis(millis)), expect);
        check(0, "0ms");
        check(17, "17ms");
        check(1500, "1.5s");
        check(59_000, "59s");
        check(360_000, "6m0s");
    }
}
