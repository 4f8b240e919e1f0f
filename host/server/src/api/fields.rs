//! A JSON object read field by field, without a tree: the fields somebody will ask for are slices of
//! the body, the others are skipped while it is read. So a body takes the memory of its bytes, whatever
//! it is made of, and every problem names its field. The names of fields that nobody knows are kept, within
//! bounds, so that the caller can be told; a field that is given twice counts as it was given last.

use std::{borrow::Cow, fmt};

use axum::http::StatusCode;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess,
    SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use signalbox_confine::{LINE_BYTES, clean};

use crate::{error::ApiError, limits::NESTING_MAX};

/// Names that are read, in groups: everything else is skipped.
pub(super) type Names = &'static [&'static [&'static str]];

/// Names of unknown fields that are kept, and bytes of each.
const UNKNOWN_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 64;

/// The object; reading a field takes it out.
#[derive(Debug)]
pub(super) struct Fields<'b> {
    names: Names,
    values: Vec<(&'static str, &'b RawValue)>,
    /// The first of the names that nobody knows.
    unknown: Vec<String>,
    /// Where it stands in the body: empty, or `messages[2].`.
    path: String,
}

impl<'b> Fields<'b> {
    /// Reads a whole body, of which `names` will be asked for.
    pub(super) fn parse(body: &'b [u8], names: Names) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|error| not_json(&format!("it is not UTF-8: {error}")))?;
        if nests_deeper_than(NESTING_MAX, text) {
            return Err(not_json(&format!("it nests deeper than {NESTING_MAX}")));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let read =
            Known(names).deserialize(&mut reader).and_then(|read| reader.end().map(|()| read));
        match read {
            Ok((values, unknown)) => Ok(Self { names, values, unknown, path: String::new() }),
            Err(error) if error.is_data() => {
                let message = "the body must be a JSON object, like {\"messages\": [...]}";
                Err(ApiError::client(StatusCode::BAD_REQUEST, "invalid_json", message))
            }
            Err(error) => Err(not_json(&error.to_string())),
        }
    }

    /// An object inside a body, at `path` (`messages[2].`).
    pub(super) fn of(value: &'b RawValue, names: Names, path: impl Into<String>) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(value.get());
        let (values, unknown) = Known(names).deserialize(&mut reader).ok()?;
        Some(Self { names, values, unknown, path: path.into() })
    }

    /// Takes the fields of another object in, in place of its own of the same names.
    pub(super) fn absorb(&mut self, other: Self) {
        for (name, value) in other.values {
            self.values.retain(|(is, _)| *is != name);
            self.values.push((name, value));
        }
        self.unknown.extend(other.unknown);
        self.unknown.truncate(UNKNOWN_MAX);
    }

    /// Names in it that nobody knows, the first of them, as one line each.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Every name that is known.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().flat_map(|group| group.iter().copied())
    }

    /// A field; `null` is the same as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<&'b RawValue> {
        debug_assert!(self.names.iter().any(|group| group.contains(&name)), "{name} was skipped");
        let place = self.values.iter().position(|(is, _)| *is == name)?;
        Some(self.values.swap_remove(place).1).filter(|value| value.get() != "null")
    }

    /// A field that stays there for whoever reads it.
    pub(super) fn see(&self, name: &str) -> Option<&'b RawValue> {
        let (_, value) = self.values.iter().find(|(is, _)| *is == name)?;
        Some(*value).filter(|value| value.get() != "null")
    }

    /// A field of a type that is small: a flag, a number, a short string.
    pub(super) fn read<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map(Some).map_err(|error| {
            let at = self.at(name);
            let message = format!("'{at}': {}", without_place(&error));
            ApiError::value(at, message)
        })
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<&'b RawValue, ApiError> {
        self.take(name).ok_or_else(|| self.missing(name))
    }

    /// A number within bounds, both included.
    pub(super) fn number(
        &mut self,
        name: &str,
        low: f64,
        high: f64,
    ) -> Result<Option<f32>, ApiError> {
        let Some(number) = self.read::<f64>(name)? else { return Ok(None) };
        if (low..=high).contains(&number) {
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            return Ok(Some(number as f32));
        }
        Err(self.out_of_bounds(name, number, low, high))
    }

    /// A whole number within bounds, both included.
    pub(super) fn count(
        &mut self,
        name: &str,
        low: u32,
        high: u32,
    ) -> Result<Option<u32>, ApiError> {
        let Some(number) = self.read::<f64>(name)? else { return Ok(None) };
        // JavaScript and Lua have one kind of number, and some write it as 16.0.
        if number.fract() == 0.0 && (f64::from(low)..=f64::from(high)).contains(&number) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded"
            )]
            return Ok(Some(number as u32));
        }
        Err(self.out_of_bounds(name, number, low, high))
    }

    /// [`count`](Self::count), where -1 stands for `unbounded`, as it does with llama.cpp and vLLM.
    pub(super) fn count_or_all(
        &mut self,
        name: &str,
        (low, high): (u32, u32),
        unbounded: u32,
    ) -> Result<Option<u32>, ApiError> {
        let place = self.values.iter().find(|(is, _)| *is == name);
        if place.is_some_and(|(_, value)| value.get().parse() == Ok(-1.0)) {
            self.take(name);
            return Ok(Some(unbounded));
        }
        self.count(name, low, high)
    }

    /// The full name of a field.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// The error for a field that is not there.
    pub(super) fn missing(&self, name: &str) -> ApiError {
        let at = self.at(name);
        let message = format!("'{at}' is missing");
        ApiError::client(StatusCode::BAD_REQUEST, "missing_parameter", message).at(at)
    }

    fn out_of_bounds<N: fmt::Display, B: fmt::Display>(
        &self,
        name: &str,
        number: N,
        low: B,
        high: B,
    ) -> ApiError {
        let at = self.at(name);
        let message = format!("'{at}' is {number}; it must be {low} to {high}");
        ApiError::value(at, message)
    }
}

