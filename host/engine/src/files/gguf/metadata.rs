//! What a GGUF file says of its model, key by key.

use std::collections::HashMap;

/// The key-value part of a GGUF file. Getters return `None` for an absent key and for another type.
#[derive(Debug, Default)]
pub(crate) struct GgufMetadata(pub(super) HashMap<String, Datum>);

/// A value with its integer widths forgotten and its lists unboxed.
#[derive(Debug)]
pub(super) enum Datum {
    Text(String),
    Integer(i64),
    Float(f32),
    Flag(bool),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    /// Nothing a model or tokenizer keeps: lists of lists, lists of bytes.
    Unused,
}

impl GgufMetadata {
    /// A string, as `general.architecture` or `tokenizer.chat_template`.
    pub(crate) fn get_str(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that fits, of whatever integer type the file chose.
    pub(crate) fn get_u32(&self, key: &str) -> Option<u32> {
        match self.0.get(key)? {
            Datum::Integer(integer) => u32::try_from(*integer).ok(),
            _ => None,
        }
    }

    /// A number of any type, or a flag as 0 or 1; `Err` for anything else that stands there.
    pub(crate) fn number(&self, key: &str) -> Option<Result<f64, ()>> {
        Some(match self.0.get(key)? {
            Datum::Integer(integer) => Ok(*integer as f64),
            Datum::Float(float) => Ok(f64::from(*float)),
            Datum::Flag(flag) => Ok(f64::from(u8::from(*flag))),
            // One number for each layer, all the same, is one number.
            Datum::Integers(list) => match list[..] {
                [first, ref rest @ ..] if rest.iter().all(|other| *other == first) => {
                    Ok(first as f64)
                }
                _ => Err(()),
            },
            _ => Err(()),
        })
    }

    /// A bool, as `tokenizer.ggml.add_bos_token`.
    pub(crate) fn get_bool(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Datum::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// An array of strings, as `tokenizer.ggml.tokens` and `tokenizer.ggml.merges`.
    pub(crate) fn get_strings(&self, key: &str) -> Option<&[String]> {
        match self.0.get(key)? {
            Datum::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// An array of integers of any width, as `tokenizer.ggml.token_type`.
    pub(crate) fn get_integers(&self, key: &str) -> Option<&[i64]> {
        match self.0.get(key)? {
            Datum::Integers(integers) => Some(integers),
            _ => None,
        }
    }

    /// An array of floats, as `tokenizer.ggml.scores`.
    pub(crate) fn get_floats(&self, key: &str) -> Option<&[f32]> {
        match self.0.get(key)? {
            Datum::Floats(floats) => Some(floats),
            _ => None,
        }
    }
}

/// What a file would say, without one.
#[cfg(test)]
impl GgufMetadata {
    pub(crate) fn with_integer(mut self, key: &str, value: i64) -> Self {
        self.0.insert(key.to_owned(), Datum::Integer(value));
        self
    }

    pub(crate) fn with_text(mut self, key: &str, value: &str) -> Self {
        self.0.insert(key.to_owned(), Datum::Text(value.to_owned()));
        self
    }

    pub(crate) fn with_float(mut self, key: &str, value: f32) -> Self {
        self.0.insert(key.to_owned(), Datum::Float(value));
        self
    }

    pub(crate) fn with_strings(mut self, key: &str, values: &[&str]) -> Self {
        let values = values.iter().map(ToString::to_string).collect();
        self.0.insert(key.to_owned(), Datum::Texts(values));
        self
    }
}
