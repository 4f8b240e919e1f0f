//! What the classifier sees of a text: hashed words, pairs of words, pieces of words and signs of code. Training
//! and the component read texts through this one file, so they can't drift apart.

use std::borrow::Cow;

use crate::code::is_code;
use crate::words::Words;

/// Rows of the table of weights.
pub(crate) const BUCKETS: usize = 1 << 15;
/// What is read at the beginning and at the end of a text, in bytes: there it says what is wanted.
const HEAD_BYTES: usize = 1500;
const TAIL_BYTES: usize = 400;
/// Letters of the pieces that a word is cut into.
const PIECES: [usize; 3] = [3, 4, 5];
/// The words at the beginning that also count by their place.
const OPENING_WORDS: usize = 3;
/// Features that a byte of text makes, about: room is made once.
const FEATURES_PER_BYTE: usize = 3;

/// A feature: its row, its weight, and the word that it belongs to.
pub(crate) struct Feature {
    pub(crate) bucket: u16,
    pub(crate) weight: f32,
    pub(crate) word: Option<u16>,
}

/// A text as the classifier sees it.
pub(crate) struct Seen {
    pub(crate) words: Words,
    pub(crate) features: Vec<Feature>,
}

impl Seen {
    pub(crate) fn of(text: &str) -> Self {
        let read = ends(text);
        let words = Words::of(&read);
        let mut found = Features(Vec::with_capacity(FEATURES_PER_BYTE * read.len() + 16));
        let mut room = Padded::default();
        for at in 0..words.len() {
            found.word(&words, at, &mut room);
        }
        found.signs(&read, words.len());
        let mut features = found.0;
        let norm = features.iter().map(|f| f.weight * f.weight).sum::<f32>().sqrt();
        features.iter_mut().for_each(|feature| feature.weight /= norm.max(1.0));
        Seen { words, features }
    }
}

/// Features as they are found.
struct Features(Vec<Feature>);

impl Features {
    fn word(&mut self, words: &Words, at: usize, room: &mut Padded) {
        let word = words.get(at).unwrap_or_default();
        let of = u16::try_from(at).ok();
        self.add(Hash::of("w").part(word.as_bytes()), 1.5, of);
        if at < OPENING_WORDS {
            self.add(Hash::of("^").part(word.as_bytes()), 1.0, of);
        }
        if let Some(next) = words.get(at + 1) {
            self.add(Hash::of("p").part(word.as_bytes()).part(next.as_bytes()), 1.0, of);
        }
        if !word.starts_with(char::is_alphanumeric) {
            return;
        }
        room.put(word);
        for size in PIECES {
            for piece in room.borders.windows(size + 1) {
                let piece = &room.text.as_bytes()[piece[0]..piece[size]];
                self.add(Hash::of("c").part(piece), 0.5, of);
            }
        }
    }

    /// What the shape of a text says, whatever its words are.
    fn signs(&mut self, text: &str, words: usize) {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let foreign = text.chars().filter(|c| *c > '\u{24f}' && c.is_alphabetic()).count();
        if foreign * 5 >= letters.max(5) {
            self.add(Hash::of("another script"), 8.0, None);
        }
        let code = text.lines().filter(|line| is_code(line.trim())).count();
        let lines = text.lines().count().max(1);
        if code > 0 {
            self.add(Hash::of("code"), 3.0, None);
        }
        if code * 2 >= lines {
            self.add(Hash::of("mostly code"), 3.0, None);
        }
        let size = match words {
            0..=2 => "1",
            3..=5 => "2",
            6..=10 => "3",
            11..=25 => "4",
            26..=80 => "5",
            _ => "6",
        };
        self.add(Hash::of("size").part(size.as_bytes()), 1.0, None);
    }

    fn add(&mut self, hash: Hash, weight: f32, word: Option<u16>) {
        self.0.push(Feature { bucket: hash.bucket(), weight, word });
    }
}

/// A word between the marks of its beginning and its end, with the borders of its characters.
#[derive(Default)]
struct Padded {
    text: String,
    borders: Vec<usize>,
}

impl Padded {
    fn put(&mut self, word: &str) {
        self.text.clear();
        self.text.extend(["<", word, ">"]);
        self.borders.clear();
        self.borders.extend(self.text.char_indices().map(|(at, _)| at));
        self.borders.push(self.text.len());
    }
}

/// FNV-1a over parts, each closed by a byte that no text has.
#[derive(Clone, Copy)]
struct Hash(u32);

impl Hash {
    fn of(part: &str) -> Self {
        Hash(0x811c_9dc5).part(part.as_bytes())
    }

    fn part(self, part: &[u8]) -> Self {
        let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        Hash(step(part.iter().fold(self.0, step), &0xff))
    }

    /// Its row: fifteen bits.
    fn bucket(self) -> u16 {
        ((self.0 ^ (self.0 >> 15)) % BUCKETS as u32) as u16
    }
}

/// The beginning and the end of a text.
fn ends(text: &str) -> Cow<'_, str> {
    if text.len() <= HEAD_BYTES + TAIL_BYTES {
        return Cow::Borrowed(text);
    }
    let head = &text[..text.floor_char_boundary(HEAD_BYTES)];
    let tail = &text[text.ceil_char_boundary(text.len() - TAIL_BYTES)..];
    Cow::Owned(format!("{head}\n{tail}"))
}
