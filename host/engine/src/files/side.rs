//! The small files beside the weights: each is read whole, within bounds, and only when it is a
//! regular file. What is damaged is reported with the file's name; it is never taken for absent.

use std::{
    path::{Path, PathBuf},
    str::Utf8Error,
};

use serde_json::{Map, Value};

use super::{
    CheckpointError,
    config::{malformed, read_bounded},
    json,
};
use crate::limits::{JSON_BYTES_MAX, VOCABULARY_BYTES_MAX};

/// The files that are looked at whether or not anything in them is needed.
pub(crate) const JSON_FILES: [&str; 9] = [
    "added_tokens.json",
    "chat_template.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "quant_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
];

/// The newest place of a chat template.
pub(crate) const TEMPLATE: &str = "chat_template.jinja";

type Result<T> = std::result::Result<T, CheckpointError>;

/// Everything in a folder that is read beside the weights and the vocabulary, there or not.
pub(crate) fn paths(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let others = ["config.json", TEMPLATE];
    JSON_FILES.into_iter().chain(others).map(|name| folder.join(name))
}

/// Where a chat template may lie beside a GGUF file: under its name, or for all in its folder.
pub(crate) fn templates_beside(file: &Path) -> [PathBuf; 2] {
    [file.with_extension("jinja"), file.with_file_name(TEMPLATE)]
}

/// The bytes of a side file; `None` where there is none.
pub(crate) fn bytes(file: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    if is_absent(file) {
        return Ok(None);
    }
    read_bounded(file, bytes_max).map(Some)
}

fn is_absent(file: &Path) -> bool {
    file.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// The text of a side file; `None` where there is none.
pub(crate) fn text(file: &Path, bytes_max: u64) -> Result<Option<String>> {
    let Some(bytes) = bytes(file, bytes_max)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(file, &error.utf8_error()))?;
    Ok(Some(json::unmarked(&text).to_owned()))
}

fn not_utf8(file: &Path, error: &Utf8Error) -> CheckpointError {
    malformed(file, format!("is not UTF-8 from byte {} on", error.valid_up_to()))
}

/// The object in a JSON file; `None` where there is no file.
pub(crate) fn object(file: &Path) -> Result<Option<Map<String, Value>>> {
    let Some(text) = text(file, JSON_BYTES_MAX)? else { return Ok(None) };
    match json::parse(&text) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(malformed(file, "is JSON, but not an object")),
        Err(error) => Err(malformed(file, format!("is not valid JSON: {error}"))),
    }
}

/// The objects listed in a JSON file; `None` where there is no file.
pub(crate) fn list(file: &Path) -> Result<Option<Vec<Map<String, Value>>>> {
    let Some(text) = text(file, JSON_BYTES_MAX)? else { return Ok(None) };
    let no_list = || malformed(file, "is JSON, but not a list of objects");
    match json::parse(&text) {
        Ok(Value::Array(list)) => {
            let object =
                |value| if let Value::Object(object) = value { Some(object) } else { None };
            list.into_iter().map(object).collect::<Option<_>>().map(Some).ok_or_else(no_list)
        }
        Ok(_) => Err(no_list()),
        Err(error) => Err(malformed(file, format!("is not valid JSON: {error}"))),
    }
}

/// The object in a JSON file; an empty one where there is none, or where it is damaged, which
/// inspection reports.
pub(crate) fn object_or_empty(file: &Path) -> Map<String, Value> {
    object(file).ok().flatten().unwrap_or_default()
}

/// The bytes of a `tokenizer.json`, known to be JSON; `None` where there is none.
pub(crate) fn vocabulary(file: &Path) -> Result<Option<Vec<u8>>> {
    if is_absent(file) {
        return Ok(None);
    }
    let bytes = read_bounded(file, VOCABULARY_BYTES_MAX)?;
    // What is skipped is not looked at, so its characters are checked before.
    let text = std::str::from_utf8(&bytes);
    let text = json::unmarked(text.map_err(|error| not_utf8(file, &error))?);
    let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).map(drop);
    let Err(error) = is_json(text) else {
        let mark = bytes.len() - text.len();
        return Ok(Some(if mark == 0 { bytes } else { bytes[mark..].to_vec() }));
    };
    let plain = json::without_odd_numbers(text);
    match is_json(&plain) {
        Ok(()) => Ok(Some(plain.into_bytes())),
        Err(_) => Err(malformed(file, format!("is not valid JSON: {error}"))),
    }
}

/// Keys that a JSON file has twice.
pub(crate) fn doubled(file: &Path) -> Vec<String> {
    text(file, JSON_BYTES_MAX).ok().flatten().map_or_else(Vec::new, |text| json::doubled(&text))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// What a file of this content is read as: its object, or what is wrong with it.
    fn read(content: &[u8]) -> Result<Option<Value>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("generation_config.json");
        fs::write(&file, content).unwrap();
        object(&file).map(|object| object.map(Value::Object))
    }

    fn check_damage(content: &[u8], expect: &str) {
        let damage = read(content).unwrap_err().to_string();
        assert!(damage.contains("generation_config.json: "), "{damage}");
        assert!(damage.contains(expect), "{damage}");
    }

    #[test]
    fn damage_is_reported_with_the_file_s_name() {
        check_damage(b"{\"eos_token_id\": [1, ", "is not valid JSON");
        check_damage(b"[1]", "not an object");
        check_damage(b"", "is not valid JSON");
        check_damage(b"{\"a\": \"\xff\"}", "is not UTF-8 from byte 7 on");
        check_damage(&vec![b' '; JSON_BYTES_MAX as usize + 1], "is larger than 16777216 bytes");
    }

    #[test]
    fn python_s_json_is_read() {
        let object =
            read("\u{feff}{\"a\": [Infinity, -Infinity, NaN], \"b\\\"\": \"NaN\\\\\"}".as_bytes());
        let odd = ["Infinity", "-Infinity", "NaN"];
        let expected = serde_json::json!({ "a": odd, "b\"": "NaN\\" });
        assert_eq!(object.unwrap().unwrap(), expected);
    }

    #[test]
    fn only_what_is_not_there_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let check = |file: PathBuf, expect: &str| {
            let damage = object(&file).unwrap_err().to_string();
            assert!(damage.contains(expect), "{damage}");
        };
        assert_eq!(object(&at("none.json")).unwrap(), None);
        fs::create_dir(at("folder.json")).unwrap();
        check(at("folder.json"), "is not a file");
        symlink("/dev/zero", at("device.json")).unwrap();
        check(at("device.json"), "is not a file");
        symlink("gone", at("dangling.json")).unwrap();
        check(at("dangling.json"), "is a link to a file that is not there");
        let made = std::process::Command::new("mkfifo").arg(at("pipe.json")).status().unwrap();
        assert!(made.success());
        check(at("pipe.json"), "is not a file");
    }

    #[test]
    fn a_vocabulary_is_json_and_no_pointer_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokenizer.json");
        assert_eq!(vocabulary(&file).unwrap(), None);
        fs::write(&file, "version https://git-lfs.github.com/spec/v1\n").unwrap();
        assert!(vocabulary(&file).unwrap_err().to_string().contains("Git LFS pointer"));
        fs::write(&file, "{\"model\": ").unwrap();
        assert!(vocabulary(&file).unwrap_err().to_string().contains("is not valid JSON"));
    }
}
