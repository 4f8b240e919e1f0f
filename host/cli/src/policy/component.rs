//! Where a component comes from: a policy's sources, a file, or the examples that are built in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use signalbox_build::{Build, scripted};

use crate::{
    builtin,
    cache::{cache_dir, environment},
    output::complain,
    term::say,
};

/// A component made from sources.
pub(super) struct Built {
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Built {
    pub(super) fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "path": self.path.display().to_string(),
            "bytes": self.bytes.len(),
            "sha256": revision(&self.bytes),
        })
    }

    pub(super) fn say(&self, hint: &str) {
        say!("{}", self.path.display());
        say!("  {} bytes, sha256 {}", self.bytes.len(), revision(&self.bytes));
        say!("  signalbox policy push {} --activate{hint}", self.path.display());
    }
}

/// The name that the host will give these bytes.
pub(super) fn revision(component: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a component of the policy in `dir`, whatever its language, installing what that needs.
pub(super) fn build(dir: &Path) -> Result<Built> {
    let say = &mut |line: &str| complain!("{line}");
    let component = if scripted::is_scripted(dir) {
        let cache = cache_dir(&environment);
        let tools = cache.context("there is no folder for tools; set HOME or XDG_CACHE_HOME")?;
        scripted::build(dir, &tools.join("tools"), say)?
    } else {
        let built = Build::crate_at(dir).run(say)?.pop();
        built.with_context(|| format!("{} makes no component", dir.display()))?
    };
    let bytes = fs::read(&component.path)
        .with_context(|| format!("{} can't be read", component.path.display()))?;
    Ok(Built { name: component.package, path: component.path, bytes })
}

/// A component on its way to a host.
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// The text of minisign's signature.
    pub(super) signature: Option<String>,
}

/// The text of the signature that minisign writes beside a file, if there is one.
pub(crate) fn signature_beside(component: &Path) -> io::Result<Option<String>> {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    match fs::read_to_string(name) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Upload {
    /// With the signature in a file, or the one that it has already.
    pub(super) fn signed(self, file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else { return Ok(self) };
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("{} can't be read", file.display()))?;
        Ok(Self { signature: Some(text), ..self })
    }

    /// What `policy push` was given: a file, a policy's folder, or the name of an example. A file may have its signature
    /// beside it.
    pub(super) fn find(policy: &str) -> Result<Self> {
        let path = Path::new(policy);
        if path.is_dir() {
            let built = build(path)?;
            return Ok(Self { name: built.name, bytes: built.bytes, signature: None });
        }
        if path.is_file() {
            let bytes = fs::read(path).with_context(|| format!("{policy} can't be read"))?;
            let signature = signature_beside(path);
            let signature = signature.with_context(|| format!("{policy}.minisig can't be read"))?;
            return Ok(Self { name: name_of(path), bytes, signature });
        }
        match builtin::component(policy) {
            Some(example) => {
                Ok(Self { name: policy.to_owned(), bytes: example.bytes.to_vec(), signature: None })
            }
            None => bail!(
                "'{policy}' is no file, no folder and no built-in example ({})",
                builtin::names().join(", ")
            ),
        }
    }
}

/// A policy's name after its file: `target/my_router.wasm` is `my-router`.
fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_policy() {
        let check = |path, expect| assert_eq!(name_of(Path::new(path)), expect, "{path}");
        check("target/wasm32-wasip2/release/my_router.wasm", "my-router");
        check("guard.wasm", "guard");
    }

    #[test]
    fn an_upload_is_a_file_or_an_example() {
        assert_eq!(Upload::find("round-robin").unwrap().name, "round-robin");
        let error = Upload::find("rond-robin").err().unwrap().to_string();
        assert!(error.contains("round-robin"), "{error}");
    }

    #[test]
    fn a_revision_is_a_sha256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(revision(b""), empty);
    }
}
