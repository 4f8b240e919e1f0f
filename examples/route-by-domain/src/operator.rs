//! What the operator wrote about the experts: a domain that the classifier was never taught has its words from
//! there, and what a taught one is said to be for speaks for it.

use std::collections::BTreeSet;

use crate::candidate::Candidate;
use crate::classifier::Scores;
use crate::domains::DOMAINS;
use crate::stems::{Stems, stem};
use crate::verdict::Verdict;
use crate::words::Words;

/// Words that belong to a field, by the field's names: `names: words`, one field a line.
const TOPICS: &str = include_str!("topics.txt");
/// What is left in doubt by each word that a text shares with an own domain.
const DOUBT_PER_WORD: f32 = 0.45;
/// What a taught domain gains for each word, and for how many at most.
const NUDGE: f32 = 0.05;
const NUDGES_MAX: usize = 3;
/// Domains that say what is to be done, whatever the subject is: code and translations.
const TASKS: [usize; 2] = [2, 4];

/// What one expert is for.
struct Purpose {
    domain: String,
    /// The column of a taught domain.
    class: Option<usize>,
    stems: Stems,
}

/// What all experts are for.
pub(crate) struct Operator(Vec<Purpose>);

impl Operator {
    pub(crate) fn of(experts: &[Candidate]) -> Self {
        Self(experts.iter().map(Purpose::of).collect())
    }

    /// The classifier's scores, with what the operator says of taught domains.
    pub(crate) fn nudged(&self, found: &Scores, text: &Stems) -> Scores {
        let mut nudged = *found;
        for expert in &self.0 {
            let Some(class) = expert.class else { continue };
            let shared = expert.stems.shared(text).min(NUDGES_MAX);
            nudged[class] = nudged[class].max((found[class] + NUDGE * shared as f32).min(0.99));
        }
        nudged
    }

    /// The own domain with which a text shares most words.
    pub(crate) fn own(&self, words: &Words, text: &Stems) -> Option<Own> {
        let own = self.0.iter().filter(|expert| expert.class.is_none());
        let own = own.map(|expert| (expert, expert.stems.shared(text)));
        let (expert, shared) = own.rev().max_by_key(|(_, shared)| *shared)?;
        let named = |word: &&str| stem(word).is_some_and(|stem| expert.stems.has(stem));
        let words: BTreeSet<_> =
            words.iter().filter(named).map(|word| format!("'{word}'")).collect();
        (shared > 0).then(|| Own {
            domain: expert.domain.clone(),
            confidence: 1.0 - DOUBT_PER_WORD.powi(i32::try_from(shared).unwrap_or(i32::MAX)),
            words: words.into_iter().take(3).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Purpose {
    fn of(expert: &Candidate) -> Self {
        let class = expert.taught.and_then(|taught| DOMAINS.iter().position(|d| *d == taught));
        let name = Words::of(&expert.domain.replace('_', " "));
        let mut stems = Stems::of([&name, &Words::of(&expert.expert.description())]);
        if class.is_none() {
            stems.add(fields(&stems));
        }
        Purpose { domain: expert.domain.clone(), class, stems }
    }
}

/// The words of every field that one of these names.
fn fields(names: &Stems) -> Stems {
    let lines = TOPICS.lines().filter_map(|line| line.split_once(": "));
    let lines = lines.map(|(field, of_it)| (Words::of(field), of_it));
    let named = lines.filter(|(field, _)| Stems::of([field]).shared(names) > 0);
    let mut fields = Stems::default();
    for (field, of_it) in named {
        fields.add(Stems::of([&field, &Words::of(of_it)]));
    }
    fields
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
