//! Bounded reading of `config.json`: every value is checked for type and range, and an error names the
//! file and the key. `null` counts as absent, as it does in transformers.

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind::InvalidInput, Read},
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde_json::{Map, Value};

use super::{CheckpointError, Kind, json};

/// What Git leaves in the place of a large file that was not fetched.
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// A configuration larger than this is not read.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// A JSON object of a checkpoint, or a section of one.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    file: PathBuf,
    section: String,
    values: Map<String, Value>,
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl Config {
    /// Reads and parses `file`.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = read_bounded(file, CONFIG_BYTES_MAX)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(malformed(file, "is not UTF-8"));
        };
        match json::parse(text) {
            Ok(Value::Object(values)) => Ok(Self::new(file, values)),
            Ok(_) => Err(malformed(file, "is JSON, but not an object")),
            Err(error) => Err(malformed(file, format!("is not valid JSON: {error}"))),
        }
    }

    /// Values that were found elsewhere, in `file`.
    pub(crate) fn new(file: &Path, values: Map<String, Value>) -> Self {
        Self { file: file.into(), section: String::new(), values }
    }

    /// A section in which nothing is said.
    pub(crate) fn empty(&self) -> Self {
        Self { values: Map::new(), ..self.clone() }
    }

    /// The same with `defaults` for whole numbers that are absent.
    pub(crate) fn with_defaults(mut self, defaults: &[(&str, usize)]) -> Self {
        for (key, default) in defaults {
            if self.value(key).is_none() {
                self.values.insert((*key).to_owned(), Value::from(*default));
            }
        }
        self
    }

    /// The value of `key`, unless it is absent or null.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// What is said of anything here, nulls included.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// A nested object.
    pub(crate) fn section(&self, key: &str) -> Result<Option<Self>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let values = value.as_object().ok_or_else(|| self.wrong(key, value, "an object"))?.clone();
        Ok(Some(Self { file: self.file.clone(), section: self.name(key) + ".", values }))
    }

    /// A whole number within `range`, which must be there.
    pub(crate) fn count(&self, key: &str, range: RangeInclusive<usize>) -> Result<usize> {
        self.count_opt(key, range)?.ok_or_else(|| self.missing(key))
    }

    /// A whole number within `range`, if there.
    pub(crate) fn count_opt(
        &self,
        key: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let count = count.filter(|count| range.contains(count));
        count.map(Some).ok_or_else(|| self.wrong(key, value, &expected))
    }

    /// A number within `range`, if there.
    pub(crate) fn float_opt(&self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let float = value.as_f64().filter(|float| range.contains(float));
        float.map(Some).ok_or_else(|| self.wrong(key, value, &expected))
    }

    /// A number within `range`, or what transformers takes when it is absent.
    pub(crate) fn float_or(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
        default: f64,
    ) -> Result<f64> {
        Ok(self.float_opt(key, range)?.unwrap_or(default))
    }

    /// A bool, or what transformers takes when it is absent.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.value(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// A string, if there.
    pub(crate) fn text_opt(&self, key: &str) -> Result<Option<&str>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(key, value, "a string"))
    }

    /// A list of strings, if there.
    pub(crate) fn texts_opt(&self, key: &str) -> Result<Option<Vec<&str>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(key, value, "a list of strings"))
    }

    /// Exactly `len` numbers within `range`, which must be there.
    pub(crate) fn floats(
        &self,
        key: &str,
        len: usize,
        range: RangeInclusive<f64>,
    ) -> Result<Vec<f32>> {
        let value = self.value(key).ok_or_else(|| self.missing(key))?;
        let number = |value: &Value| value.as_f64().filter(|float| range.contains(float));
        let floats: Option<Vec<f32>> = value
            .as_array()
            .filter(|list| list.len() == len)
            .and_then(|list| list.iter().map(|value| number(value).map(|f| f as f32)).collect());
        let (low, high) = (range.start(), range.end());
        let expected = format!("a list of {len} numbers from {low} to {high}");
        floats.ok_or_else(|| self.wrong(key, value, &expected))
    }

    /// Something well formed that this engine does not run.
    pub(crate) fn unsupported(
        &self,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> CheckpointError {
        CheckpointError::new(Kind::Unsupported, &self.file, problem, mend)
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.section)
    }

    fn missing(&self, key: &str) -> CheckpointError {
        malformed(&self.file, format!("'{}' is missing", self.name(key)))
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> CheckpointError {
        const SHOWN_MAX: usize = 60;
        let mut shown: String = value.to_string();
        if let Some((end, _)) = shown.char_indices().nth(SHOWN_MAX) {
            shown.truncate(end);
            shown.push('…');
        }
        let problem = format!("'{}' is {shown} where {expected} is needed", self.name(key));
        malformed(&self.file, problem)
    }
}

