//! Payment cards and telephone numbers among all the numbers that a text has.

use std::ops::Range;

use super::found::Found;

const PHONE: &str = "[phone]";
const CARD: &str = "[card]";

/// The most digits of a payment card.
const DIGITS_MAX: usize = 19;

/// What a number is made of.
pub(super) fn belongs(c: char) -> bool {
    c.is_ascii_digit() || is_between(c) || "(+".contains(c)
}

/// What stands between digits of one number: spaces that break or don't, hyphens, dots, a bracket.
fn is_between(c: char) -> bool {
    is_space(c) || ").-\u{2010}\u{2011}\u{2013}".contains(c)
}

fn is_space(c: char) -> bool {
    " \u{a0}\u{2007}\u{2009}\u{202f}".contains(c)
}

/// The fewest digits that are looked at.
const DIGITS_MIN: usize = 8;

/// Groups of digits that may be one number, from one on.
struct Groups<'a> {
    text: &'a str,
    groups: Vec<Range<usize>>,
    /// A group that was no number stands before them, one space away: this may be the rest of a large number.
    continues: bool,
}

/// Every card and telephone number.
pub(super) fn all(text: &str) -> impl Iterator<Item = Found> {
    let (mut at, mut failed) = (0, None);
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(|c: char| c.is_ascii_digit())?;
            let continues = failed.is_some_and(|end| next_group(text, end) == Some(start));
            let groups = Groups::from(text, start, continues);
            if let Some((span, kind)) = groups.number() {
                (at, failed) = (span.end, None);
                return Some((span, kind));
            }
            at = groups.passed();
            let is_digits = text[..at].ends_with(|c: char| c.is_ascii_digit());
            failed = (is_digits && !groups.is_date()).then_some(at);
        }
    })
}

impl<'a> Groups<'a> {
    fn from(text: &'a str, start: usize, continues: bool) -> Self {
        let (mut groups, mut at, mut digits) = (Vec::<Range<usize>>::new(), start, 0);
        loop {
            let length = text[at..].find(|c: char| !c.is_ascii_digit());
            let end = length.map_or(text.len(), |length| at + length);
            digits += end - at;
            let singles = groups.last().is_some_and(|last| last.len() == 1) && end - at == 1;
            groups.push(at..end);
            let Some(next) = next_group(text, end) else { break };
            // Nobody writes a number digit by digit, and a long row of them is not read again and again.
            if digits > DIGITS_MAX || singles {
                break;
            }
            at = next;
        }
        Self { text, groups, continues }
    }

