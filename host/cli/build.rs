//! Collects what the binary carries: the example policies, compiled into components; the toy
//! experts' files; and the sources of the SDK and the contract for `policy new`. Writes
//! `builtin.rs`, which includes them by path, into `OUT_DIR`.

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use sha2::{Digest, Sha256};

/// The toy experts, one folder each in `tests/models`.
const TOYS: [&str; 5] = [
    "phi4_fast",
    "mistral_balanced",
    "qwen_coder",
    "gemma3_multimodal",
    "aya_expanse_multilingual",
];
/// Files that a checkpoint is read from; whatever else lies in its folder stays behind.
const CHECKPOINT_FILES: [&str; 6] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
/// What the SDK depends on.
const SDK_DEPENDENCIES: [&str; 2] = ["wasip2", "wit-bindgen"];
const CHECKPOINT_ENDINGS: [&str; 2] = [".safetensors", ".safetensors.index.json"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match collect() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn collect() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut code = String::new();
    components(&root, &mut code)?;
    toys(&root, &mut code)?;
    sdk(&root, &mut code)?;
    fs::write(out.join("builtin.rs"), code)?;
    Ok(())
}

/// Compiles every example. Their sources are watched there, and a new one stands in the workspace's manifest; what
/// `policy build` leaves in their folders changes nothing.
fn components(root: &Path, code: &mut String) -> Result<()> {
    let names = examples(&root.join("examples"))?;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    code.push_str("/// The example policies.\npub(crate) const COMPONENTS: &[Component] = &[\n");
    for component in signalbox_build::script::components(root, &names)? {
        let (name, path) = (component.package, component.path);
        writeln!(code, "Component {{ name: {name:?}, bytes: include_bytes!({path:?}) }},")?;
    }
    code.push_str("];\n");
    Ok(())
}

/// The names of the example policies; a folder is named after its package.
fn examples(parent: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Takes the runtime files of every toy, and a hash over all of them.
fn toys(root: &Path, code: &mut String) -> Result<()> {
    let models = root.join("tests/models");
    let mut files = Vec::new();
    for toy in TOYS {
        watch(&models.join(toy));
        let listed =
            fs::read_dir(models.join(toy)).map_err(|e| format!("tests/models/{toy}: {e}"))?;
        for entry in listed {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_checkpoint_file(&name) {
                files.push((format!("{toy}/{name}"), models.join(toy).join(&name)));
            }
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    for (path, file) in &files {
        hash.update(path);
        hash.update(fs::read(file)?);
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(
        code,
        "/// sha256 over the toys' files.\npub(crate) const TOYS_HASH: &str = {hash:?};"
    )?;
    list(code, "The toy experts' files.", "TOYS", &files)
}

fn is_checkpoint_file(name: &str) -> bool {
    CHECKPOINT_FILES.contains(&name) || CHECKPOINT_ENDINGS.iter().any(|end| name.ends_with(end))
}

/// Takes the sources that a new policy needs beside its own, and the lines for what the SDK depends on.
fn sdk(root: &Path, code: &mut String) -> Result<()> {
    watch(&root.join("guest-sdk"));
    watch(&root.join("wit"));
    let mut files = vec![("sdk/Cargo.toml".to_owned(), root.join("guest-sdk/Cargo.toml"))];
    walk(&root.join("guest-sdk/src"), "sdk/src", &mut files)?;
    walk(&root.join("wit"), "wit", &mut files)?;
    files.sort();
    let manifest = root.join("Cargo.toml");
    watch(&manifest);
    let manifest = fs::read_to_string(manifest)?;
    let mut lines = Vec::new();
    for name in SDK_DEPENDENCIES {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = ")));
        lines.push(line.ok_or_else(|| format!("the workspace has no dependency {name}"))?);
    }
    let lines = lines.join("\n");
    writeln!(
        code,
        "/// The SDK's dependencies.\npub(crate) const DEPENDENCIES: &str = {lines:?};"
    )?;
    list(code, "The SDK and the contract.", "SDK", &files)?;
    for (folder, name) in [("guest-sdk/js", "JS_SDK"), ("guest-sdk/python", "PYTHON_SDK")] {
        let mut files = Vec::new();
        walk(&root.join(folder), "sdk", &mut files)?;
        // What Python leaves behind where somebody looked at the modules is none of them.
        files.retain(|(path, _)| !path.contains("__pycache__"));
        files.sort();
        list(code, "The SDK of another language.", name, &files)?;
    }
    Ok(())
}

fn list(code: &mut String, doc: &str, name: &str, files: &[(String, PathBuf)]) -> Result<()> {
    writeln!(code, "/// {doc}\npub(crate) const {name}: &[File] = &[")?;
    for (path, file) in files {
        writeln!(code, "File {{ path: {path:?}, bytes: include_bytes!({file:?}) }},")?;
    }
    code.push_str("];\n");
    Ok(())
}

fn walk(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &path, files)?,
            false => files.push((path, entry.path())),
        }
    }
    Ok(())
}

fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
