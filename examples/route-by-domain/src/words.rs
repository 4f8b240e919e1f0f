//! The words of a text. They lie one behind the other in one buffer: an allocation for each would cost more than all
//! else that is done with it.

/// Longer words are cut: nobody reads further.
const WORD_CHARS: usize = 24;

/// Words in lower case and without accents, as hasty people write them, and runs of the marks that code has.
pub(crate) struct Words {
    text: String,
    starts: Vec<usize>,
}

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let room = (String::with_capacity(text.len()), Vec::with_capacity(text.len() / 4 + 1));
        let mut words = Words { text: room.0, starts: room.1 };
        let (mut open, mut is_of_letters, mut length) = (false, false, 0);
        for c in text.chars().flat_map(char::to_lowercase).map(plain) {
            let is_letter = c.is_alphanumeric() || c == '_';
            let is_mark = c.is_ascii_punctuation() && !".,;:!?'\"()-".contains(c);
            if is_letter || is_mark {
                if !open || is_of_letters != is_letter || length == WORD_CHARS {
                    words.starts.push(words.text.len());
                    (is_of_letters, length) = (is_letter, 0);
                }
                words.text.push(c);
                length += 1;
            }
            // An apostrophe belongs to no word and parts none.
            open = is_letter || is_mark || open && c == '\'';
        }
        words
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        Some(&self.text[*self.starts.get(at)?..end])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
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
