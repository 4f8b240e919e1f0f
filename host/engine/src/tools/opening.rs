//! Where in a reply a call begins, as it comes: from there on it can be held to its tool's schema. A mark that means
//! nothing else is the beginning of a call. JSON that may be an example as well is one once it names a tool that was
//! offered, before any arguments. What the reader of calls takes for a call of JSON has begun like that here, where a
//! tool is strict.

use std::sync::Arc;

use super::{
    Tools,
    arguments::{ARGUMENTS, NAMES},
    spelling::{ARGS, BARE, FIRST_KEYS, SPELLINGS, Spelling, blanks, is_of_name},
};
use crate::limits::CALL_BYTES_MAX;

#[cfg(test)]
mod tests;

/// JSON that has not named a tool within so many bytes is no call.
const NAMED_WITHIN_BYTES: usize = 4096;

/// How a call goes on behind its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As behind this one of the spellings' marks.
    Marked(usize),
    /// With an object or a list of them, behind other calls.
    Value,
    /// As behind the name of this tool in an object, which may stand in another one, and in a list.
    Named { tool: usize, wrapped: bool, listed: bool },
    /// With the arguments of this tool.
    Arguments(usize),
}

/// What a text is the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Of no call.
    Nothing,
    /// Of a call, perhaps.
    Open,
    /// Of a call, which so many bytes were enough to tell.
    Begun(Form, usize),
    /// It is what stands behind calls: so many bytes.
    Closed(usize),
}

/// Looks for the beginnings of calls in a reply.
#[derive(Debug, Clone)]
pub(crate) struct Openings {
    tools: Arc<Tools>,
    /// What may be the beginning of a call.
    text: String,
    /// Whether a line begins where `text` does.
    line_begins: bool,
    /// The spelling of the call right before `text`, behind which others may stand without a mark.
    follows: Option<Spelling>,
}

impl Openings {
    /// In a reply to a call that offers `tools`.
    pub(crate) fn new(tools: Arc<Tools>) -> Self {
        Self { tools, text: String::new(), line_begins: true, follows: None }
    }

    /// Whether a call may have begun.
    pub(crate) fn may_have_begun(&self) -> bool {
        !self.text.is_empty() || self.follows.is_some()
    }

    /// Takes more of the reply. Where a call begins in it: its form, and what is there of it already.
    pub(crate) fn push(&mut self, more: &str) -> Option<(Form, String)> {
        self.text.push_str(more);
        while !self.text.is_empty() {
            match self.opening() {
                Opening::Open => return None,
                Opening::Begun(form, bytes) => {
                    let (mark, there) = self.text.split_at(bytes);
                    self.follows = Some(self.follows.unwrap_or_else(|| spelling_of(mark)));
                    let begun = (form, there.to_owned());
                    self.text.clear();
                    return Some(begun);
                }
                Opening::Closed(bytes) => {
                    self.follows = None;
                    self.text.drain(..bytes);
                }
                Opening::Nothing => self.pass_by(),
            }
        }
        None
    }

    /// What a call would begin with behind these bytes more, and what of it would be there already; or else whether one
    /// might have begun.
    pub(crate) fn behind(&self, more: &[u8]) -> (Option<(Form, Vec<u8>)>, bool) {
        let whole = str::from_utf8(more).map_or_else(|error| error.valid_up_to(), str::len);
        let (text, half) = more.split_at(whole);
        let mut openings = self.clone();
        let begun = openings.push(str::from_utf8(text).unwrap_or_default());
        let begun = begun.map(|(form, there)| (form, [there.as_bytes(), half].concat()));
        (begun, openings.may_have_begun() && half.is_empty())
    }

    /// The call that had begun is over, and its closing mark has come. Who reads the reply saw no marks where they were
    /// `silent`, and may find more calls behind this one.
    pub(crate) fn closed(&mut self, silent: bool) {
        self.follows = silent.then_some(BARE);
    }

    /// A mark that is no text came: this one of the spellings'.
    pub(crate) fn marked(&mut self, spelling: usize) -> Form {
        self.text.clear();
        self.follows = Some(SPELLINGS[spelling]);
        Form::Marked(spelling)
    }

