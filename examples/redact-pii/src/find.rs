//! Where personal data stands in a text. What has a checksum is held against it; what has none has to look like
//! nothing else: dates, versions, prices and identifiers stay.

mod accounts;
mod found;
mod numbers;

use std::ops::Range;

use found::Found;

const EMAIL: &str = "[email]";

/// The longest e-mail address there can be (RFC 5321); nothing longer is waited for.
const UNFINISHED_MAX: usize = 254;

/// Every finding and its kind, in order, not overlapping; found as they are asked for, so that a
/// long text costs no memory. What begins first is taken, and what looks like an address and like a
/// number is an address.
pub(crate) fn spans(text: &str) -> impl Iterator<Item = Found> {
    let mut emails = runs(text, in_email).filter_map(|run| email(text, run)).peekable();
    let mut accounts = accounts::all(text).peekable();
    let mut numbers = numbers::all(text).peekable();
    let mut done = 0;
    std::iter::from_fn(move || {
        while emails.next_if(|(span, _)| span.start < done).is_some() {}
        while accounts.next_if(|(span, _)| span.start < done).is_some() {}
        while numbers.next_if(|(span, _)| span.start < done).is_some() {}
        let start = |found: Option<&Found>| found.map_or(usize::MAX, |(span, _)| span.start);
        let [email, account] = [start(emails.peek()), start(accounts.peek())];
        // A number inside an address or an account begins behind it.
        let first = match start(numbers.peek()) {
            number if number < email.min(account) => numbers.next(),
            _ if account < email => accounts.next(),
            _ => emails.next(),
        };
        done = first.as_ref().map_or(done, |(span, _)| span.end);
        first
    })
}

/// Where the end of the text begins that more text could still turn into a finding.
pub(crate) fn unfinished(text: &str) -> usize {
    let digits = |range: Range<usize>| text[range].contains(|c: char| c.is_ascii_digit());
    let mut start = text.len();
    // Words and numbers may be tied to each other, back to a word that is none.
    loop {
        let word = text[..start].trim_end_matches(in_word).len();
        let is_word = text[word..start].contains(char::is_alphabetic) && !digits(word..start);
        let number = text[..word].trim_end_matches(numbers::belongs).len();
        if is_word || !digits(number..word) {
            start = word;
            break;
        }
        start = number;
    }
    let start = start.min(accounts::unfinished(text));
    // A run that is too long to be one thing is not waited for.
    if text.len() - start > UNFINISHED_MAX { text.len() } else { start }
}

fn in_email(c: char) -> bool {
    c.is_alphanumeric() || "._%+-@".contains(c)
}

/// What may stand before a finding and make it something else: part of a name, a path or a price.
fn in_word(c: char) -> bool {
    in_email(c) || "/#=$€£~(".contains(c)
}

fn runs(text: &str, belongs: fn(char) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(belongs)?;
        let length = text[start..].find(|c| !belongs(c));
        at = length.map_or(text.len(), |length| start + length);
        Some(start..at)
    })
}

/// `local@domain.tld`, without the punctuation around it. What git calls its own user is nobody.
fn email(text: &str, run: Range<usize>) -> Option<Found> {
    let punctuation = ['.', '-', '%', '+', '_'];
    let word = text[run.clone()].trim_end_matches(punctuation);
    let trimmed = word.trim_start_matches(punctuation);
    let (local, domain) = trimmed.split_once('@')?;
    let start = run.start + word.len() - trimmed.len();
    if local.is_empty() || local == "git" || domain.contains('@') {
        return None;
    }
    // What follows the last label of letters is the next sentence.
    let labels = |domain: &str| domain.rsplit_once('.').map(|(host, _)| host.len());
    let mut end = domain.len();
    while let Some(host) = labels(&domain[..end]) {
        let label = &domain[host + 1..end];
        if host > 0 && label.chars().count() >= 2 && label.chars().all(char::is_alphabetic) {
            return Some((start..start + local.len() + 1 + end, EMAIL));
        }
        end = host;
    }
    None
}