fn not_json(why: &str) -> ApiError {
    let why = clean(why, LINE_BYTES);
    let message =
        format!("the body is not JSON: {why}; it must be one object like {{\"messages\": [...]}}");
    ApiError::client(StatusCode::BAD_REQUEST, "invalid_json", message)
}

/// Types of JSON as people who write it call them.
const TYPES: [(&str, &str); 5] = [
    ("f64", "a number"),
    ("u64", "a whole number"),
    ("u32", "a whole number"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
];

/// A problem of one field, without the line and column that it has in the field alone.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let message = TYPES.iter().fold(error.to_string(), |message, (rust, plain)| {
        message.replace(&format!("expected {rust}"), &format!("expected {plain}"))
    });
    clean(message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what), LINE_BYTES)
}

/// A text; without escapes it is a slice of the body.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let inside = value.get().strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        true => serde_json::from_str(value.get()).ok().map(Cow::Owned),
        false => Some(Cow::Borrowed(inside)),
    }
}

/// Why something is not the list that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoList {
    /// It is something else.
    Other,
    /// It has more items than may be.
    Long,
}

/// The items of a list, up to `max`.
pub(super) fn list(value: &RawValue, max: usize) -> Result<Vec<&RawValue>, NoList> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let read = reader.deserialize_seq(Items { max });
    // Whatever else could be wrong with it was found when the body was read.
    read.map_err(|_| if value.get().starts_with('[') { NoList::Long } else { NoList::Other })
}

/// The fields of an object whose names are the client's own, up to `max`, in their order. One that is given twice is
/// there twice.
pub(super) fn entries(value: &RawValue, max: usize) -> Result<Vec<(String, &RawValue)>, NoList> {
    let mut reader = serde_json::Deserializer::from_str(value.get());
    let read = reader.deserialize_map(Entries { max });
    read.map_err(|_| if value.get().starts_with('{') { NoList::Long } else { NoList::Other })
}

/// Whether there is nothing in a list, an object or a string.
pub(super) fn is_empty(value: &RawValue) -> bool {
    let text = value.get();
    let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let found = inside('[', ']').or_else(|| inside('{', '}'));
    text == "\"\"" || found.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Whether brackets open deeper than `max` in a text, strings aside.
fn nests_deeper_than(max: usize, text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max {
            return true;
        }
    }
    false
}

/// The known fields of an object, and the first names of the others.
type Read<'b> = (Vec<(&'static str, &'b RawValue)>, Vec<String>);

/// Reads an object's known fields.
struct Known(Names);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Read<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Read<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut values, mut unknown): Self::Value = (Vec::new(), Vec::new());
        while let Some(key) = map.next_key_seed(Name(self.0, unknown.len() < UNKNOWN_MAX))? {
            let name = match key {
                Key::Known(name) => name,
                Key::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    unknown.extend(name);
                    continue;
                }
            };
            let value: &RawValue = map.next_value()?;
            match values.iter_mut().find(|(is, _)| *is == name) {
                Some(place) => place.1 = value,
                None => values.push((name, value)),
            }
        }
        Ok((values, unknown))
    }
}

/// Reads a key; of an unknown one its name, where it is wanted.
struct Name(Names, bool);

enum Key {
    Known(&'static str),
    Unknown(Option<String>),
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let known = self.0.iter().flat_map(|group| group.iter()).copied().find(|name| *name == key);
        Ok(known
            .map_or_else(|| Key::Unknown(self.1.then(|| clean(key, NAME_BYTES_MAX))), Key::Known))
    }
}

/// Reads the items of a list until there are too many.
struct Items {
    max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element::<&RawValue>()? {
            if read.len() == self.max {
                return Err(A::Error::custom("too long"));
            }
            read.push(item);
        }
        Ok(read)
    }
}

/// Reads the fields of an object until there are too many.
struct Entries {
    max: usize,
}

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if read.len() == self.max {
                return Err(A::Error::custom("too long"));
            }
            read.push(entry);
        }
        Ok(read)
    }
}

/// Reads all of a value as one type, such as an operator's document.
pub(super) fn whole<'b, T: Deserialize<'b>>(body: &'b [u8], name: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| match error.is_data() {
        true => ApiError::value(name, format!("the {name}: {}", without_place(&error))),
        false => not_json(&error.to_string()),
    })
}

#[cfg(test)]
mod tests;
