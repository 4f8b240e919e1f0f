//! What a template writes around the turns of a conversation, as small ones of our own show it.

/// Stand where texts would; no template writes them by itself.
pub(super) const TEXTS: [&str; 3] = ["turn-probe-one", "turn-probe-two", "turn-probe-three"];

/// What a template writes by itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct TurnMarks {
    /// All of it, with line feeds where the texts stood.
    around: String,
    /// What stands between an assistant's text and the next turn's.
    behind: String,
}

impl TurnMarks {
    /// Adds what a rendering of [`TEXTS`] shows; the second one is the assistant's.
    pub(super) fn add(&mut self, rendered: &str) {
        let [one, two, three] = TEXTS;
        if let Some((_, rest)) = rendered.rsplit_once(two) {
            self.behind = rest.split_once(three).map_or(rest, |(behind, _)| behind).to_owned();
        }
        let bare = [one, two, three]
            .iter()
            .fold(rendered.to_owned(), |bare, text| bare.replace(text, "\n"));
        self.around.push('\n');
        self.around.push_str(&bare);
    }

    /// Whether the template writes this text, and not as a word among others.
    pub(crate) fn write(&self, text: &str) -> bool {
        let marks = text.chars().any(|c| !c.is_alphanumeric() && !c.is_whitespace());
        let blank = text.chars().any(char::is_whitespace);
        marks && !blank && text.chars().count() > 1 && self.around.contains(text)
    }

    /// Which of these texts follows a reply at once; the longest of several.
    pub(crate) fn behind_reply<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Option<&'t str> {
        let behind = self.behind.trim_start();
        let follows = texts.filter(|text| !text.trim().is_empty() && behind.starts_with(text));
        follows.max_by_key(|text| text.len())
    }
}
