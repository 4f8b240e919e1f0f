//! Finds calls in a reply as it comes. Text that can't become a call any more is let go at once; text that
//! may is held back until it is known, within bounds.

use std::sync::Arc;

use super::{
    Tool, ToolCall, Tools,
    arguments::{self, Sureness},
    coming::{self, Coming},
    extent::{Extent, extent},
    opening::is_seen,
    spelling::{ARGS, BARE, FIRST_KEYS, SPELLINGS, Spelling, blanks, is_of_name},
};
use crate::limits::CALL_BYTES_MAX;

#[cfg(test)]
mod tests;

/// What an expert says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Text, never empty.
    Text(String),
    /// A call of a tool that was offered: complete, or as much of it as there is, where that was asked for.
    Call(ToolCall),
    /// What comes next of the arguments of the call before, never empty.
    Arguments(String),
}

/// Reads the calls in one reply.
#[derive(Debug)]
pub struct CallReader {
    tools: Arc<Tools>,
    /// Not decided yet.
    held: String,
    /// Whether a line begins where `held` does.
    line_begins: bool,
    calls: usize,
    /// Blanks that are shown if text comes behind them.
    blanks: String,
    /// Whether calls are told before they are complete.
    early: bool,
    /// Of the calls that `held` begins with, those that were told.
    told: usize,
    /// The last of them, if its arguments still come.
    coming: Option<Coming>,
}

/// What stands at a place of the text.
enum Found {
    /// Calls, and so many bytes.
    Calls(Vec<ToolCall>, usize),
    /// What more text has to decide.
    Open,
    /// Text.
    Nothing,
}

impl CallReader {
    /// For a reply to a call that offers `tools`.
    #[must_use]
    pub fn new(tools: Arc<Tools>) -> Self {
        Self {
            tools,
            held: String::new(),
            line_begins: true,
            calls: 0,
            blanks: String::new(),
            early: false,
            told: 0,
            coming: None,
        }
    }

    /// The same, which tells calls behind a mark as soon as their names are there, and their arguments as they come.
    /// Those of a reply that was cut are torn.
    #[must_use]
    pub fn early(self) -> Self {
        Self { early: true, ..self }
    }

