//! The text of a configuration file, read key by key.
//!
//! A [`Section`] hands out checked values and remembers which keys were asked for. What is wrong is
//! collected, never thrown, so that one run names every mistake; a key nobody asked for is ignored
//! with its reason when [`ignored`] lists it, and a warning with the nearest known name otherwise.

use std::{cell::RefCell, collections::BTreeSet, fmt, ops::RangeInclusive};

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, ObjectProp, Value},
    common::Ranged,
    parse_to_ast,
};

use signalbox_confine::{Bounded, Limit};

mod guards;
pub(crate) mod ignored;
mod nearest;
#[cfg(test)]
mod tests;

pub(crate) use nearest::nearest;

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Mistake {
    /// Line of the file, from 1.
    pub(crate) line: usize,
    /// Path of the key, as in `experts[2].priority`; empty for the file as a whole.
    pub(crate) key: String,
    /// What is wrong and what mends it.
    pub(crate) problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.problem),
            key => write!(f, "line {}: {key}: {}", self.line, self.problem),
        }
    }
}

/// A key that was accepted and has no effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Ignored {
    /// Path of the key without list positions, as in `experts[].swap_space`.
    pub(crate) key: String,
    /// Why it has none.
    pub(crate) why: &'static str,
}

/// What reading a file brought to light.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) mistakes: Vec<Mistake>,
    /// What the file can be used in spite of, and what is hardly meant.
    pub(crate) warnings: Vec<Mistake>,
    pub(crate) ignored: BTreeSet<Ignored>,
}

/// Reads a file's text: JSON with comments and trailing commas. `read` gets the outermost section.
pub(crate) fn read<T>(text: &str, read: impl FnOnce(&Section<'_>) -> T) -> (Option<T>, Findings) {
    let book = Book { text, findings: RefCell::default() };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &lenient());
    let value = match parsed {
        Ok(tree) => match tree.value {
            Some(Value::Object(root)) => {
                Some(read(&Section::new(Some(&root), String::new(), &book)))
            }
            _ => {
                book.mistake(0, "", "the file must hold one JSON object: { \"experts\": [...] }");
                None
            }
        },
        Err(error) => {
            let column = error.column_display();
            book.mistake(error.range().start, "", format!("column {column}: {}", error.kind()));
            None
        }
    };
    (value, book.findings.into_inner())
}

/// Comments and trailing commas, and nothing else that JSON does not have.
fn lenient() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The file under way: its text, for line numbers, and what was noticed.
struct Book<'t> {
    text: &'t str,
    findings: RefCell<Findings>,
}

impl Book<'_> {
    fn mistake(&self, at: usize, key: &str, problem: impl Into<String>) {
        let mistake = self.found(at, key, problem.into());
        self.findings.borrow_mut().mistakes.push(mistake);
    }

    fn warn(&self, at: usize, key: &str, problem: impl Into<String>) {
        let warning = self.found(at, key, problem.into());
        self.findings.borrow_mut().warnings.push(warning);
    }

    fn found(&self, at: usize, key: &str, problem: String) -> Mistake {
        let line = 1 + self.text.bytes().take(at).filter(|&byte| byte == b'\n').count();
        Mistake { line, key: key.to_owned(), problem }
    }

    fn ignore(&self, key: String, why: &'static str) {
        self.findings.borrow_mut().ignored.insert(Ignored { key, why });
    }
}

/// One object of the file, or the absence of one: then every key is absent too.
///
/// Every getter answers `None` for a key that is absent, `null` or wrong; a wrong one is recorded.
/// When the section is dropped, keys that nobody asked for are recorded too.
pub(crate) struct Section<'a> {
    object: Option<&'a Object<'a>>,
    path: String,
    asked: RefCell<BTreeSet<&'static str>>,
    book: &'a Book<'a>,
}

impl<'a> Section<'a> {
    fn new(object: Option<&'a Object<'a>>, path: String, book: &'a Book<'a>) -> Self {
        Self { object, path, asked: RefCell::default(), book }
    }

    /// Whether the file has this section at all.
    pub(crate) fn is_present(&self) -> bool {
        self.object.is_some()
    }

