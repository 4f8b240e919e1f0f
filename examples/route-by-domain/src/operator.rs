//! What the operator wrote about the experts: a domain that the classifier was never taught has its words from
//! there, and what a taught one is said to be for speaks for it.

use std::collections::BTreeSet;

use signalbox_sdk::Expert;

use crate::classifier::Scores;
use crate::domains::{DOMAINS, taught};
use crate::features::words;
use crate::verdict::Verdict;

/// Words that belong to a field, by the field's names: `names: words`, one field a line.
const TOPICS: &str = include_str!("topics.txt");
/// Words that say nothing of a subject, wherever they stand.
const EMPTY: &str = include_str!("empty-words.txt");
/// What is left in doubt by each word that a text shares with an own domain.
const DOUBT_PER_WORD: f32 = 0.45;
/// What a taught domain gains for each word, and for how many at most.
const NUDGE: f32 = 0.05;
const NUDGES_MAX: usize = 3;
/// Domains that say what is to be done, whatever the subject is: code and translations.
const TASKS: [usize; 2] = [2, 4];

/// Endings of words in English and Spanish, the longest first.
const ENDINGS: [&str; 15] = [
    "ations", "ation", "iones", "mente", "ion", "ing", "ers", "er", "es", "ed", "s", "e", "a", "o",
    "y",
];

/// What one expert is for.
struct Words {
    domain: String,
    /// The column of a taught domain.
    class: Option<usize>,
    stems: BTreeSet<String>,
}

/// What all experts are for.
pub(crate) struct Operator {
    experts: Vec<Words>,
    empty: BTreeSet<&'static str>,
}

impl Operator {
    pub(crate) fn of(experts: &[Expert]) -> Self {
        let empty = EMPTY.split_whitespace().collect();
        let mut operator = Self { experts: Vec::new(), empty };
        for expert in experts {
            let domain = expert.domain();
            let class = taught(&domain).and_then(|t| DOMAINS.iter().position(|d| *d == t));
            let said = format!("{} {}", domain.replace('_', " "), expert.description());
            let mut stems = operator.stems(&words(&said));
            if class.is_none() {
                stems.extend(operator.fields(&stems));
            }
            operator.experts.push(Words { domain, class, stems });
        }
        operator
    }

    /// The classifier's scores, with what the operator says of taught domains.
    pub(crate) fn nudged(&self, found: &Scores, text: &[String]) -> Scores {
        let (text, mut nudged) = (self.stems(text), *found);
        for expert in &self.experts {
            let Some(class) = expert.class else { continue };
            let shared = expert.stems.intersection(&text).count().min(NUDGES_MAX);
            nudged[class] = nudged[class].max((found[class] + NUDGE * shared as f32).min(0.99));
        }
        nudged
    }

    /// The own domain with which a text shares most words.
    pub(crate) fn own(&self, text: &[String]) -> Option<Own> {
        let shared = self.stems(text);
        let own = self.experts.iter().filter(|expert| expert.class.is_none());
        let own = own.map(|expert| (expert, expert.stems.intersection(&shared).count()));
        let (expert, shared) = own.rev().max_by_key(|(_, shared)| *shared)?;
        let words =
            text.iter().filter(|word| self.stem(word).is_some_and(|s| expert.stems.contains(s)));
        let words: BTreeSet<_> = words.map(|word| format!("'{word}'")).collect();
        (shared > 0).then(|| Own {
            domain: expert.domain.clone(),
            confidence: 1.0 - DOUBT_PER_WORD.powi(i32::try_from(shared).unwrap_or(i32::MAX)),
            words: words.into_iter().take(3).collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether a word says nothing of a subject.
    pub(crate) fn is_empty(&self, word: &str) -> bool {
        self.empty.contains(word)
    }

    /// The words of every field that one of these names.
    fn fields(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let lines = TOPICS.lines().filter_map(|line| line.split_once(": "));
        let named = lines.filter(|(field, _)| !self.stems(&words(field)).is_disjoint(names));
        named.flat_map(|(field, of_it)| self.stems(&words(&format!("{field} {of_it}")))).collect()
    }

    fn stems(&self, words: &[String]) -> BTreeSet<String> {
        words.iter().filter_map(|word| self.stem(word)).map(str::to_owned).collect()
    }

    /// A word without its ending, so that `contracts` is `contract` and `recetas` is `receta`;
    /// nothing when it is empty or too short to say anything.
    fn stem<'a>(&self, word: &'a str) -> Option<&'a str> {
        let says = word.chars().all(char::is_alphabetic) && !self.is_empty(word);
        let cut = |end: &&str| word.strip_suffix(end).filter(|rest| rest.chars().count() > 2);
        let stem = ENDINGS.iter().find_map(cut).unwrap_or(word);
        (says && word.chars().count() > 2).then_some(stem)
    }
}

/// A domain that only the operator knows.
pub(crate) struct Own {
    domain: String,
    confidence: f32,
    words: String,
}

impl Own {
    /// Whether it counts more than the classifier's best: more than a subject always, more than a task when it is
    /// surer.
    pub(crate) fn outweighs(&self, (class, confidence): (usize, f32)) -> bool {
        !TASKS.contains(&class) || self.confidence > confidence
    }

    pub(crate) fn into_verdict(self) -> Verdict {
        Verdict { domain: self.domain, confidence: self.confidence, why: self.words }
    }
}
