//! Whether a question is one that documents answer, and of which kind: so many passages are looked for. Read from words, English
//! and Spanish. A question mark alone says nothing: "how are you?" has one.

use std::fmt;

/// What kind of answer is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Who, when, which.
    Factual,
    /// How something is done.
    Technical,
    /// What a certain text says.
    Contextual,
}

/// What speaks for an intent and how much: words or beginnings of words that follow each other.
const SIGNS: [(Intent, f32, &[&str]); 6] = [
    (
        Intent::Contextual,
        0.8,
        &[
            "according to",
            "based on the",
            "in the doc",
            "the documentation",
            "the manual",
            "our docs",
            "our doc",
            "según",
            "segun",
            "de acuerdo con",
            "en la documentación",
            "en el manual",
            "el documento",
            "nuestra doc",
        ],
    ),
    (
        Intent::Technical,
        0.6,
        &[
            "how do i",
            "how do we",
            "how to",
            "how can i",
            "how does",
            "how is",
            "cómo se",
            "como se",
            "cómo puedo",
            "como puedo",
            "cómo hago",
            "cómo funciona",
            "como funciona",
        ],
    ),
    (
        Intent::Technical,
        0.3,
        &[
            "install",
            "configur",
            "deploy",
            "error",
            "api",
            "endpoint",
            "parameter",
            "command",
            "version",
            "instal",
            "desplegar",
            "parámetro",
            "comando",
            "versión",
        ],
    ),
    (
        Intent::Factual,
        0.5,
        &[
            "what is",
            "what are",
            "what was",
            "what does",
            "who ",
            "when ",
            "where ",
            "which ",
            "how many",
            "how much",
            "qué es",
            "que es",
            "qué son",
            "quién",
            "quien ",
            "cuándo",
            "cuando ",
            "dónde",
            "donde ",
            "cuál",
            "cuánt",
        ],
    ),
    (
        Intent::Factual,
        0.4,
        &[
            "define",
            "definition",
            "explain",
            "tell me about",
            "definición",
            "explica",
            "háblame de",
        ],
    ),
    (Intent::Factual, 0.2, &["?"]),
];
/// Who asks for these wants something made, or is being polite.
const AGAINST: [&str; 16] = [
    "how are you",
    "who are you",
    "what is your name",
    "cómo estás",
    "como estas",
    "quién eres",
    "write a",
    "write me",
    "translate",
    "rewrite",
    "poem",
    "story",
    "escribe",
    "traduce",
    "poema",
    "cuento",
];

impl Intent {
    /// The likeliest one, if it is as likely as `threshold`.
    pub(crate) fn of(question: &str, threshold: f32) -> Option<Intent> {
        let text = format!(" {} ", question.to_lowercase());
        // A sign begins where a word does.
        let says = |sign: &&str| {
            let mut found = text.match_indices(*sign);
            found.any(|(at, _)| *sign == "?" || !text[..at].ends_with(char::is_alphanumeric))
        };
        if AGAINST.iter().any(says) {
            return None;
        }
        let sure = |wanted: Intent| {
            let signs = SIGNS
                .iter()
                .filter(|(intent, _, signs)| *intent == wanted && signs.iter().any(says));
            signs.map(|(_, weight, _)| weight).sum::<f32>()
        };
        let all = [Intent::Contextual, Intent::Technical, Intent::Factual];
        let best = all.into_iter().max_by(|a, b| sure(*a).total_cmp(&sure(*b)))?;
        (sure(best) >= threshold).then_some(best)
    }

    /// How many passages are looked for.
    pub(crate) fn passages(self) -> u32 {
        match self {
            Self::Factual => 5,
            Self::Technical => 8,
            Self::Contextual => 3,
        }
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Factual => "factual",
            Self::Technical => "technical",
            Self::Contextual => "contextual",
        })
    }
}
