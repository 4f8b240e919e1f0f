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
    Brackets::default().read(text)
}

/// The brackets of a value, which are read as it comes.
#[derive(Debug, Default)]
pub(super) struct Brackets {
    read: usize,
    /// What closes those that are open.
    open: Vec<char>,
    quoted: bool,
    escaped: bool,
}

impl Brackets {
    /// Reads on in a text that begins as it did before, and was open then.
    pub(super) fn read(&mut self, text: &str) -> Extent {
        if !text.starts_with(['{', '[']) {
            return Extent::None;
        }
        let begin = self.read;
        for (at, c) in text[begin..].char_indices().map(|(at, c)| (begin + at, c)) {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' if self.quoted => self.escaped = true,
                '"' => self.quoted = !self.quoted,
                _ if self.quoted => {}
                '{' => self.open.push('}'),
                '[' => self.open.push(']'),
                '}' | ']' if self.open.last() == Some(&c) => {
                    self.open.pop();
                    if self.open.is_empty() {
                        return Extent::Whole(at + 1);
                    }
                }
                '}' | ']' | '<' | '`' => {
                    return Extent::Broken { bytes: at, missing: self.missing() };
                }
                _ => {}
            }
        }
        self.read = text.len();
        let quote = if self.quoted { "\"" } else { "" };
        Extent::Open { missing: format!("{quote}{}", self.missing()) }
    }

    fn missing(&self) -> String {
        self.open.iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &Extent) {
        assert_eq!(&extent(text), expect, "{text}");
    }

    #[test]
    fn what_comes_in_pieces_reaches_as_far() {
        let (text, mut brackets) = (r#"{"a\"}": [1, "]"]} rest"#, Brackets::default());
        let ends: Vec<Extent> = (1..=18).map(|end| brackets.read(&text[..end])).collect();
        assert!(ends[..17].iter().all(|extent| matches!(extent, Extent::Open { .. })), "{ends:?}");
        assert_eq!(ends[17], Extent::Whole(18));
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
