//! What a mistyped name may have meant.

/// How alike two names must be (0 to 1) for one to be offered in place of the other.
const LIKENESS_MIN: f64 = 0.7;

/// The known name most like a mistyped one, when one is like it at all.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    known
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}
