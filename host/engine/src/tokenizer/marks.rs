//! Which texts look like marks of a vocabulary, and not like anything that people write.

/// A longer text is no mark.
const MARK_BYTES_MAX: usize = 64;

/// Gemma's tokens that stand for pictures, which no text can bring.
pub(crate) const PICTURE_MARKS: [&str; 3] =
    ["<start_of_image>", "<end_of_image>", "<image_soft_token>"];

/// `<name>` or `[name]`.
pub(crate) fn is_mark(text: &str) -> bool {
    let framed = |open: char, close: char| text.starts_with(open) && text.ends_with(close);
    let blank = text.chars().any(char::is_whitespace);
    (3..=MARK_BYTES_MAX).contains(&text.len()) && !blank && (framed('<', '>') || framed('[', ']'))
}

/// `<|name|>`: nothing but control tokens is called that.
pub(crate) fn is_control_by_name(text: &str) -> bool {
    let inner = text.strip_prefix("<|").and_then(|text| text.strip_suffix("|>"));
    inner.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_look_like_marks() {
        assert_eq!(["<s>", "<|im_end|>", "[INST]", "<start_of_turn>"].map(is_mark), [true; 4]);
        assert_eq!(["<>", "< b >", "user", "[", "\n\n"].map(is_mark), [false; 5]);
        assert_eq!(["<|end|>", "<|/tool|>"].map(is_control_by_name), [true; 2]);
        assert_eq!(["<end>", "<||>", "<|a b|>"].map(is_control_by_name), [false; 3]);
    }
}
