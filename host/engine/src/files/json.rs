//! JSON as Python reads it, since Python wrote it: with a mark of byte order, with numbers that are none,
//! with keys that are given twice.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

/// What Python's `json` writes for numbers that are none.
const ODD_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
/// Doubled keys that are named.
const DOUBLED_MAX: usize = 4;

/// The value in a text. Numbers that are none are their names as strings, so that whoever needs a number
/// says what there is instead.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    let text = unmarked(text);
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&without_odd_numbers(text)).map_err(|_| error))
}

/// The text behind a mark of byte order.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Puts strings where there are numbers that are none, outside of strings.
pub(super) fn without_odd_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let odd = ODD_NUMBERS.into_iter().find(|odd| !quoted && rest.starts_with(odd));
        let taken = match (odd, c) {
            (Some(odd), _) => odd.len(),
            (_, '\\') if quoted => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        let quote = if odd.is_some() { "\"" } else { "" };
        quoted ^= c == '"';
        plain.extend([quote, &rest[..taken], quote]);
        rest = &rest[taken..];
    }
    plain
}

/// Keys that an object of a text has twice, by their paths; of which the last one counts.
pub(super) fn doubled(text: &str) -> Vec<String> {
    let text = without_odd_numbers(unmarked(text));
    let mut found = Vec::new();
    let walk = Walk { path: None, found: &mut found };
    // What is no JSON is reported where it is read.
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_str(&text));
    found
}

struct Walk<'f> {
    path: Option<&'f Path<'f>>,
    found: &'f mut Vec<String>,
}

/// Where a value stands: under a key, which stands there. Written out only where it is told.
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    key: &'p str,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            Some(parent) => write!(f, "{parent}.{}", self.key),
            None => f.write_str(self.key),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = Path { parent: self.path, key: &key };
            if seen.contains(&key) && self.found.len() < DOUBLED_MAX {
                self.found.push(path.to_string());
            }
            map.next_value_seed(Walk { path: Some(&path), found: self.found })?;
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Walk { path: self.path, found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_doubled(text: &str, expect: &[&str]) {
        assert_eq!(doubled(text), expect, "{text}");
    }

    #[test]
    fn a_long_key_above_many_values_costs_nothing() {
        let text = format!("{{\"{}\": [{}1]}}", "k".repeat(1 << 20), "1,".repeat(1 << 20));
        check_doubled(&text, &[]); // copied for every value, it would be a terabyte
    }

    #[test]
    fn doubled_keys_are_named_by_their_paths() {
        check_doubled(r#"{"a": 1, "b": {"c": [{"d": 1, "d": NaN}]}, "a": 2}"#, &["b.c.d", "a"]);
        check_doubled(r#"{"a": {"x": 1}, "b": {"x": 1}}"#, &[]);
        check_doubled("[1, ", &[]);
        assert_eq!(parse(r#"{"a": 1, "a": 2}"#).unwrap()["a"], 2);
    }
}
