//! What kind of question a call is, by signs that cost nothing: what is learned of one kind says little of another.

use signalbox_sdk::Request;

/// Bytes of a message that is short, and of one that is long.
const SHORT: usize = 60;
const LONG: usize = 2000;
/// What code looks like, in any language.
const CODE: [&str; 6] = ["```", "def ", "fn ", "();", "{\n", "#include"];

pub(crate) fn of(request: &Request) -> &'static str {
    let text = request.last_user_text();
    if request.has_images() {
        "images"
    } else if !request.tools().is_empty() {
        "tools"
    } else if CODE.iter().any(|sign| text.contains(sign)) {
        "code"
    } else if text.len() <= SHORT {
        "short"
    } else if text.len() > LONG {
        "long"
    } else {
        "plain"
    }
}
