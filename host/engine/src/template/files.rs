//! Where a checkpoint keeps its template and the tokens that the template may mention.

use std::path::Path;

use serde_json::{Map, Value};

use super::TokenNames;
use crate::{
    files::{CheckpointError, GgufMetadata, Source, side},
    limits::SOURCE_BYTES_MAX,
};

/// The template a checkpoint brings, newest place first; `None` when it brings none. The error names a
/// damaged file that may hold it: an older place is no substitute for a newer one.
pub(crate) fn find(source: &Source) -> Result<Option<String>, CheckpointError> {
    let folder = match source {
        Source::Folder(folder) => folder,
        Source::Gguf(file, metadata) => return find_beside(file, metadata),
    };
    if let Some(text) = side::text(&folder.join(side::TEMPLATE), SOURCE_BYTES_MAX)? {
        return Ok(Some(text));
    }
    for file in ["chat_template.json", "tokenizer_config.json"] {
        let config = side::object(&folder.join(file))?.unwrap_or_default();
        if let Some(template) = config.get("chat_template").and_then(named_default) {
            return Ok(Some(template.to_owned()));
        }
    }
    Ok(None)
}

/// The template of a GGUF file: one of its own name beside it, its own, or the one that lies in its folder
/// for all that have none.
fn find_beside(file: &Path, metadata: &GgufMetadata) -> Result<Option<String>, CheckpointError> {
    let [named, common] = side::templates_beside(file);
    if let Some(text) = side::text(&named, SOURCE_BYTES_MAX)? {
        return Ok(Some(text));
    }
    match metadata.get_str("tokenizer.chat_template") {
        Some(text) => Ok(Some(text.to_owned())),
        None => side::text(&common, SOURCE_BYTES_MAX),
    }
}

/// A template, or the one called `default` in a list of named ones.
fn named_default(declared: &Value) -> Option<&str> {
    let from_list = || {
        let default = declared.as_array()?.iter().find(|entry| entry["name"] == "default")?;
        default["template"].as_str()
    };
    declared.as_str().or_else(from_list)
}

/// The token texts that templates may mention.
pub(crate) fn token_names(source: &Source) -> TokenNames {
    match source {
        Source::Folder(folder) => names_in_folder(folder),
        Source::Gguf(_, metadata) => names_in_gguf(metadata),
    }
}

fn names_in_folder(folder: &Path) -> TokenNames {
    let mut names = TokenNames::new();
    for file in ["special_tokens_map.json", "tokenizer_config.json"] {
        let config: Map<String, Value> = side::object_or_empty(&folder.join(file));
        names.extend(config.into_iter().filter_map(|(name, value)| {
            let text = value.as_str().or_else(|| value["content"].as_str())?;
            name.ends_with("_token").then(|| (name, text.to_owned()))
        }));
    }
    names
}

fn names_in_gguf(metadata: &GgufMetadata) -> TokenNames {
    let tokens = metadata.get_strings("tokenizer.ggml.tokens").unwrap_or_default();
    let text = |(name, key): (&str, &str)| {
        let id = metadata.get_u32(&format!("tokenizer.ggml.{key}_token_id"))?;
        Some((format!("{name}_token"), tokens.get(id as usize)?.clone()))
    };
    let keys = [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")];
    keys.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn templates_are_found_newest_place_first() {
        let folder = tempfile::tempdir().unwrap();
        let found = || find(&Source::Folder(folder.path().into())).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(found(), None);
        let list = r#"{"chat_template": [
                {"name": "rag", "template": "r"}, {"name": "default", "template": "d"}],
            "bos_token": {"content": "<b>"}, "eos_token": "<e>", "pad_token": null}"#;
        write("tokenizer_config.json", list);
        assert_eq!(found().unwrap(), "d");
        write("chat_template.jinja", "file");
        assert_eq!(found().unwrap(), "file");
        write("chat_template.jinja", &"x".repeat(SOURCE_BYTES_MAX as usize + 1));
        let damage = find(&Source::Folder(folder.path().into())).unwrap_err().to_string();
        assert!(damage.contains("chat_template.jinja: is larger than"), "{damage}");
        let names = token_names(&Source::Folder(folder.path().into()));
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["<b>", "<e>"]);
    }

    #[test]
    fn a_gguf_file_names_its_tokens_by_their_ids() {
        let tokens = ["<b>", "<e>", "<u>", "<p>"];
        let metadata = GgufMetadata::default().with_strings("tokenizer.ggml.tokens", &tokens);
        let ids = ["bos", "eos", "unknown", "padding"].into_iter().zip(0..);
        let metadata = ids.fold(metadata, |metadata, (name, id)| {
            metadata.with_integer(&format!("tokenizer.ggml.{name}_token_id"), id)
        });
        let names = token_names(&Source::Gguf("m.gguf".into(), metadata));
        let expected = [("bos", "<b>"), ("eos", "<e>"), ("pad", "<p>"), ("unk", "<u>")];
        let expected = expected.map(|(name, text)| (format!("{name}_token"), text.to_owned()));
        assert_eq!(names, TokenNames::from(expected));
    }

    #[test]
    fn a_gguf_file_s_template_may_lie_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str, own: Option<&str>| {
            let metadata = GgufMetadata::default();
            let metadata = match own {
                Some(own) => metadata.with_text("tokenizer.chat_template", own),
                None => metadata,
            };
            find(&Source::Gguf(folder.path().join(name), metadata)).unwrap()
        };
        let write = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        assert_eq!(found("a.gguf", None), None);
        write("chat_template.jinja");
        assert_eq!(found("a.gguf", None).unwrap(), "chat_template.jinja");
        assert_eq!(found("a.gguf", Some("own")).unwrap(), "own");
        write("a.jinja");
        assert_eq!(found("a.gguf", Some("own")).unwrap(), "a.jinja");
        assert_eq!(found("b.gguf", Some("own")).unwrap(), "own");
    }
}
