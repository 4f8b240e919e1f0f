//! What people see: lines and tables, and spinners that only terminals get.

use std::time::{Duration, Instant};

use comfy_table::presets;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signalbox_confine::{LINE_BYTES, clean, misleads};

/// Width of wrapped lines, in characters.
const LINE_WIDTH: usize = 110;
/// Time between two frames of a spinner.
const FRAME: Duration = Duration::from_millis(120);
/// Work that is done by then shows no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints a line on standard output.
macro_rules! say {
    () => { $crate::output::out(format_args!("\n")) };
    ($($part:tt)*) => { $crate::output::out(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use say;

/// Prints JSON for scripts. What would mislead a terminal is written as JSON escapes, so that the value
/// stays the same.
pub(crate) fn say_json(value: &serde_json::Value) {
    say!("{}", escaped(&format!("{value:#}")));
}

/// JSON escapes the controls of ASCII by itself; everything else of the kind stands in its strings.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match misleads(c) && c != '\n' {
            true => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                units.iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
            }
            false => escaped.push(c),
        }
    }
    escaped
}

/// Turns on standard error while something takes its time; gone when dropped.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Begins to turn beside `message`. Shows nothing when standard error is no terminal.
    pub(crate) fn start(message: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner().with_message(message.into());
        bar.enable_steady_tick(FRAME);
        Self(bar)
    }

    /// What takes its time now.
    pub(crate) fn say(&self, message: &str) {
        self.0.set_message(clean(message, LINE_BYTES));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How much of a known amount is done, on standard error; shown after a second, gone when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// Of `whole` bytes.
    pub(crate) fn bytes(whole: u64, message: impl Into<String>) -> Self {
        Self::new(whole, message, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
    }

    /// Of `whole` things.
    pub(crate) fn count(whole: u64, message: impl Into<String>) -> Self {
        Self::new(whole, message, "{msg} {wide_bar} {pos}/{len} {eta}")
    }

    fn new(whole: u64, message: impl Into<String>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(message.into());
        Self { bar, began: Instant::now() }
    }

    /// What is worked on now.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// So much more is done.
    pub(crate) fn add(&self, more: u64) {
        self.show();
        self.bar.inc(more);
    }

    /// So much of a whole that is only known now.
    pub(crate) fn reach(&self, done: u64, whole: u64) {
        self.show();
        self.bar.set_length(whole);
        self.bar.set_position(done);
    }

    fn show(&self) {
        if self.bar.is_hidden() && self.began.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A table of aligned columns without borders.
pub(crate) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A table with these heads.
pub(crate) fn table(heads: &[&str]) -> Table {
    Table { heads: heads.iter().map(ToString::to_string).collect(), rows: Vec::new() }
}

impl Table {
    pub(crate) fn add_row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Its lines; where they are wider than `width`, a block of lines for each row.
    fn lines(&self, width: usize) -> Vec<String> {
        let lines = self.columns();
        match lines.iter().all(|line| line.chars().count() <= width) {
            true => lines,
            false => self.blocks(),
        }
    }

    fn columns(&self) -> Vec<String> {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_header(&self.heads);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn blocks(&self) -> Vec<String> {
        let wide = self.heads.iter().map(String::len).max().unwrap_or(0);
        let mut lines = Vec::new();
        for row in &self.rows {
            let mut cells = self.heads.iter().zip(row);
            lines.extend(cells.next().map(|(_, first)| first.clone()));
            let shown = cells.filter(|(_, cell)| !cell.is_empty());
            lines.extend(shown.map(|(head, cell)| format!("  {head:wide$}  {cell}")));
        }
        lines
    }
}

/// Columns of the terminal, or all there may be where there is none.
fn width() -> usize {
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
    given.or_else(measured).unwrap_or(usize::MAX)
}

/// Prints a table without the blanks at the ends of its lines.
pub(crate) fn say_table(table: &Table) {
    for line in table.lines(width()) {
        say!("{line}");
    }
}

/// The first characters of a text, on one line.
pub(crate) fn short(text: &str, characters: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Prints words behind an indent, in as many lines as they need.
pub(crate) fn say_wrapped(indent: usize, words: &[&str]) {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() && indent + line.len() + word.len() + 2 > LINE_WIDTH {
            say!("{:indent$}{line},", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(word);
    }
    say!("{:indent$}{line}", "");
}

/// The first digits of a revision, as people say it.
pub(crate) fn short_revision(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_in_50_columns() {
        let mut wide = table(&["expert", "domain", "state"]);
        wide.add_row(["qwen_coder", "coding and a few other things", "resident, and pinned"]);
        let lines = wide.lines(80);
        assert_eq!((lines.len(), lines[0].split_whitespace().count()), (2, 3), "{lines:?}");
        let lines = wide.lines(50);
        assert!(lines.iter().all(|line| line.chars().count() <= 50), "{lines:?}");
        assert_eq!(lines[1], "  domain  coding and a few other things");
    }

    #[test]
    fn json_for_a_terminal_stays_the_same_value() {
        let value = serde_json::json!({"a\u{202e}": ["\u{1b}[2J\n\u{9b}", "\u{e0041}é漢"]});
        let message = escaped(&format!("{value:#}"));
        assert!(message.chars().all(|c| c == '\n' || !misleads(c)), "{message}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&message).unwrap(), value);
    }
}