    /// How many calls were found.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Whether the last call that was told has only a part of its arguments.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.coming.is_some()
    }

    /// Takes more of the reply; returns what is certain now.
    pub fn push(&mut self, text: &str) -> Vec<Said> {
        self.held.push_str(text);
        let mut said = Vec::new();
        while self.step(&mut said, false) {}
        said
    }

    /// What was held back at the end of the reply. A call that lacks nothing but its last brackets is one,
    /// unless the reply was `cut`, or calls are held to their schemas.
    pub fn finish(&mut self, cut: bool) -> Vec<Said> {
        let mut said = Vec::new();
        while !cut && self.step(&mut said, true) {}
        let rest = std::mem::take(&mut self.held);
        if self.told == 0 {
            self.say(&rest, &mut said);
        }
        said
    }

    /// Decides on the beginning of what is held; false when that takes more text.
    fn step(&mut self, said: &mut Vec<Said>, ended: bool) -> bool {
        if self.arguments_come(said, ended) {
            return false;
        }
        let Some(at) = self.candidate() else {
            let text = std::mem::take(&mut self.held);
            self.say(&text, said);
            return false;
        };
        let before: String = self.held.drain(..at).collect();
        self.say(&before, said);
        match self.at_beginning(ended) {
            Found::Calls(calls, bytes) => {
                self.held.drain(..bytes);
                for call in calls.into_iter().skip(std::mem::take(&mut self.told)) {
                    self.tell(call, said);
                }
                true
            }
            Found::Open if self.held.len() <= CALL_BYTES_MAX && !ended => self.begins(said),
            // What was told as a call is not told as text as well.
            Found::Open | Found::Nothing if self.told > 0 => {
                self.told = 0;
                self.held.clear();
                false
            }
            Found::Open | Found::Nothing => {
                let first = self.held.chars().next().map_or(0, char::len_utf8);
                let text: String = self.held.drain(..first).collect();
                self.say(&text, said);
                !self.held.is_empty()
            }
        }
    }

    /// Tells a call, if it may be one more.
    fn tell(&mut self, call: ToolCall, said: &mut Vec<Said>) {
        self.blanks.clear();
        if self.may_call() {
            self.calls += 1;
            said.push(Said::Call(call));
        }
    }

    fn may_call(&self) -> bool {
        self.calls == 0 || self.tools.parallel
    }

    /// Tells the beginning of a call that is not complete; false where it is not certain yet.
    fn begins(&mut self, said: &mut Vec<Said>) -> bool {
        let holds = self.tools.holds_calls();
        let tells = |spelling: &&Spelling| match holds {
            true => spelling.is_certain(),
            false => spelling.sureness == Sureness::Marked,
        };
        let mut marks = SPELLINGS.iter().filter(tells);
        let spelling = marks.find(|spelling| self.held.starts_with(spelling.open));
        let Some(mark) = spelling.filter(|_| self.early && self.may_call()) else { return false };
        let mark = mark.open.len();
        let found = coming::find(&self.held[mark..], self.told, &self.tools);
        let Some((name, at)) = found else { return false };
        self.coming = Some(Coming::at(mark + at));
        self.told += 1;
        let (id, arguments) = (ToolCall::fresh_id(), String::new());
        self.tell(ToolCall { id, name, arguments }, said);
        true
    }

    /// Tells more of the arguments of a call that has begun; whether still more of them come.
    fn arguments_come(&mut self, said: &mut Vec<Said>, ended: bool) -> bool {
        let Some(coming) = &mut self.coming else { return false };
        let (new, over) = coming.read(&self.held, ended && !self.tools.holds_calls());
        said.extend((!new.is_empty()).then_some(Said::Arguments(new)));
        if over {
            self.coming = None;
        }
        !over
    }

    /// The first place where a call may begin, or the beginning of its mark.
    fn candidate(&self) -> Option<usize> {
        let mut line_begins = self.line_begins;
        let place = |(at, c): (usize, char)| {
            let rest = &self.held[at..];
            let mut marks = SPELLINGS.iter().map(|spelling| spelling.open);
            let may = (line_begins && matches!(c, '{' | '['))
                || marks.any(|open| rest.starts_with(open) || open.starts_with(rest));
            line_begins = c == '\n' || (line_begins && c.is_whitespace());
            may.then_some(at)
        };
        self.held.char_indices().find_map(place)
    }

    /// What a call may be whose first byte is the first that is held.
    fn at_beginning(&self, ended: bool) -> Found {
        let held = self.held.as_str();
        let begins = |spelling: &&Spelling| spelling.open.starts_with(held);
        // A longer mark may be coming: "```" is the beginning of "```json".
        let coming = !ended && SPELLINGS.iter().any(|spelling| begins(&spelling));
        let found = match SPELLINGS.iter().find(|spelling| held.starts_with(spelling.open)) {
            Some(spelling) => self.behind(spelling, spelling.open.len(), ended),
            None if held.starts_with(['{', '[']) && self.line_begins => {
                self.behind(&BARE, 0, ended)
            }
            None => Found::Nothing,
        };
        if coming && matches!(found, Found::Nothing) { Found::Open } else { found }
    }

    /// One or several values behind a mark, and its closing mark.
    fn behind(&self, spelling: &Spelling, mark: usize, ended: bool) -> Found {
        let (mut at, mut calls, mut first) = (mark, Vec::new(), true);
        loop {
            let value = at + blanks(&self.held[at..], !first);
            let rest = &self.held[value..];
            let closed = spelling.close.iter().find(|close| rest.starts_with(**close));
            if let Some(close) = closed.filter(|_| !first) {
                return Found::Calls(calls, value + close.len());
            }
            let undecided = spelling.close.iter().any(|close| close.starts_with(rest));
            if !ended && (undecided || (rest.is_empty() && first)) {
                return Found::Open;
            }
            match self.value(spelling, rest, ended) {
                Found::Calls(more, bytes) => {
                    calls.extend(more);
                    (at, first) = (value + bytes, false);
                }
                Found::Open => return Found::Open,
                Found::Nothing if first => return Found::Nothing,
                Found::Nothing => return Found::Calls(calls, at),
            }
        }
    }

    /// A value at the beginning of `text`, if it is a call.
    fn value(&self, spelling: &Spelling, text: &str, ended: bool) -> Found {
        let marked = spelling.sureness == Sureness::Marked;
        let holds = self.tools.holds_calls();
        let (json, bytes) = match extent(text) {
            Extent::None if marked && (!holds || spelling.is_certain()) => {
                return self.named(text, ended);
            }
            Extent::None => return Found::Nothing,
            Extent::Whole(bytes) => (text[..bytes].to_owned(), bytes),
            Extent::Broken { bytes, missing } if marked => {
                (format!("{}{missing}", &text[..bytes]), bytes)
            }
            Extent::Broken { .. } => return Found::Nothing,
            Extent::Open { missing } if ended && !holds => (format!("{text}{missing}"), text.len()),
            Extent::Open { .. } if marked || may_be_call(text) => return Found::Open,
            Extent::Open { .. } => return Found::Nothing,
        };
        // Nothing held the arguments of a call that was not seen to begin.
        if holds && !spelling.is_certain() && !is_seen(&json, &self.tools) {
            return Found::Nothing;
        }
        match arguments::calls(&json, &self.tools, spelling.sureness) {
            Some(calls) => Found::Calls(calls, bytes),
            // Its beginning was a call's, and that was told.
            None if self.told > 0 => Found::Calls(vec![], bytes),
            None => Found::Nothing,
        }
    }

    /// `name{...}` or `name[ARGS]{...}`, as newer Mistrals write it.
    fn named(&self, text: &str, ended: bool) -> Found {
        let end = text.find(|c: char| !is_of_name(c));
        let name = &text[..end.unwrap_or(text.len())];
        let tools = self.tools.callable();
        let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
            let begins = |tool: &Tool| end.is_none() && tool.name.starts_with(name);
            return if !ended && tools.iter().any(begins) { Found::Open } else { Found::Nothing };
        };
        let behind = &text[name.len()..];
        let arguments = behind.strip_prefix(ARGS).unwrap_or(behind);
        match extent(arguments) {
            Extent::Whole(bytes) => {
                let json = &arguments[..bytes];
                let call = arguments::with_arguments(tool, json, Sureness::Marked);
                let all = text.len() - arguments.len() + bytes;
                call.map_or(Found::Nothing, |call| Found::Calls(vec![call], all))
            }
            Extent::Open { .. } if !ended => Found::Open,
            Extent::None if !ended && ARGS.starts_with(behind) => Found::Open,
            _ => Found::Nothing,
        }
    }

    /// Text, behind the blanks before it. Blanks around calls are nobody's text.
    fn say(&mut self, text: &str, said: &mut Vec<Said>) {
        let line = text.rsplit('\n').next().unwrap_or_default();
        let new_line = line.len() < text.len() || self.line_begins;
        self.line_begins = new_line && line.trim().is_empty();
        self.blanks.push_str(text);
        let shown = self.blanks.trim_end().len();
        if shown > 0 {
            let rest = self.blanks.split_off(shown);
            let text = std::mem::replace(&mut self.blanks, rest);
            match said.last_mut() {
                Some(Said::Text(before)) => before.push_str(&text),
                _ => said.push(Said::Text(text)),
            }
        }
    }
}

/// Whether an object or a list begins like a call, as far as it is there.
fn may_be_call(text: &str) -> bool {
    let inside = text.trim_start_matches(|c: char| matches!(c, '{' | '[') || c.is_whitespace());
    let Some(key) = inside.strip_prefix('"') else { return inside.is_empty() };
    match key.split_once('"') {
        Some((key, _)) => FIRST_KEYS.contains(&key),
        None => FIRST_KEYS.iter().any(|first| first.starts_with(key)),
    }
}
