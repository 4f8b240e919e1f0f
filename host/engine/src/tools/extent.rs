//! How far a JSON value reaches in a text that is still being written.

/// How far an object or a list reaches that begins a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// None begins it.
    None,
    /// So many bytes.
    Whole(usize),
    /// To the end of the text, and what closes it.
    Open { missing: String },
    /// Up to something that no value has outside of its strings, and what closes it.
    Broken { bytes: usize, missing: String },
}

/// Looks at brackets and strings only.
pub(super) fn extent(text: &str) -> Extent {
    if !text.starts_with(['{', '[']) {
        return Extent::None;
    }
    let (mut open, mut quoted, mut escaped) = (Vec::new(), false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.last() == Some(&c) => {
                open.pop();
                if open.is_empty() {
                    return Extent::Whole(at + 1);
                }
            }
            '}' | ']' | '<' | '`' => {
                return Extent::Broken { bytes: at, missing: open.iter().rev().collect() };
            }
            _ => {}
        }
    }
    let quote = if quoted { "\"" } else { "" };
    let missing: String = open.iter().rev().collect();
    Extent::Open { missing: format!("{quote}{missing}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &Extent) {
        assert_eq!(&extent(text), expect, "{text}");
    }

    #[test]
    fn brackets_are_counted_outside_of_strings() {
        check("hi", &Extent::None);
        check("{}", &Extent::Whole(2));
        check(r#"{"a": "}\""} rest"#, &Extent::Whole(12));
        check("[[1], [2]]]", &Extent::Whole(10));
        check(r#"{"a": [1"#, &Extent::Open { missing: "]}".into() });
        check(r#"{"a": "b"#, &Extent::Open { missing: "\"}".into() });
        let broken = Extent::Broken { bytes: 8, missing: "}".into() };
        check("{\"a\": 1\n</tool_call>", &broken);
    }
}