    fn opening(&mut self) -> Opening {
        if self.text.len() > CALL_BYTES_MAX {
            return Opening::Nothing;
        }
        let further = self.follows.map(|spelling| further(&self.text, &spelling, &self.tools));
        if let Some(found) = further.filter(|found| *found != Opening::Nothing) {
            return found;
        }
        self.follows = None;
        opening(&self.text, self.line_begins, &self.tools)
    }

    /// The first character is text.
    fn pass_by(&mut self) {
        let Some(first) = self.text.chars().next() else { return };
        self.line_begins = first == '\n' || (self.line_begins && first.is_whitespace());
        self.text.drain(..first.len_utf8());
    }
}

/// The marks behind which nothing but a call stands, by their places among the spellings.
pub(crate) fn certain_marks() -> impl Iterator<Item = (usize, &'static str)> {
    let certain = SPELLINGS.iter().enumerate().filter(|(_, spelling)| spelling.is_certain());
    certain.map(|(at, spelling)| (at, spelling.open))
}

/// What stands behind the calls of this one of the spellings; of several the first.
pub(crate) fn closing_mark(spelling: usize) -> Option<&'static str> {
    SPELLINGS[spelling].close.first().copied()
}

/// Whether calls of this one of the spellings may stand in a list.
pub(crate) fn may_be_listed(spelling: usize) -> bool {
    !matches!(SPELLINGS[spelling].open, "<tool_call>" | "<function_call>")
}

/// Whether calls of this one of the spellings may stand as a name before arguments.
pub(crate) fn names_come_first(spelling: usize) -> bool {
    SPELLINGS[spelling].open == "[TOOL_CALLS]"
}

/// Whether this JSON, complete, was seen to be a call when it began.
pub(super) fn is_seen(json: &str, tools: &Tools) -> bool {
    matches!(value(json, tools), Opening::Begun(..))
}

/// The spelling whose mark begins a text.
fn spelling_of(text: &str) -> Spelling {
    let marked = SPELLINGS.iter().find(|spelling| text.starts_with(spelling.open));
    marked.copied().unwrap_or(BARE)
}

/// What a text is the beginning of, where no call stands before it.
fn opening(text: &str, line_begins: bool, tools: &Tools) -> Opening {
    let found = match SPELLINGS.iter().position(|spelling| text.starts_with(spelling.open)) {
        Some(at) if SPELLINGS[at].is_certain() => {
            Opening::Begun(Form::Marked(at), SPELLINGS[at].open.len())
        }
        Some(at) => {
            let mark = SPELLINGS[at].open.len();
            let json = mark + blanks(&text[mark..], false);
            shifted(value(&text[json..], tools), json)
        }
        None if line_begins && text.starts_with(['{', '[']) => value(text, tools),
        None => Opening::Nothing,
    };
    // A longer mark may be coming: "```" is the beginning of "```json".
    let coming = SPELLINGS.iter().any(|spelling| spelling.open.starts_with(text));
    if coming && found == Opening::Nothing { Opening::Open } else { found }
}

/// What may stand behind a call without another mark: what closes the spelling, or one more call.
fn further(text: &str, spelling: &Spelling, tools: &Tools) -> Opening {
    let at = blanks(text, true);
    let rest = &text[at..];
    if let Some(close) = spelling.close.iter().find(|close| rest.starts_with(**close)) {
        return Opening::Closed(at + close.len());
    }
    if spelling.close.iter().any(|close| close.starts_with(rest)) {
        return Opening::Open;
    }
    let found = match spelling.is_certain() {
        true if rest.starts_with(['{', '[']) => Opening::Begun(Form::Value, 0),
        true => named(rest, tools),
        false => value(rest, tools),
    };
    shifted(found, at)
}