/// A file that contradicts its own format.
pub(crate) fn malformed(file: &Path, problem: impl Into<String>) -> CheckpointError {
    let mend = "fetch the file again, or mend it by the checkpoint's publisher's copy";
    CheckpointError::new(Kind::Malformed, file, problem, mend)
}

/// Opens what must be a file: a folder has no bytes, and a pipe might never give any. Looked at before,
/// since opening a device may do things, and after, since another file may have taken the name.
pub(crate) fn open_plain(file: &Path) -> io::Result<File> {
    let plain = |metadata: Metadata| metadata.is_file().then_some(()).ok_or(InvalidInput.into());
    file.metadata().and_then(plain)?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(file)?;
    opened.metadata().and_then(plain).map(|()| opened)
}

/// The same of a checkpoint's file.
pub(crate) fn open(file: &Path) -> Result<File> {
    open_plain(file).map_err(|error| match error.kind() {
        InvalidInput => malformed(file, "is not a file"),
        _ => CheckpointError::unreadable(file, &error),
    })
}

/// The whole of a file of at most `bytes_max` bytes.
pub(crate) fn read_bounded(file: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let unreadable = |error: io::Error| CheckpointError::unreadable(file, &error);
    let opened = open(file)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    if length <= bytes_max {
        opened.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    // A file may grow while it is read.
    if length.max(bytes.len() as u64) > bytes_max {
        return Err(malformed(file, format!("is larger than {bytes_max} bytes")));
    }
    if bytes.starts_with(LFS_POINTER) {
        let problem = "is a Git LFS pointer and not the file itself";
        let mend = "fetch the file itself: git lfs pull, or download it";
        return Err(CheckpointError::new(Kind::Malformed, file, problem, mend));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        let Ok(Value::Object(values)) = serde_json::from_str(json) else { panic!("{json}") };
        Config::new(Path::new("config.json"), values)
    }

    fn check_error<T: std::fmt::Debug>(result: Result<T>, expect: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("config.json: ") && error.contains(expect), "{error}");
    }

    #[test]
    fn errors_name_the_key_and_what_is_needed() {
        let config = config(r#"{"a": 70000, "b": {"c": "x", "l": [1, 2]}, "n": null}"#);
        check_error(config.count("a", 1..=65536), "'a' is 70000 where a whole number from 1 to");
        check_error(config.count("n", 1..=2), "'n' is missing");
        let section = config.section("b").unwrap().unwrap();
        check_error(section.flag_or("c", true), "'b.c' is \"x\" where true or false");
        check_error(section.floats("l", 3, 0.0..=9.0), "'b.l' is [1,2] where a list of 3 numbers");
        check_error(config.section("a"), "where an object is needed");
    }

    #[test]
    fn null_is_absent() {
        let config = config(r#"{"n": null}"#);
        assert_eq!(config.count_opt("n", 0..=1).unwrap(), None);
        assert!(config.section("n").unwrap().is_none());
        assert!(config.flag_or("n", true).unwrap());
    }
}
