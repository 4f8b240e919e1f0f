//! The manifest of a policy that is no crate: `policy.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::BuildError;

/// Its name in the policy's folder.
pub const MANIFEST: &str = "policy.json";
/// What it may say.
const KEYS: [&str; 4] = ["name", "language", "hooks", "uses"];
/// What a policy may export.
const HOOKS: [&str; 3] = ["pre", "route", "post"];
/// What a policy may use of the host, and the interfaces that it is.
pub(super) const USES: [(&str, &[&str]); 10] = [
    ("experts", &["experts"]),
    ("tokens", &["tokens"]),
    ("annotations", &["annotations"]),
    ("logging", &["wasi:logging/logging@0.1.0-draft"]),
    ("config", &["wasi:config/store@0.2.0-rc.1"]),
    ("keyvalue", &["wasi:keyvalue/store@0.2.0-draft2", "wasi:keyvalue/atomics@0.2.0-draft2"]),
    ("embeddings", &["embeddings"]),
    ("inference", &["inference"]),
    ("decide", &["decide"]),
    (HTTP, &["wasi:http/types@0.2.10", "wasi:http/outgoing-handler@0.2.10"]),
];
/// The one whose interfaces are none of the contract's files.
pub(super) const HTTP: &str = "http";

/// What a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    TypeScript,
    Python,
}

impl Language {
    /// As the manifest and the command line have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::JavaScript => "js",
            Self::TypeScript => "ts",
            Self::Python => "python",
        }
    }
}

/// One policy in its folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) language: Language,
    pub(super) hooks: Vec<String>,
    pub(super) uses: Vec<String>,
    /// The version of the SDK that lies in its folder.
    pub(super) sdk: Option<String>,
}

impl Project {
    /// The policy in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, BuildError> {
        let manifest = folder.join(MANIFEST);
        let text = fs::read_to_string(&manifest).map_err(BuildError::file(&manifest))?;
        let sdk = fs::read_to_string(folder.join("sdk/VERSION")).ok();
        let sdk = sdk.map(|version| version.trim().to_owned());
        let parsed =
            Self::parse(&text).map(|project| Self { folder: folder.to_owned(), sdk, ..project });
        parsed.map_err(|problem| BuildError::Manifest { manifest, problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let said: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(strange) = said.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("'{strange}' means nothing here; it has {}", KEYS.join(", ")));
        }
        let word = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
        let language = match word("language") {
            "js" => Language::JavaScript,
            "ts" => Language::TypeScript,
            "python" => Language::Python,
            other => return Err(format!("'{other}' is no 'language' here; use js, ts or python")),
        };
        let hooks = words(&said, "hooks", &HOOKS)?;
        if hooks.is_empty() {
            return Err(format!("name in 'hooks' what it exports: any of {}", HOOKS.join(", ")));
        }
        Ok(Self {
            folder: PathBuf::new(),
            name: name(word("name"))?.to_owned(),
            language,
            hooks,
            uses: words(&said, "uses", &USES.map(|(name, _)| name))?,
            sdk: None,
        })
    }

    /// Whether it uses this of the host.
    pub(super) fn uses(&self, what: &str) -> bool {
        self.uses.iter().any(|used| used == what)
    }

    /// What is wrong with the policy as a whole.
    pub(super) fn mistake(&self, problem: String) -> BuildError {
        BuildError::Manifest { manifest: self.folder.join(MANIFEST), problem }
    }
}

/// A host takes it for the policy's name, and it names a file.
fn name(name: &str) -> Result<&str, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 64 && name.chars().all(plain) {
        true => Ok(name),
        false => Err(format!(
            "'{name}' is no 'name'; use up to 64 lowercase letters, digits, '-' and '_'"
        )),
    }
}

/// The list under `key`, of words that are `known`, each once.
fn words(said: &Map<String, Value>, key: &str, known: &[&str]) -> Result<Vec<String>, String> {
    let listed = match said.get(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(listed)) => listed,
        Some(_) => return Err(format!("'{key}' is a list of any of {}", known.join(", "))),
    };
    let mut words: Vec<String> = Vec::new();
    for word in listed {
        match word.as_str().filter(|word| known.contains(word)) {
            Some(word) if !words.iter().any(|had| had == word) => words.push(word.to_owned()),
            Some(word) => return Err(format!("'{key}' names {word} twice")),
            None => return Err(format!("'{key}' has {word}; it can have {}", known.join(", "))),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_a_policy_is() {
        let text = r#"{"name": "p-1", "language": "python", "hooks": ["pre", "post"], "uses": ["config"]}"#;
        let project = Project::parse(text).unwrap();
        assert_eq!((project.name.as_str(), project.language), ("p-1", Language::Python));
        assert_eq!((project.hooks.len(), project.uses.len()), (2, 1));
    }

    #[test]
    fn mistakes_are_named_with_what_there_is() {
        let check = |text: &str, expect: &str| {
            let problem = Project::parse(text).unwrap_err();
            assert!(problem.contains(expect), "{problem}");
        };
        check("{", "EOF");
        check(r#"{"lang": "js"}"#, "'lang' means nothing here; it has name, language");
        check(r#"{"language": "ruby"}"#, "use js, ts or python");
        check(r#"{"language": "js"}"#, "name in 'hooks' what it exports: any of pre, route, post");
        check(r#"{"language": "js", "hooks": "pre"}"#, "'hooks' is a list");
        check(
            r#"{"language": "js", "hooks": ["rout"]}"#,
            r#"'hooks' has "rout"; it can have pre, route"#,
        );
        check(r#"{"language": "js", "hooks": ["pre", "pre"]}"#, "'hooks' names pre twice");
        check(r#"{"language": "js", "hooks": ["pre"], "name": "../x"}"#, "'../x' is no 'name'");
        check(
            r#"{"language": "js", "hooks": ["pre"], "name": "x", "uses": ["files"]}"#,
            r#"'uses' has "files"; it can have experts, tokens"#,
        );
    }
}
