//! Words without their endings, so that `contracts` is `contract` and `recetas` is `receta`, as sets that are quick to
//! compare: each is a number, and they lie in order.

use crate::words::Words;

/// Words that say nothing of a subject, wherever they stand.
const EMPTY: &str = include_str!("empty-words.txt");
/// Their numbers in order, found by the compiler.
static EMPTY_WORDS: [u64; count(EMPTY)] = numbers(EMPTY);

/// Endings of words in English and Spanish, the longest first.
const ENDINGS: [&str; 15] = [
    "ations", "ation", "iones", "mente", "ion", "ing", "ers", "er", "es", "ed", "s", "e", "a", "o",
    "y",
];

/// A set of them.
#[derive(Default)]
pub(crate) struct Stems(Vec<u64>);

impl Stems {
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a Words>) -> Self {
        let words = texts.into_iter().flat_map(Words::iter);
        Self(words.filter_map(stem).collect()).in_order()
    }

    pub(crate) fn has(&self, stem: u64) -> bool {
        self.0.binary_search(&stem).is_ok()
    }

    /// How many of them the other set has, too.
    pub(crate) fn shared(&self, other: &Stems) -> usize {
        self.0.iter().filter(|stem| other.has(**stem)).count()
    }

    pub(crate) fn add(&mut self, other: Stems) {
        self.0.extend(other.0);
        *self = std::mem::take(self).in_order();
    }

    fn in_order(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }
}

/// Whether a word says nothing of a subject.
pub(crate) fn is_empty(word: &str) -> bool {
    EMPTY_WORDS.binary_search(&number(word.as_bytes())).is_ok()
}

/// The number of a word without its ending; nothing when it is empty or too short to say anything.
pub(crate) fn stem(word: &str) -> Option<u64> {
    let long = |word: &str| word.chars().nth(2).is_some();
    if !long(word) || !word.chars().all(char::is_alphabetic) || is_empty(word) {
        return None;
    }
    let cut = |end: &&str| word.strip_suffix(*end).filter(|rest| long(rest));
    Some(number(ENDINGS.iter().find_map(cut).unwrap_or(word).as_bytes()))
}

/// FNV-1a of 64 bits: no two words of a conversation share one by chance.
const fn number(word: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325, 0);
    while at < word.len() {
        hash = (hash ^ word[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// How many words a text has that are parted by white space.
const fn count(text: &str) -> usize {
    let (text, mut words, mut at) = (text.as_bytes(), 0, 0);
    while at < text.len() {
        let ends = at + 1 == text.len() || text[at + 1].is_ascii_whitespace();
        words += (!text[at].is_ascii_whitespace() && ends) as usize;
        at += 1;
    }
    words
}

/// The numbers of a text's words, the smallest first.
const fn numbers<const N: usize>(text: &str) -> [u64; N] {
    let (mut numbers, mut found) = ([0; N], 0);
    let mut rest = text.as_bytes().trim_ascii_start();
    while !rest.is_empty() {
        let mut end = 0;
        while end < rest.len() && !rest[end].is_ascii_whitespace() {
            end += 1;
        }
        let (word, behind) = rest.split_at(end);
        let (number, mut at) = (number(word), found);
        while at > 0 && numbers[at - 1] > number {
            numbers[at] = numbers[at - 1];
            at -= 1;
        }
        numbers[at] = number;
        found += 1;
        rest = behind.trim_ascii_start();
    }
    numbers
}
