//! What the classifier sees of a text: hashed words, pairs of words, pieces of words and signs of code. Training
//! and the component read texts through this one file, so they can't drift apart.

/// Rows of the table of weights.
pub(crate) const BUCKETS: usize = 1 << 15;
/// What is read at the beginning and at the end of a text, in bytes: there it says what is wanted.
const HEAD_BYTES: usize = 1500;
const TAIL_BYTES: usize = 400;
/// Letters of the pieces that a word is cut into.
const PIECES: [usize; 3] = [3, 4, 5];
/// Longer words are cut: nobody reads further.
const WORD_CHARS: usize = 24;
/// The words at the beginning that also count by their place.
const OPENING_WORDS: usize = 3;

/// A feature: its row, its weight, and the word that it belongs to.
pub(crate) struct Feature {
    pub(crate) bucket: usize,
    pub(crate) weight: f32,
    pub(crate) word: Option<usize>,
}

/// A text as the classifier sees it.
pub(crate) struct Seen {
    pub(crate) words: Vec<String>,
    pub(crate) features: Vec<Feature>,
}

impl Seen {
    pub(crate) fn of(text: &str) -> Self {
        let read = ends(text);
        let mut seen = Seen { words: words(&read), features: Vec::new() };
        for at in 0..seen.words.len() {
            seen.word(at);
        }
        seen.signs(&read);
        let norm = seen.features.iter().map(|f| f.weight * f.weight).sum::<f32>().sqrt();
        seen.features.iter_mut().for_each(|feature| feature.weight /= norm.max(1.0));
        seen
    }

    fn word(&mut self, at: usize) {
        let word = self.words[at].clone();
        self.add(&["w", &word], 1.5, Some(at));
        if at < OPENING_WORDS {
            self.add(&["^", &word], 1.0, Some(at));
        }
        if let Some(next) = self.words.get(at + 1).cloned() {
            self.add(&["p", &word, &next], 1.0, Some(at));
        }
        if !word.starts_with(char::is_alphanumeric) {
            return;
        }
        let padded: Vec<char> = format!("<{word}>").chars().collect();
        for size in PIECES {
            for piece in padded.windows(size) {
                let piece: String = piece.iter().collect();
                self.add(&["c", &piece], 0.5, Some(at));
            }
        }
    }

    /// What the shape of a text says, whatever its words are.
    fn signs(&mut self, text: &str) {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let foreign = text.chars().filter(|c| c.is_alphabetic() && *c > '\u{24f}').count();
        if foreign * 5 >= letters.max(5) {
            self.add(&["another script"], 8.0, None);
        }
        let code = text.lines().filter(|line| is_code(line.trim())).count();
        let lines = text.lines().count().max(1);
        if code > 0 {
            self.add(&["code"], 3.0, None);
        }
        if code * 2 >= lines {
            self.add(&["mostly code"], 3.0, None);
        }
        let size = match self.words.len() {
            0..=2 => "1",
            3..=5 => "2",
            6..=10 => "3",
            11..=25 => "4",
            26..=80 => "5",
            _ => "6",
        };
        self.add(&["size", size], 1.0, None);
    }

    /// FNV-1a over the parts, each closed by a byte that no text has.
    fn add(&mut self, parts: &[&str], weight: f32, word: Option<usize>) {
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = bytes.fold(0x811c_9dc5, step);
        let bucket = (hash ^ (hash >> 15)) as usize % BUCKETS;
        self.features.push(Feature { bucket, weight, word });
    }
}

/// The beginning and the end of a text.
fn ends(text: &str) -> String {
    if text.len() <= HEAD_BYTES + TAIL_BYTES {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(HEAD_BYTES)];
    let tail = &text[text.ceil_char_boundary(text.len() - TAIL_BYTES)..];
    format!("{head}\n{tail}")
}

/// The words in lower case and without accents, as hasty people write them, and runs of the marks that code has.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for c in text.chars().flat_map(char::to_lowercase).map(plain) {
        let is_word = c.is_alphanumeric() || c == '_';
        let is_mark = c.is_ascii_punctuation() && !".,;:!?'\"()-".contains(c);
        let fits = |word: &String| {
            word.starts_with(|first: char| first.is_alphanumeric() || first == '_') == is_word
                && word.chars().count() < WORD_CHARS
        };
        match words.last_mut().filter(|word| open && fits(word)) {
            Some(word) if is_word || is_mark => word.push(c),
            _ if is_word || is_mark => words.push(c.to_string()),
            _ => {}
        }
        // An apostrophe belongs to no word and parts none.
        open = is_word || is_mark || open && c == '\'';
    }
    words
}

/// The letter without its accent.
fn plain(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        '’' => '\'',
        other => other,
    }
}

/// How a line begins in languages that people paste, with what else stands in it.
const CODE_LINES: [(&str, &str); 40] = [
    ("def ", "("),
    ("fn ", "("),
    ("pub fn ", "("),
    ("func ", "("),
    ("function ", "("),
    ("class ", ""),
    ("import ", ""),
    ("from ", " import "),
    ("#include", ""),
    ("#!/", ""),
    ("return ", ""),
    ("let ", "="),
    ("const ", "="),
    ("var ", "="),
    ("public ", "("),
    ("private ", "("),
    ("static ", "("),
    ("using ", ";"),
    ("package ", ""),
    ("console.", "("),
    ("print(", ")"),
    ("select ", " from "),
    ("insert into ", "("),
    ("update ", " set "),
    ("delete from ", ""),
    ("create table ", "("),
    ("alter table ", ""),
    ("$ ", ""),
    ("sudo ", ""),
    ("docker ", ""),
    ("kubectl ", ""),
    ("git ", ""),
    ("npm ", ""),
    ("pip ", ""),
    ("cargo ", ""),
    ("curl ", ""),
    ("chmod ", ""),
    ("grep ", ""),
    ("traceback ", ""),
    ("assert ", "="),
];

/// Marks that prose does not have.
const CODE_MARKS: [&str; 15] = [
    "```", "();", "=>", "==", "!=", "};", "</", "){", ") {", "[i]", " && ", " || ", "::", " += ",
    "/>",
];

fn is_code(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let begins = |(start, more): &(&str, &str)| {
        lower.strip_prefix(start).is_some_and(|rest| rest.contains(more.trim_start()))
    };
    CODE_MARKS.iter().any(|mark| line.contains(mark))
        || line.len() > 1 && line.ends_with([';', '{', '}'])
        || CODE_LINES.iter().any(begins) && line.contains(|c: char| "(=:<>./{*-_|#".contains(c))
        || is_call(line)
}

/// A call of a function and nothing else: `print(x)`, `foo.bar()`.
fn is_call(line: &str) -> bool {
    let (name, rest) = line.split_once('(').unwrap_or_default();
    let identifier = |c: char| c.is_ascii_alphanumeric() || "_.:".contains(c);
    !name.is_empty() && rest.ends_with(')') && name.chars().all(identifier)
}
