//! How near a message is to what each expert is for: the cosine of its vector and that of the nearest purpose.

use signalbox_sdk::{
    Expert, config,
    embeddings::{self, Error, Owner, cosine},
};

/// What the host writes before use cases.
const USE_CASES: &str = "Use cases: ";
/// Purposes of all experts together; the host lets a policy have 256 vectors about a call.
const PURPOSES: usize = 240;
/// Bytes of a text that matter: more than the tokens that are read.
const TEXT_BYTES: usize = 2000;
/// Bytes of a purpose.
const PURPOSE_BYTES: usize = 500;

/// What one expert is for, and how near that is.
pub(crate) struct Near<'e> {
    pub(crate) expert: &'e Expert,
    /// The nearest of its purposes.
    pub(crate) purpose: String,
    pub(crate) cosine: f32,
}

/// Every expert of which it is known what it is for.
pub(crate) fn of<'e>(text: &str, experts: &[&'e Expert]) -> Result<Vec<Near<'e>>, Error> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let encoder = config::get("embedding-expert");
    let encoder = encoder.as_deref();
    let each = PURPOSES / experts.len().max(1);
    let purposes: Vec<(&'e Expert, String)> = experts
        .iter()
        .flat_map(|expert| purposes(expert).take(each).map(|purpose| (*expert, purpose)))
        .collect();
    let passages: Vec<String> =
        purposes.iter().map(|(_, purpose)| prefixed("passage-prefix", purpose)).collect();
    let known = embeddings::embed(&passages, Owner::Policy, encoder)?;
    let query = prefixed("query-prefix", cut(text, TEXT_BYTES));
    let asked = embeddings::embed(&[query], Owner::Caller, encoder)?;
    let Some(asked) = asked.first() else { return Ok(Vec::new()) };
    let mut found: Vec<Near> = Vec::new();
    for ((expert, purpose), vector) in purposes.into_iter().zip(&known) {
        let near = Near { expert, purpose, cosine: cosine(asked, vector) };
        match found.iter_mut().find(|other| std::ptr::eq(other.expert, expert)) {
            Some(other) if other.cosine >= near.cosine => {}
            Some(other) => *other = near,
            None => found.push(near),
        }
    }
    Ok(found)
}

/// What an expert is for: its description, its use cases, and what the setting `examples.ID` has, parted by `;`.
fn purposes(expert: &Expert) -> impl Iterator<Item = String> {
    let said = expert.description();
    let (description, cases) = said.split_once(USE_CASES).unwrap_or((&said, ""));
    let examples = config::get(&format!("examples.{}", expert.id())).unwrap_or_default();
    let all = [description].into_iter().chain(cases.split(';')).chain(examples.split(';'));
    let texts: Vec<String> = all
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| cut(text, PURPOSE_BYTES).to_owned())
        .collect();
    texts.into_iter()
}

/// Some models want a word before a text that says what it is.
fn prefixed(setting: &str, text: &str) -> String {
    config::get(setting).unwrap_or_default() + text
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
