//! Sources as Jinja2 and transformers read them, in the words of our interpreter.

/// Marks of the assistant's own text for training; transformers renders what stands between them.
const TRAINING_MARKS: [(&str, &str); 2] = [("generation", "if true"), ("endgeneration", "endif")];

/// Formats within the values of formats that are followed.
const DEPTH_MAX: usize = 8;

/// A source as Jinja2 reads it: lines end with a line feed, whatever they ended with.
pub(super) fn normalised(source: &str) -> String {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    for (mark, stands_for) in TRAINING_MARKS {
        source = replace_tag(&source, mark, stands_for);
    }
    with_filters(&source)
}

/// Puts another tag in the place of `{% name %}`; its marks of whitespace stay.
fn replace_tag(source: &str, name: &str, other: &str) -> String {
    let mut replaced = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        replaced.push_str(before);
        let sign = tag.len() - tag.trim_start_matches(['-', '+']).len();
        let inner = tag[sign..].trim_start();
        let after = inner.strip_prefix(name).map(str::trim_start);
        rest = tag;
        if let Some(after) = after.filter(|a| a.starts_with(['-', '+', '%'])) {
            replaced.push_str(&tag[..sign]);
            replaced.push_str(&format!(" {other} "));
            rest = after;
        }
    }
    replaced + rest
}

/// Python's `'%s' % value` as `'%s'|format(value)`, which is the same and understood here.
fn with_filters(source: &str) -> String {
    let mut written = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        written.push_str(before);
        let length = match tag.as_bytes().get(1) {
            Some(b'#') => {
                let length = tag.find("#}").map_or(tag.len(), |at| at + 2);
                written.push_str(&tag[..length]);
                length
            }
            Some(b'%') => rewrite_code(tag, "%}", DEPTH_MAX, &mut written),
            Some(b'{') => rewrite_code(tag, "}}", DEPTH_MAX, &mut written),
            _ => {
                written.push('{');
                1
            }
        };
        rest = &tag[length..];
    }
    written + rest
}

/// Writes what stands in a tag, and says where it ends.
fn rewrite_code(tag: &str, close: &str, deep: usize, to: &mut String) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while let Some(c) = tag[at..].chars().next() {
        let rest = &tag[at..];
        if at >= 2 && depth == 0 && rest.starts_with(close) {
            to.push_str(close);
            return at + close.len();
        }
        if at >= 2 && matches!(c, '{' | '}') {
            depth = if c == '{' { depth + 1 } else { depth.saturating_sub(1) };
        }
        let length = match c {
            '\'' | '"' => rewrite_literal(rest, deep, to),
            _ => {
                to.push(c);
                c.len_utf8()
            }
        };
        at += length;
    }
    at
}

/// Writes a string literal with the values it is formatted with, and says where they end. Values within
/// values are followed for so long only; nobody nests more.
fn rewrite_literal(text: &str, deep: usize, to: &mut String) -> usize {
    let mut end = closed(text);
    to.push_str(&text[..end]);
    while let Some(values) = text[end..].trim_start().strip_prefix('%') {
        let values = values.trim_start();
        let length = operand(values);
        if length == 0 || deep == 0 {
            break; // the tag ends here, or nobody could follow
        }
        let listed = values.starts_with('(') && closed(values) == length;
        let mut written = String::new();
        rewrite_code(&format!("  {}", &values[..length]), "\0", deep - 1, &mut written);
        let written = written.trim_start();
        to.push_str(&if listed {
            format!("|format{written}")
        } else {
            format!("|format({written})")
        });
        end = text.len() - values.len() + length;
    }
    end
}

/// Bytes of the value that begins a text, with all that is called, picked or filtered of it.
fn operand(text: &str) -> usize {
    let name =
        |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut end = match text.chars().next() {
        Some('(' | '[' | '{' | '\'' | '"') => closed(text),
        _ => name(text),
    };
    while end > 0 {
        let rest = &text[end..];
        let filter = rest.trim_start().strip_prefix('|').map(str::trim_start);
        end = match (rest.chars().next(), filter) {
            (Some('(' | '['), _) => end + closed(rest),
            (Some('.'), _) => end + 1 + name(&rest[1..]),
            (_, Some(filter)) => text.len() - filter.len() + name(filter),
            _ => return end,
        };
    }
    end
}

/// Bytes up to where the bracket or the quotation mark that begins a text is closed.
fn closed(text: &str) -> usize {
    let mut open: Vec<char> = Vec::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (open.last(), c) {
            (Some('\'' | '"'), '\\') => drop(characters.next()),
            (Some(&quote @ ('\'' | '"')), c) if c != quote => {}
            (Some('\'' | '"'), _) | (_, ')' | ']' | '}') => drop(open.pop()),
            (_, '\'' | '"' | '(' | '[' | '{') => open.push(c),
            _ => {}
        }
        if open.is_empty() {
            return at + c.len_utf8();
        }
    }
    text.len()
}
