//! Bank accounts (IBAN) and the identity numbers of Spain (DNI, NIE): letters and digits that a checksum holds.

use super::found::Found;

const IBAN: &str = "[iban]";
const IDENTITY: &str = "[id]";
/// The countries of the IBAN registry and how many letters and digits theirs have.
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 ES24 \
    FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IS26 IT27 JO30 KW30 KZ20 LB28 LI21 LT20 LU20 \
    LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SE24 SI19 SK24 SM27 \
    TN24 TR26 UA29 VA22 XK20";
/// The same with a space between groups of four, in bytes.
const IBAN_WRITTEN_MAX: usize = 34 + 3 * 8;
/// The check letter of a DNI by its remainder.
const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Every account and identity number.
pub(super) fn all(text: &str) -> impl Iterator<Item = Found> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(|c: char| c.is_alphanumeric())?;
            let word = text[start..].find(|c: char| !c.is_alphanumeric() && c != '_');
            at = word.map_or(text.len(), |length| start + length);
            let found = iban(text, start).or_else(|| identity(text, start));
            if let Some((end, kind)) = found {
                at = end;
                return Some((start..end, kind));
            }
        }
    })
}

/// Where an account begins that the end of the text may go on with.
pub(super) fn unfinished(text: &str) -> usize {
    // Marks at the end belong to what follows, or to nothing.
    let end = text.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
    let from = text.ceil_char_boundary(end.saturating_sub(IBAN_WRITTEN_MAX));
    let starts = text[from..end].char_indices().map(|(at, _)| from + at);
    let mut starts = starts.filter(|&at| !text[..at].ends_with(char::is_alphanumeric));
    let begins = |at: &usize| {
        is_iban_head(&text.as_bytes()[*at..])
            && text[*at..end].chars().all(|c| c.is_ascii_alphanumeric() || is_between(c))
    };
    starts.find(begins).unwrap_or(text.len())
}

fn is_between(c: char) -> bool {
    " -\u{a0}\u{2007}\u{2009}\u{202f}".contains(c)
}

/// Two letters and two digits.
fn is_iban_head(bytes: &[u8]) -> bool {
    bytes.len() > 3
        && bytes[..2].iter().all(u8::is_ascii_alphabetic)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
}

/// The end of the IBAN that begins here: whole words, as many signs as the country has, and a remainder of 1
/// by 97.
fn iban(text: &str, start: usize) -> Option<(usize, &'static str)> {
    if !is_iban_head(&text.as_bytes()[start..]) {
        return None;
    }
    let (mut plain, mut was_between) = (Vec::new(), false);
    for (at, c) in text[start..].char_indices() {
        if !c.is_alphanumeric() && is_iban(&plain) {
            return Some((start + at, IBAN));
        }
        let two_between = is_between(c) && was_between;
        if !c.is_ascii_alphanumeric() && !is_between(c) || two_between || plain.len() > 34 {
            return None;
        }
        was_between = is_between(c);
        plain.extend(c.is_ascii_alphanumeric().then_some(c as u8));
    }
    is_iban(&plain).then_some((text.len(), IBAN))
}

/// The check digits of ISO 7064: the number, its first four signs behind the rest, letters as 10 to 35.
fn is_iban(plain: &[u8]) -> bool {
    let Some((head, rest)) = plain.split_at_checked(4) else { return false };
    let country = |known: &&str| known.as_bytes()[..2].eq_ignore_ascii_case(&head[..2]);
    let length = IBANS.split_whitespace().find(country).and_then(|known| known[2..].parse().ok());
    if length != Some(plain.len()) {
        return false;
    }
    let values = rest.iter().chain(head).map(|&sign| (sign as char).to_digit(36).unwrap_or(0));
    let step = |rest: u32, value: u32| (rest * if value > 9 { 100 } else { 10 } + value) % 97;
    values.fold(0, step) == 1
}

/// Eight digits and their letter, or seven behind `X`, `Y` or `Z`.
fn identity(text: &str, start: usize) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes()[start..].get(..9)?;
    let first = match bytes[0].to_ascii_uppercase() {
        digit if digit.is_ascii_digit() => digit,
        letter @ b'X'..=b'Z' => b'0' + (letter - b'X'),
        _ => return None,
    };
    let (mut length, mut letter) = (9, bytes[8]);
    if letter == b'-' {
        (length, letter) = (10, *text.as_bytes().get(start + 9)?);
    }
    let digits = [&[first], &bytes[1..8]].concat();
    let number: u32 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    let holds = LETTERS[number as usize % 23] == letter.to_ascii_uppercase();
    let rest = text.get(start + length..)?;
    let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (holds && ends && digits.iter().all(u8::is_ascii_digit)).then_some((start + length, IDENTITY))
}