    /// Whether the file says something of a key.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// A string.
    pub(crate) fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        let text = value.as_string_lit().map(|literal| literal.value.as_ref());
        self.expect(key, text, "must be a string")
    }

    /// A string, or a number as it is written.
    pub(crate) fn word(&self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        let text = value.as_string_lit().map(|literal| literal.value.as_ref());
        let text = text.or_else(|| value.as_number_lit().map(|number| number.value));
        self.expect(key, text, "must be a string or a number")
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        self.expect(key, value.as_boolean_lit().map(|b| b.value), "must be true or false")
    }

    /// A whole number within bounds.
    pub(crate) fn integer<T>(&self, key: &'static str, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Into<i128> + TryFrom<i128>,
    {
        let (low, high) = ((*bounds.start()).into(), (*bounds.end()).into());
        let number = self.literal(key)?.and_then(whole);
        let inside = number.filter(|n| (low..=high).contains(n));
        let problem = format!("must be a whole number from {low} to {high}");
        self.expect(key, inside.and_then(|n| T::try_from(n).ok()), &problem)
    }

    /// Every limit of a set; the last words of their keys are those of this section.
    pub(crate) fn limits<L: Bounded>(&self, limits: &mut L) {
        for word in L::ALL.iter().filter_map(Limit::word) {
            self.limit(word, limits, word);
        }
    }

    /// The limit `word` of a set, as it stands under `key`.
    pub(crate) fn limit<L: Bounded>(&self, key: &'static str, limits: &mut L, word: &str) {
        let at = L::ALL.iter().position(|limit| limit.word() == Some(word));
        let Some((at, literal)) = at.zip(self.literal(key)) else { return };
        let limit = &L::ALL[at];
        let (low, high) = (limit.bounds.start(), limit.bounds.end());
        match literal.and_then(whole).and_then(|number| u64::try_from(number).ok()) {
            Some(number) if limit.bounds.contains(&number) => limits.set(at, number),
            Some(number) => {
                self.mistake(key, format!("{number} {}; it must be {low} to {high}", limit.unit));
            }
            None => self.mistake(key, format!("must be a whole number from {low} to {high}")),
        }
    }

    /// A number within bounds.
    pub(crate) fn number(&self, key: &'static str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let number = self.literal(key)?.and_then(|text| text.parse().ok());
        let problem = format!("must be a number from {} to {}", bounds.start(), bounds.end());
        self.expect(key, number.filter(|n| bounds.contains(n)), &problem)
    }

    /// One of a few names.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, of: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let chosen = of.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let names: Vec<_> = of.iter().map(|(name, _)| *name).collect();
        let meant = nearest(text, names.iter().copied());
        let meant = meant.map_or(String::new(), |name| format!(" (did you mean \"{name}\"?)"));
        let problem = format!("\"{text}\" is not known{meant}; use one of {}", names.join(", "));
        self.expect(key, chosen.map(|(_, value)| *value), &problem)
    }

    /// A list of strings; empty when absent.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        let Some(value) = self.value(key) else { return Vec::new() };
        self.expect(key, texts(value), "must be a list of strings").unwrap_or_default()
    }

    /// The object under a key.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let object = self
            .value(key)
            .and_then(|value| self.expect(key, value.as_object(), "must be an object: { ... }"));
        Section::new(object, self.path_of(key), self.book)
    }

    /// The objects in a list; empty when absent.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let list = self.value(key).and_then(|value| {
            self.expect(key, value.as_array(), "must be a list of objects: [ { ... } ]")
        });
        let elements = list.map(|list| list.elements.as_slice()).unwrap_or_default();
        elements.iter().enumerate().filter_map(|(i, value)| self.element(key, i, value)).collect()
    }

    fn element(&self, key: &str, index: usize, value: &'a Value<'a>) -> Option<Section<'a>> {
        let path = format!("{}[{index}]", self.path_of(key));
        match value.as_object() {
            Some(object) => Some(Section::new(Some(object), path, self.book)),
            None => {
                self.book.mistake(value.start(), &path, "must be an object: { ... }");
                None
            }
        }
    }

    /// The entries of an object whose keys are names, not words of the format, as strings; numbers
    /// and flags are taken as they are written.
    pub(crate) fn pairs(self) -> Vec<(String, String)> {
        let pairs = self.properties().iter().filter_map(|entry| {
            let text = match &entry.value {
                Value::StringLit(text) => text.value.to_string(),
                Value::NumberLit(number) => number.value.to_owned(),
                Value::BooleanLit(flag) => flag.value.to_string(),
                other => {
                    let path = self.path_of(entry.name.as_str());
                    self.book.mistake(other.start(), &path, "must be a string, number or flag");
                    return None;
                }
            };
            Some((entry.name.as_str().to_owned(), text))
        });
        let pairs = pairs.collect();
        self.close();
        pairs
    }

    /// The objects under keys that are names, not words of the format.
    pub(crate) fn named_sections(self) -> Vec<(String, Section<'a>)> {
        self.named("must be an object: { ... }", |book, value, path| {
            Some(Section::new(Some(value.as_object()?), path, book))
        })
    }

    /// The lists of strings under such keys.
    pub(crate) fn named_texts(self) -> Vec<(String, Vec<String>)> {
        self.named("must be a list of strings", |_, value, _| texts(value))
    }

    fn named<T>(
        self,
        problem: &str,
        read: impl Fn(&'a Book<'a>, &'a Value<'a>, String) -> Option<T>,
    ) -> Vec<(String, T)> {
        let read = |entry: &'a ObjectProp<'a>| {
            let name = entry.name.as_str();
            let value = read(self.book, &entry.value, self.path_of(name));
            if value.is_none() {
                self.book.mistake(entry.start(), &self.path_of(name), problem);
            }
            Some((name.to_owned(), value?))
        };
        let named = self.properties().iter().filter_map(read).collect();
        self.close();
        named
    }

    /// Records a mistake at a key: what a getter can't know.
    pub(crate) fn mistake(&self, key: &str, problem: impl Into<String>) {
        self.book.mistake(self.place_of(key), &self.path_of(key), problem);
    }

    /// Records what a file is used in spite of.
    pub(crate) fn warn(&self, key: &str, problem: impl Into<String>) {
        self.book.warn(self.place_of(key), &self.path_of(key), problem);
    }

    fn place_of(&self, key: &str) -> usize {
        let place = self.property(key).map(Ranged::start).or(self.object.map(Ranged::start));
        place.unwrap_or_default()
    }

    /// Passes a good value on and records a bad one.
    fn expect<T>(&self, key: &str, value: Option<T>, problem: &str) -> Option<T> {
        if value.is_none() {
            self.mistake(key, problem);
        }
        value
    }

    /// The text of a number; the inner `None` stands for a value that is none.
    fn literal(&self, key: &'static str) -> Option<Option<&'a str>> {
        Some(self.value(key)?.as_number_lit().map(|number| number.value))
    }

    fn value(&self, key: &'static str) -> Option<&'a Value<'a>> {
        self.asked.borrow_mut().insert(key);
        let value = &self.property(key)?.value;
        value.as_null_keyword().is_none().then_some(value)
    }

    /// Of a key that is given twice the last one, as in Python.
    fn property(&self, key: &str) -> Option<&'a ObjectProp<'a>> {
        self.properties().iter().rfind(|property| property.name.as_str() == key)
    }

    fn properties(&self) -> &'a [ObjectProp<'a>] {
        self.object.map(|object| object.properties.as_slice()).unwrap_or_default()
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    /// Ends a section whose keys are names: none of them is unknown.
    fn close(mut self) {
        self.doubled();
        self.object = None;
    }

    /// Records keys that are given more than once.
    fn doubled(&self) {
        let mut seen = BTreeSet::new();
        for property in self.properties() {
            let key = property.name.as_str();
            if seen.insert(key) {
                continue;
            }
            match guards::guards(&self.path, key) {
                true => self.book.mistake(
                    property.start(),
                    &self.path_of(key),
                    "is given twice; keep one",
                ),
                false => {
                    let problem = "is given twice, and the last one counts";
                    self.book.warn(property.start(), &self.path_of(key), problem);
                }
            }
        }
    }

    fn unknown(&self, key: &str) -> String {
        let asked = self.asked.borrow();
        let section = pattern(&self.path);
        let known = asked.iter().copied().chain(ignored::keys(&section));
        match nearest(key, known) {
            Some(name) => format!("there is no such key; did you mean `{name}`?"),
            None if asked.is_empty() => "there is no such key".to_owned(),
            None => {
                let names: Vec<_> = asked.iter().copied().collect();
                format!("there is no such key; there are {}", names.join(", "))
            }
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.doubled();
        let mut seen = BTreeSet::new();
        for property in self.properties() {
            let key = property.name.as_str();
            let path = self.path_of(key);
            if !seen.insert(key) || self.asked.borrow().contains(key) {
                continue;
            } else if let Some(why) = ignored::why(&pattern(&self.path), key) {
                self.book.ignore(pattern(&path), why);
            } else if guards::guards(&self.path, key) {
                self.book.mistake(property.start(), &path, self.unknown(key));
            } else {
                self.book.warn(property.start(), &path, self.unknown(key));
            }
        }
    }
}

/// A list of strings.
fn texts(value: &Value<'_>) -> Option<Vec<String>> {
    let literals = value.as_array()?.elements.iter().map(Value::as_string_lit);
    literals.map(|text| text.map(|text| text.value.to_string())).collect()
}

/// A whole number, however it is written: `4096`, `4096.0`, `4e3`.
fn whole(text: &str) -> Option<i128> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e18).then_some(number as i128)
    })
}

/// A path without list positions: `experts[2].dtype` is `experts[].dtype`.
fn pattern(path: &str) -> String {
    let mut inside = false;
    let kept = path.chars().filter(|&c| {
        inside = (inside || c == '[') && c != ']';
        !inside || c == '['
    });
    kept.collect()
}