    /// The longest card or telephone number that begins with the first group.
    fn number(&self) -> Option<Found> {
        if self.groups.iter().map(Range::len).sum::<usize>() < DIGITS_MIN {
            return None;
        }
        let start = self.groups[0].start;
        let sign = self.text[..start].ends_with('+');
        let bracket = self.text[..start - usize::from(sign)].ends_with('(');
        let from = start - usize::from(sign) - usize::from(bracket);
        let before = self.text[..from].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') || self.is_date() {
            return None;
        }
        let in_name = before.is_some_and(|c| "/#=$€£~-".contains(c));
        for count in (1..=self.groups.len()).rev() {
            let end = self.groups[count - 1].end;
            let after = self.text[end..].chars().next();
            let goes_on = after.is_some_and(|c| c.is_alphanumeric() || "_%@€$£".contains(c))
                || after.is_some_and(|c| !is_space(c)) && next_group(self.text, end).is_some();
            let sizes: Vec<usize> = self.groups[..count].iter().map(Range::len).collect();
            let digits = self.digits(count);
            if goes_on || digits.len() > DIGITS_MAX {
                continue;
            }
            if is_card(&sizes, &digits) && !sign {
                return Some((start..end, CARD));
            }
            if !in_name
                && (sign && (8..=15).contains(&digits.len()) || self.is_phone(&sizes, &digits))
            {
                return Some((from..end, PHONE));
            }
        }
        None
    }

    fn digits(&self, count: usize) -> Vec<u8> {
        let groups = self.groups[..count].iter();
        groups.flat_map(|group| self.text[group.clone()].bytes().map(|byte| byte - b'0')).collect()
    }

    /// Whether groups of these sizes are how telephone numbers are written and large numbers are not.
    fn is_phone(&self, sizes: &[usize], digits: &[u8]) -> bool {
        let last = &self.groups[sizes.len() - 1];
        let dotted = sizes.len() > 1 && self.text[self.groups[0].end..last.start].contains('.');
        let [first, second, third, ..] = *digits else { return false };
        match sizes {
            // International, without the sign.
            [size, _, ..] if *size > 1 && first == 0 && second == 0 => {
                third > 0 && (10..=17).contains(&digits.len()) && !dotted
            }
            [3, 3, 4] => true,
            [1, 3, 3, 4] => first == 1,
            [3, 3, 3] | [3, 6] => first >= 6 && !dotted && !self.continues,
            [3, 2, 2, 2] | [2, 3, 2, 2] => first >= 6 && !dotted,
            [2, 5, 4] => third == 9 && !dotted,
            [3, 4, 4] if first > 0 => first == 1 && second > 2 && !dotted,
            [_, _, ..] => {
                let whole = sizes.iter().all(|size| (2..=8).contains(size));
                first == 0 && whole && (10..=11).contains(&digits.len()) && !dotted
            }
            _ => false,
        }
    }

    /// `2024-11-25` or `25.11.2024`, with any mark between.
    fn is_date(&self) -> bool {
        let [a, b, c, ..] = self.groups.as_slice() else { return false };
        let [year, month, day] = match [a.len(), b.len(), c.len()] {
            [4, 1..=2, 1..=2] => [a, b, c],
            [1..=2, 1..=2, 4] => [c, b, a],
            _ => return false,
        };
        let number = |group: &Range<usize>| self.text[group.clone()].parse::<u32>().unwrap_or(0);
        // Some write the month before the day.
        let (month, day) = (number(month).min(number(day)), number(month).max(number(day)));
        (1..=12).contains(&month) && (1..=31).contains(&day) && (1900..2100).contains(&number(year))
    }

    /// Where to look on: behind a date, or behind the groups that marks and not spaces tie to the first.
    fn passed(&self) -> usize {
        let tied = |pair: &&[Range<usize>]| !self.text[pair[0].end..].starts_with(is_space);
        let count = match self.is_date() {
            true => 3,
            false => 1 + self.groups.windows(2).take_while(tied).count(),
        };
        let end = self.groups[count - 1].end;
        let word = self.text[end..].find(|c: char| !c.is_alphanumeric());
        word.map_or(self.text.len(), |length| end + length)
    }
}

/// Where the next group of the same number begins: behind one mark, or two with a bracket among them.
fn next_group(text: &str, end: usize) -> Option<usize> {
    let rest = &text[end..];
    let marks = rest.trim_start_matches(|c| is_between(c) || c == '(');
    let between = &rest[..rest.len() - marks.len()];
    let count = between.chars().count();
    let ties = count == 1 && !between.contains(['(', ')'])
        || (1..=3).contains(&count) && between.contains(['(', ')']);
    (ties && marks.starts_with(|c: char| c.is_ascii_digit())).then_some(text.len() - marks.len())
}

/// Written in one, or in groups as on cards; of an issuer; with the check digit.
fn is_card(sizes: &[usize], digits: &[u8]) -> bool {
    let grouped = match sizes {
        [length] => (13..=DIGITS_MAX).contains(length),
        [4, 6, 4 | 5] => true,
        [4, 4, 4, rest @ ..] => matches!(rest, [1..=4] | [4, 1..=3]),
        _ => false,
    };
    grouped && (2..=6).contains(&digits[0]) && luhn(digits)
}

/// The check digit of payment cards (ISO/IEC 7812-1).
fn luhn(digits: &[u8]) -> bool {
    let double = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let weigh = |(place, digit): (usize, &u8)| if place % 2 == 1 { double(*digit) } else { *digit };
    let sum: u32 = digits.iter().rev().enumerate().map(weigh).map(u32::from).sum();
    sum.is_multiple_of(10)
}
