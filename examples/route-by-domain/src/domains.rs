//! The domains that the classifier was taught, and what operators also call them.

const GENERAL: &str = "general";
const TECHNICAL: &str = "technical";
const CODING: &str = "coding";
const LONG_TEXT: &str = "multimodal_expert";
const LANGUAGES: &str = "multilingual_expert";

/// In the order of the classifier's columns.
pub(crate) const DOMAINS: [&str; 5] = [GENERAL, TECHNICAL, CODING, LONG_TEXT, LANGUAGES];

/// Other names, in lower case.
const ALSO: [(&str, &[&str]); 5] = [
    (GENERAL, &["chat", "fast", "default", "conversation", "assistant", "small_talk"]),
    (TECHNICAL, &["tech", "technology", "science", "engineering", "tecnico", "técnico"]),
    (CODING, &["code", "coder", "programming", "software", "developer", "programación"]),
    (
        LONG_TEXT,
        &[
            "multimodal",
            "vision",
            "images",
            "analysis",
            "reasoning",
            "summaries",
            "research",
            "long_context",
        ],
    ),
    (
        LANGUAGES,
        &["multilingual", "translation", "translator", "languages", "idiomas", "traducción"],
    ),
];

/// The taught domain that an operator means by this name.
pub(crate) fn taught(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let meant =
        |(domain, also): &&(&str, &[&str])| *domain == name || also.contains(&name.as_str());
    ALSO.iter().find(meant).map(|(domain, _)| *domain)
}