/// `name{` or `name[ARGS]{`, as newer Mistrals write it.
fn named(text: &str, tools: &Tools) -> Opening {
    let end = text.find(|c: char| !is_of_name(c)).unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    let tools = tools.callable();
    let Some(tool) = tools.iter().position(|tool| tool.name == name) else {
        let begins = behind.is_empty() && tools.iter().any(|tool| tool.name.starts_with(name));
        return if begins { Opening::Open } else { Opening::Nothing };
    };
    let arguments = behind.strip_prefix(ARGS).unwrap_or(behind);
    match arguments {
        "" => Opening::Open,
        _ if arguments.starts_with('{') => {
            Opening::Begun(Form::Arguments(tool), text.len() - arguments.len())
        }
        _ if ARGS.starts_with(behind) => Opening::Open,
        _ => Opening::Nothing,
    }
}

/// A call of JSON, as an object or the first of a list: one that names a tool before anything that may be arguments.
fn value(text: &str, tools: &Tools) -> Opening {
    let mut json = Json { text, at: 0 };
    let listed = text.starts_with('[');
    if listed {
        json.at = 1;
        json.skip_blanks();
    }
    let opening = match json.named(tools) {
        Ok((tool, wrapped)) => Opening::Begun(Form::Named { tool, wrapped, listed }, json.at),
        Err(opening) => opening,
    };
    let read = if opening == Opening::Open { text.len() } else { json.at };
    if read > NAMED_WITHIN_BYTES { Opening::Nothing } else { opening }
}

fn shifted(opening: Opening, by: usize) -> Opening {
    match opening {
        Opening::Begun(form, bytes) => Opening::Begun(form, bytes + by),
        other => other,
    }
}

/// JSON that is still being written, read as far as it is there. What ends the reading early is the error: the text may
/// become a call, or it can't.
struct Json<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Json<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += blanks(self.rest(), false);
    }

    fn expect(&mut self, wanted: char) -> Result<(), Opening> {
        match self.rest().chars().next() {
            None => Err(Opening::Open),
            Some(c) if c == wanted => {
                self.at += c.len_utf8();
                Ok(())
            }
            Some(_) => Err(Opening::Nothing),
        }
    }

    /// A string that `may` begin like what is there of it.
    fn string(&mut self, may: impl Fn(&str) -> bool) -> Result<String, Opening> {
        let rest = self.rest();
        if !rest.is_empty() && !rest.starts_with('"') {
            return Err(Opening::Nothing);
        }
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match strings.next() {
            Some(Ok(string)) => {
                self.at += strings.byte_offset();
                Ok(string)
            }
            Some(Err(error)) if !error.is_eof() => Err(Opening::Nothing),
            _ => {
                let part = rest.strip_prefix('"').unwrap_or_default();
                let may = part.contains('\\') || may(part);
                Err(if may { Opening::Open } else { Opening::Nothing })
            }
        }
    }

    /// An object up to the name of a tool, and whether it stands in another one. Before it there may be its type and
    /// an id.
    fn named(&mut self, tools: &Tools) -> Result<(usize, bool), Opening> {
        let (tools, mut wrapped) = (tools.callable(), false);
        self.expect('{')?;
        loop {
            self.skip_blanks();
            let key = self.string(|part| FIRST_KEYS.iter().any(|key| key.starts_with(part)))?;
            let key = key.as_str();
            self.skip_blanks();
            self.expect(':')?;
            self.skip_blanks();
            if key == "function" && !wrapped && self.rest().starts_with('{') {
                (self.at, wrapped) = (self.at + 1, true);
                continue;
            }
            if !FIRST_KEYS.contains(&key) || ARGUMENTS.contains(&key) {
                return Err(Opening::Nothing);
            }
            let names = NAMES.contains(&key);
            let may = |part: &str| match key {
                _ if names => tools.iter().any(|tool| tool.name.starts_with(part)),
                "type" => "function".starts_with(part),
                _ => part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)),
            };
            let word = self.string(may)?;
            if names {
                let tool = tools.iter().position(|tool| tool.name == word);
                return tool.map(|tool| (tool, wrapped)).ok_or(Opening::Nothing);
            }
            if !may(&word) {
                return Err(Opening::Nothing);
            }
            self.skip_blanks();
            self.expect(',')?;
        }
    }
}
