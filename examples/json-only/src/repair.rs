//! Reads JSON as it comes and writes JSON whatever comes: commas too many, raw line breaks in texts, words of Python
//! and ends that are missing are mended; what has no place is left out.

use std::mem::take;

/// What may come next.
#[derive(Clone, Copy, Default, PartialEq)]
enum Next {
    /// The first bracket.
    #[default]
    Begin,
    Value,
    Key,
    /// The rest of a text that is a key, or a value.
    InKey,
    InText,
    Colon,
    /// The rest of a number or a word.
    Word,
    CommaOrEnd,
    Nothing,
}

#[derive(Default)]
pub(crate) struct Repair {
    next: Next,
    /// The ends of what is open, the innermost last.
    ends: Vec<char>,
    /// A comma, with the space behind it, that waits for what it stands before.
    comma: String,
    /// An escape or a word that is not whole yet.
    held: String,
}

impl Repair {
    pub(crate) fn has_begun(&self) -> bool {
        self.next != Next::Begin
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next == Next::Nothing
    }

    /// What of the value is certain after this text.
    pub(crate) fn feed(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        text.chars().for_each(|c| self.read(c, &mut out));
        out
    }

    /// What is missing at the end.
    pub(crate) fn close(&mut self) -> String {
        let mut out = String::new();
        match self.next {
            Next::InText => out.push('"'),
            Next::InKey => out.push_str("\":null"),
            Next::Colon => out.push_str(":null"),
            Next::Word => self.word(&mut out),
            Next::Value if self.ends.last() == Some(&'}') => out.push_str("null"),
            _ => {}
        }
        out.extend(take(&mut self.ends).into_iter().rev());
        self.next = Next::Nothing;
        out
    }

    fn read(&mut self, c: char, out: &mut String) {
        match self.next {
            Next::InKey | Next::InText => self.letter(c, out),
            Next::Word if c.is_alphanumeric() || "+-._".contains(c) => self.held.push(c),
            Next::Word => {
                self.word(out);
                self.read(c, out);
            }
            Next::Begin if !"{[".contains(c) => {}
            Next::Nothing => {}
            _ if c.is_whitespace() && self.comma.is_empty() => out.push(c),
            _ if c.is_whitespace() => self.comma.push(c),
            Next::Begin | Next::Value => self.value(c, out),
            Next::Key if c == '"' => self.begin(c, Next::InKey, out),
            Next::Colon if c == ':' => {
                out.push(c);
                self.next = Next::Value;
            }
            Next::CommaOrEnd if c == ',' => {
                self.comma = c.to_string();
                self.next = if self.ends.last() == Some(&'}') { Next::Key } else { Next::Value };
            }
            Next::Key | Next::CommaOrEnd => self.end(c, out),
            Next::Colon => {}
        }
    }

    fn value(&mut self, c: char, out: &mut String) {
        match c {
            '{' => {
                self.begin(c, Next::Key, out);
                self.ends.push('}');
            }
            '[' => {
                self.begin(c, Next::Value, out);
                self.ends.push(']');
            }
            '"' => self.begin(c, Next::InText, out),
            ']' => self.end(c, out),
            _ if c.is_alphanumeric() || c == '-' => {
                self.comma_before(out);
                self.held.push(c);
                self.next = Next::Word;
            }
            _ => {}
        }
    }

    fn begin(&mut self, c: char, next: Next, out: &mut String) {
        self.comma_before(out);
        out.push(c);
        self.next = next;
    }

    fn comma_before(&mut self, out: &mut String) {
        out.push_str(&take(&mut self.comma));
    }

    /// The end of the innermost, if `c` is that; a comma before it was one too many.
    fn end(&mut self, c: char, out: &mut String) {
        if self.ends.last() == Some(&c) {
            self.ends.pop();
            self.comma.clear();
            out.push(c);
            self.next = if self.ends.is_empty() { Next::Nothing } else { Next::CommaOrEnd };
        }
    }

    /// One sign of a text. An escape goes out when it is whole and one of JSON's.
    fn letter(&mut self, c: char, out: &mut String) {
        if !self.held.is_empty() {
            self.held.push(c);
            let whole = !self.held.starts_with("\\u") || self.held.len() >= 6 || !c.is_ascii();
            if whole {
                let held = take(&mut self.held);
                let hex = held.len() == 6 && held[2..].bytes().all(|b| b.is_ascii_hexdigit());
                let known = held.len() == 2 && "\"\\/bfnrt".contains(c);
                out.push_str(if hex || known { &held } else { "\u{fffd}" });
            }
            return;
        }
        match c {
            '\\' => self.held.push(c),
            '"' => {
                out.push(c);
                self.next = if self.next == Next::InKey { Next::Colon } else { Next::CommaOrEnd };
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {}
            c => out.push(c),
        }
    }

    /// The word that is held: one of JSON's, one of Python's, a number, or else a text.
    fn word(&mut self, out: &mut String) {
        let word = take(&mut self.held);
        match word.as_str() {
            "true" | "True" => out.push_str("true"),
            "false" | "False" => out.push_str("false"),
            "null" | "None" => out.push_str("null"),
            number if is_number(number) => out.push_str(number),
            text => out.extend(["\"", text, "\""]),
        }
        self.next = Next::CommaOrEnd;
    }
}

/// A number as JSON writes it.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let edges = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit());
    let point = digits
        .split_once('.')
        .is_none_or(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    edges && point && !leading_zero && word.parse::<f64>().is_ok_and(f64::is_finite)
}
