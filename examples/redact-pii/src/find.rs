//! Where personal data stands in a text. ASCII only, because all three kinds are.

use std::ops::Range;

const EMAIL: &str = "[email]";
const PHONE: &str = "[phone]";
const CARD: &str = "[card]";

/// The longest e-mail address there can be (RFC 5321); nothing longer is waited for.
const UNFINISHED_MAX: usize = 254;

/// The most digits of a payment card.
const DIGITS_MAX: usize = 19;

fn in_email(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._%+-@".contains(&byte)
}

fn in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b" ()+.-".contains(&byte)
}

/// Every finding and its kind, in order, not overlapping; found as they are asked for, so that a
/// long text costs no memory. What looks like an address and like a number is an address.
pub(crate) fn spans(text: &str) -> impl Iterator<Item = (Range<usize>, &'static str)> {
    let mut emails = runs(text, in_email).filter_map(|run| email(text, run)).peekable();
    let mut numbers = runs(text, in_number).filter_map(|run| number(text, run)).peekable();
    std::iter::from_fn(move || {
        loop {
            match (emails.peek(), numbers.peek()) {
                (Some(email), Some((number, _))) if number.start < email.end => {
                    let number = numbers.next_if(|(number, _)| number.end <= email.start);
                    if number.is_some() {
                        return number;
                    }
                    numbers.next();
                }
                (None, _) => return numbers.next(),
                (Some(_), _) => return emails.next().map(|span| (span, EMAIL)),
            }
        }
    })
}

/// Where the end of the text begins that more text could still turn into a finding.
pub(crate) fn unfinished(text: &str) -> usize {
    let tail = |belongs: fn(u8) -> bool| {
        text.len() - text.bytes().rev().take_while(|byte| belongs(*byte)).count()
    };
    let start = tail(in_email).min(tail(in_number));
    // A run that is too long to be one thing is not waited for.
    if text.len() - start > UNFINISHED_MAX { text.len() } else { start }
}

fn runs(text: &str, belongs: fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|byte| belongs(*byte))?;
        let length = bytes[start..].iter().position(|byte| !belongs(*byte));
        at = length.map_or(bytes.len(), |length| start + length);
        Some(start..at)
    })
}

/// `local@domain.tld`, without the punctuation around it.
fn email(text: &str, run: Range<usize>) -> Option<Range<usize>> {
    let punctuation = ['.', '-', '%', '+', '_'];
    let word = text[run.clone()].trim_end_matches(punctuation);
    let trimmed = word.trim_start_matches(punctuation);
    let (local, domain) = trimmed.split_once('@')?;
    let (host, end) = domain.rsplit_once('.')?;
    let letters = end.len() >= 2 && end.bytes().all(|byte| byte.is_ascii_alphabetic());
    let start = run.start + word.len() - trimmed.len();
    (letters && !local.is_empty() && !host.is_empty() && !domain.contains('@'))
        .then_some(start..start + trimmed.len())
}

/// A card or a phone number, from its first digit (or `+` or bracket) to its last digit.
fn number(text: &str, run: Range<usize>) -> Option<(Range<usize>, &'static str)> {
    let raw = text[run.clone()].trim_start_matches([' ', ')', '.', '-']);
    let start = run.end - raw.len();
    let raw = raw.trim_end_matches(|c: char| !c.is_ascii_digit());
    // One digit more than a card has is too many, however many follow.
    let digits: Vec<u8> = raw.bytes().filter(u8::is_ascii_digit).take(DIGITS_MAX + 1).collect();
    let digits: Vec<u8> = digits.into_iter().map(|digit| digit - b'0').collect();
    let kind = if (13..=DIGITS_MAX).contains(&digits.len()) && luhn(&digits) {
        CARD
    } else if is_phone(raw, &digits) {
        PHONE
    } else {
        return None;
    };
    Some((start..start + raw.len(), kind))
}

/// International, or written in groups as telephone numbers are and large numbers are not.
fn is_phone(raw: &str, digits: &[u8]) -> bool {
    if digits.len() > DIGITS_MAX {
        return false;
    }
    if raw.starts_with('+') {
        return (8..=15).contains(&digits.len());
    }
    let groups: Vec<&str> =
        raw.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).collect();
    let thousands = groups.iter().skip(1).all(|group| group.len() == 3);
    match digits.len() {
        9 => groups.len() > 1 && !raw.contains('.') && digits[0] >= 6,
        10..=11 => groups.len() > 1 && !thousands && !raw.contains('.'),
        _ => false,
    }
}

/// The check digit of payment cards (ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let double = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let weigh = |(place, digit): (usize, &u8)| if place % 2 == 1 { double(*digit) } else { *digit };
    let sum: u32 = digits.iter().rev().enumerate().map(weigh).map(u32::from).sum();
    sum.is_multiple_of(10)
}
