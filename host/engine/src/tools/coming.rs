//! A call of which so much is there that it can be told while its arguments are still being written.

use super::{
    Tools,
    arguments::{ARGUMENTS, NAMES},
    extent::{Brackets, Extent, extent},
    spelling::{ARGS, is_of_name},
};

/// The call whose arguments come.
#[derive(Debug)]
pub(super) struct Coming {
    /// Where its arguments begin in what is held.
    at: usize,
    brackets: Brackets,
    /// Bytes of them that were told.
    told: usize,
}

impl Coming {
    /// For arguments that begin at this byte of what is held.
    pub(super) fn at(at: usize) -> Self {
        Self { at, brackets: Brackets::default(), told: 0 }
    }

    /// What is new of the arguments, and whether that was the end of them.
    pub(super) fn read(&mut self, held: &str, ended: bool) -> (String, bool) {
        let arguments = &held[self.at..];
        let (end, missing) = match self.brackets.read(arguments) {
            Extent::Open { missing } if ended => (arguments.len(), Some(missing)),
            Extent::Open { .. } | Extent::None => (arguments.len(), None),
            Extent::Whole(bytes) => (bytes, Some(String::new())),
            Extent::Broken { bytes, missing } => (bytes, Some(missing)),
        };
        let new =
            format!("{}{}", &arguments[self.told..end], missing.as_deref().unwrap_or_default());
        self.told = end;
        (new, missing.is_some())
    }
}

/// The call behind so many others in a text that consists of calls: the tool's name, and the byte at which its
/// arguments begin. `None` while that is not known, and where they are no object.
pub(super) fn find(text: &str, others: usize, tools: &Tools) -> Option<(String, usize)> {
    let mut at = 0;
    for _ in 0..others {
        at += blanks(&text[at..]);
        let rest = &text[at..];
        let begin = if rest.starts_with('{') { 0 } else { named(rest, tools)?.1 };
        let Extent::Whole(bytes) = extent(&rest[begin..]) else { return None };
        at += begin + bytes;
    }
    at += blanks(&text[at..]);
    let rest = &text[at..];
    let (name, arguments) = object(rest).or_else(|| named(rest, tools))?;
    let offered = tools.callable().iter().any(|tool| tool.name == name);
    (offered && rest[arguments..].starts_with('{')).then_some((name, at + arguments))
}

/// Bytes of what stands between calls, and around lists of them.
fn blanks(text: &str) -> usize {
    let between = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']');
    text.len() - text.trim_start_matches(between).len()
}

/// `{"name": "...", "arguments": `, with other words before it.
fn object(text: &str) -> Option<(String, usize)> {
    let (mut at, mut name) = (text.starts_with('{').then_some(1)?, None);
    loop {
        let (key, behind) = string(text, at)?;
        let colon = text[behind..].trim_start().strip_prefix(':')?.trim_start();
        let value = text.len() - colon.len();
        if ARGUMENTS.contains(&key.as_str()) {
            return name.map(|name| (name, value));
        }
        let (word, behind) = string(text, value)?;
        if NAMES.contains(&key.as_str()) {
            name = Some(word);
        }
        at = text.len() - text[behind..].trim_start().strip_prefix(',')?.len();
    }
}

/// The string at this byte, and where it ends.
fn string(text: &str, at: usize) -> Option<(String, usize)> {
    let mut strings = serde_json::Deserializer::from_str(&text[at..]).into_iter::<String>();
    let string = strings.next()?.ok()?;
    Some((string, at + strings.byte_offset()))
}

/// `name[ARGS]` or `name` before the arguments.
fn named(text: &str, tools: &Tools) -> Option<(String, usize)> {
    let end = text.find(|c: char| !is_of_name(c))?;
    let name = &text[..end];
    tools.callable().iter().find(|tool| tool.name == name)?;
    let behind = &text[end..];
    let arguments = behind.strip_prefix(ARGS).unwrap_or(behind);
    Some((name.to_owned(), text.len() - arguments.len()))
}
