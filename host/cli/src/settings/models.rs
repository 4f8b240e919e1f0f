//! Checkpoints served without a configuration file: a GGUF file, a Hugging Face folder, or a folder of
//! either becomes the text of a configuration, which goes the way of any other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

/// What an expert is called whose file has no letters in its name.
const NAMELESS: &str = "model";
/// Bytes of an id that leave room for a number.
const ID_BYTES_MAX: usize = 60;

/// The configuration of what lies at `path`; `None` where that is a configuration itself.
///
/// # Errors
/// A folder without a checkpoint.
pub(super) fn configuration(path: &Path) -> Result<Option<String>> {
    let models = if is_gguf(path) {
        vec![path.to_owned()]
    } else if path.is_dir() {
        let models =
            models_in(path).with_context(|| format!("{} can't be read", path.display()))?;
        ensure!(
            !models.is_empty(),
            "{} holds no checkpoint: neither config.json nor a GGUF file, nor folders with one",
            path.display()
        );
        models
    } else {
        return Ok(None);
    };
    let mut taken = BTreeSet::new();
    let experts: Result<Vec<_>> = models
        .iter()
        .map(|model| {
            let place = std::path::absolute(model)?;
            let shown = place.to_str().with_context(|| format!("{place:?} is no text"))?;
            Ok(json!({ "expert_id": id(&place, &mut taken), "model_path": shown }))
        })
        .collect();
    Ok(Some(json!({ "experts": experts? }).to_string()))
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
        && !path.is_dir()
}

fn is_folder_of_one(path: &Path) -> bool {
    path.join("config.json").is_file()
}

/// The folder itself, or everything right below it.
fn models_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if is_folder_of_one(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut models = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_gguf(&path) && !is_part(&path) || is_folder_of_one(&path) {
            models.push(path);
        }
    }
    models.sort();
    Ok(models)
}

/// Projectors of other engines lie beside the models that they belong to.
fn is_part(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mmproj"))
}

/// An id of its own, from the name of the file or the folder.
fn id(path: &Path, taken: &mut BTreeSet<String>) -> String {
    let name = if is_gguf(path) { path.file_stem() } else { path.file_name() };
    let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mut id: String = name.chars().map(plain).take(ID_BYTES_MAX).collect();
    if !id.contains(|c: char| c.is_ascii_alphanumeric()) || id.eq_ignore_ascii_case("auto") {
        id = NAMELESS.to_owned();
    }
    let mut unique = id.clone();
    for number in 2.. {
        if taken.insert(unique.clone()) {
            break;
        }
        unique = format!("{id}-{number}");
    }
    unique
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The ids that a path is served under.
    fn ids(path: &Path) -> Vec<String> {
        let text = configuration(path).unwrap().unwrap();
        let configuration: Value = serde_json::from_str(&text).unwrap();
        let experts = configuration["experts"].as_array().unwrap();
        experts.iter().map(|expert| expert["expert_id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn files_and_folders_are_served_without_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for file in ["Qwen 2.5.Q4_K_M.gguf", "mmproj-x.gguf", "notes.txt", "auto.gguf"] {
            fs::write(at(file), "").unwrap();
        }
        for name in ["phi", "empty"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("phi/config.json"), "{}").unwrap();
        assert_eq!(ids(&at("Qwen 2.5.Q4_K_M.gguf")), ["Qwen-2.5.Q4_K_M"]);
        assert_eq!(ids(&at("phi")), ["phi"]);
        assert_eq!(ids(folder.path()), ["Qwen-2.5.Q4_K_M", "model", "phi"]);
        let error = configuration(&at("empty")).unwrap_err().to_string();
        assert!(error.contains("holds no checkpoint"), "{error}");
        assert!(configuration(&at("notes.txt")).unwrap().is_none());
    }
}
