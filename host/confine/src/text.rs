//! Text of strangers on its way to a log, a header or an error: one line, no tricks, not too long.

/// Bytes of a stranger's text that a log line or an error repeats, when nothing else is said.
pub const LINE_BYTES: usize = 500;
/// Stands where text was cut.
const CUT: &str = "…";

/// `text` on one line of at most `bytes_max` bytes (and a mark where it was cut). Characters that
/// end a line, move the cursor, hide or reorder text are written as Rust writes them: `\n`,
/// `\u{202e}`.
///
/// ```
/// use signalbox_confine::clean;
/// assert_eq!(clean("fine\n2026 INFO forged \u{1b}[31m", 100), r"fine\n2026 INFO forged \u{1b}[31m");
/// assert_eq!(clean("0123456789", 4), "0123…");
/// ```
pub fn clean(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        let before = line.len();
        match misleads(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
        if line.len() > bytes_max {
            line.truncate(before);
            line.push_str(CUT);
            break;
        }
    }
    line
}

/// `text` of several lines, for a terminal: line ends and tabs stay, and what misleads is written out as
/// by [`clean`].
///
/// ```
/// use signalbox_confine::clean_lines;
/// assert_eq!(clean_lines("a\n\tb\u{1b}[2J"), "a\n\tb\\u{1b}[2J");
/// ```
pub fn clean_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    for c in text.chars() {
        match misleads(c) && !matches!(c, '\n' | '\t') {
            true => lines.extend(c.escape_default()),
            false => lines.push(c),
        }
    }
    lines
}

/// Whether a character does something else than stand there: controls (C0, C1, DEL), line and
/// paragraph separators, marks and isolates of direction, invisible joiners without a script's use,
/// interlinear annotation, the byte order mark, and tags.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, bytes_max: usize, expect: &str) {
        assert_eq!(clean(text, bytes_max), expect, "{text:?}");
    }

    #[test]
    fn plain_text_of_any_script_stays() {
        for text in ["", "plain", "añb 漢字 हिन्दी עברית 👩‍👩‍👧", "quote \" and \\ stay"]
        {
            check(text, 1000, text);
        }
    }

    #[test]
    fn what_misleads_is_written_out() {
        check("a\nb\r\tc\0", 100, r"a\nb\r\tc\u{0}");
        check("\u{1b}[2J\u{9b}1m\u{7f}", 100, r"\u{1b}[2J\u{9b}1m\u{7f}");
        check(
            "user\u{202e}nimda\u{2066}\u{2028}\u{85}",
            100,
            r"user\u{202e}nimda\u{2066}\u{2028}\u{85}",
        );
        check("\u{feff}\u{e0041}\u{200b}", 100, r"\u{feff}\u{e0041}\u{200b}");
    }

    #[test]
    fn long_text_is_cut_between_characters_and_never_inside_an_escape() {
        check("añb", 3, "añ…");
        check("añb", 2, "a…");
        check("a\nb", 2, "a…");
        check("ab", 0, "…");
        check("ab", 2, "ab");
    }
}
