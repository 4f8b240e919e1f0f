//! What an upload is and what it exports and imports, read from its bytes before anything is
//! compiled. Refusals are written for the policy's author.

mod problem;
mod shape;

use std::ops::Deref;

use semver::Version;
use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, Parser, Payload, Validator};
use wasmtime::Engine;

use crate::{Hook, Limits, UploadProblem, import, needless};
use problem::{malformed, problem};

/// What a component exports and imports, as far as policies are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surface {
    /// Hooks, in the order a call meets them.
    pub hooks: Vec<Hook>,
    /// Whether it wants to know what came of its decisions.
    pub feedback: bool,
    /// Interfaces, sorted.
    pub imports: Vec<String>,
}

impl Surface {
    /// Reads and judges `bytes`: first what they are, then how much of everything there is, then
    /// every instruction and every type.
    ///
    /// # Errors
    /// What a host would refuse it for before it compiles anything.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Surface, UploadProblem> {
        glance(bytes, limits)?;
        shape::check(bytes, limits)?;
        let names = Names::parse(bytes).map_err(malformed)?;
        check_imports(&names.imports)?;
        let Names { imports, exports } = names;
        let feedback = exports.iter().any(|name| import::fits(&feedback(), name));
        if feedback && !exports.iter().any(|name| import::fits(&interface(Hook::Route), name)) {
            return Err(feedback_alone());
        }
        Ok(Surface { hooks: hooks(&exports)?, feedback, imports })
    }
}

/// What the size and the first bytes show already.
pub(crate) fn glance(bytes: &[u8], limits: &Limits) -> Result<(), UploadProblem> {
    check_size(bytes, limits)?;
    check_format(bytes)
}

/// A component that is sound, but not for this host.
pub(crate) fn not_runnable(error: wasmtime::Error) -> UploadProblem {
    problem(
        "upload_not_runnable",
        format!("the component can't be run here: {error:#}"),
        "build it against this host's contract (signalbox:policy 0.2), within its limits",
    )
}

fn check_size(bytes: &[u8], limits: &Limits) -> Result<(), UploadProblem> {
    let (size, limit) = (bytes.len(), limits.upload_bytes);
    if size as u64 <= limit {
        return Ok(());
    }
    let text = format!("the component has {size} bytes and may have {limit}");
    let mend = "build it with `signalbox policy build`, without debug info, or have the operator raise \
                policies.limits.upload_bytes";
    Err(problem("upload_too_large", text, mend))
}

const BUILD: &str = "build it with `signalbox policy build`, or with cargo for the target \
                     wasm32-wasip2";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// Distinguishes a component from everything else that people upload.
fn check_format(bytes: &[u8]) -> Result<(), UploadProblem> {
    if bytes.is_empty() {
        return Err(problem("upload_empty", "nothing was uploaded", "send the component as body"));
    }
    if bytes.starts_with(b"\x7fELF") || Engine::detect_precompiled(bytes).is_some() {
        let text = "this is precompiled native code, which can't be checked";
        return Err(problem("upload_precompiled", text, "upload the .wasm it was made from"));
    }
    if bytes.starts_with(&CORE_MODULE) {
        let text = "this is a core module, not a component";
        return Err(problem("upload_core_module", text, "build with --target wasm32-wasip2"));
    }
    if bytes.trim_ascii_start().starts_with(b"(") {
        let text = "this is WebAssembly text, not a binary";
        let mend = "turn it into a binary with `wasm-tools parse`";
        return Err(problem("upload_wasm_text", text, mend));
    }
    if !bytes.starts_with(&COMPONENT) {
        let text = "this is not a WebAssembly component of a version known here";
        return Err(problem("upload_not_a_component", text, BUILD));
    }
    Ok(())
}

/// Import and export names of the outermost component.
#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Names {
    /// Validates everything, so that the compiler never sees a malformed component.
    fn parse(bytes: &[u8]) -> wasmparser::Result<Names> {
        Validator::new().validate_all(bytes)?;
        let mut names = Names::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => {
                    depth += 1;
                }
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        names.imports.push(import?.name.name.to_string());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        names.exports.push(export?.name.name.to_string());
                    }
                }
                _ => {}
            }
        }
        names.imports.sort();
        Ok(names)
    }
}

fn check_imports(imports: &[String]) -> Result<(), UploadProblem> {
    let strange: Vec<&str> =
        imports.iter().map(Deref::deref).filter(|name| !import::is_offered(name)).collect();
    if strange.is_empty() {
        return Ok(());
    }
    let text = format!("it imports {}, which this host does not offer", strange.join(", "));
    let without = needless::without(&strange).unwrap_or("do without");
    let mend = format!("{without}; offered are {}", import::OFFERED.join(", "));
    Err(problem("upload_import_not_offered", text, mend))
}

/// The version of the contract spoken here.
const CONTRACT: &str = "0.2.3";

/// What a policy may be built against here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The version of `signalbox:policy`. Components built against a compatible one run, too.
    pub version: &'static str,
    /// The interfaces that a policy may export: at least one hook, and `feedback` beside `route`.
    pub exports: Vec<String>,
    /// The interfaces that it may import; `*` stands for every one of a package.
    pub imports: &'static [&'static str],
}

/// The contract of this host.
pub fn contract() -> Contract {
    let exports = Hook::ALL.map(interface).into_iter().chain([feedback()]).collect();
    Contract { version: CONTRACT, exports, imports: &import::OFFERED }
}

fn interface(hook: Hook) -> String {
    format!("signalbox:policy/{hook}@{CONTRACT}")
}

/// What a router exports that wants to know what came of its decisions.
fn feedback() -> String {
    format!("signalbox:policy/feedback@{CONTRACT}")
}

fn hooks(exports: &[String]) -> Result<Vec<Hook>, UploadProblem> {
    let has = |hook: &Hook| exports.iter().any(|name| import::fits(&interface(*hook), name));
    let found: Vec<Hook> = Hook::ALL.into_iter().filter(has).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    match exports.iter().find_map(|name| other_version(name)) {
        Some(other) => Err(problem(
            "upload_contract_version",
            format!("it was built against version {other} of the contract"),
            format!("build it against signalbox:policy {CONTRACT}"),
        )),
        None => Err(no_hook()),
    }
}

/// The version in the name of a hook that is not spoken here.
fn other_version(export: &str) -> Option<Version> {
    let (path, version) = export.split_once('@')?;
    let hook = path.strip_prefix("signalbox:policy/")?;
    Hook::ALL.iter().any(|known| known.name() == hook).then(|| Version::parse(version).ok())?
}

fn feedback_alone() -> UploadProblem {
    let (feedback, route) = (feedback(), interface(Hook::Route));
    problem(
        "upload_feedback_without_route",
        format!("it exports {feedback} and decides nothing, so there is nothing to tell it"),
        format!("export {route} as well, or leave feedback out"),
    )
}

fn no_hook() -> UploadProblem {
    let wanted = Hook::ALL.map(interface).join(", ");
    problem(
        "upload_no_hook",
        "it exports no hook, so it would never be called",
        format!("export at least one of {wanted}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> UploadProblem {
        Surface::read(bytes, &Limits::default()).unwrap_err()
    }

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn what_is_no_component_is_distinguished() {
        let check = |bytes: &[u8], code| assert_eq!(refused(bytes).code, code);
        check(b"", "upload_empty");
        check(b"  (component)", "upload_wasm_text");
        check(&component("(module)"), "upload_core_module");
        check(b"#!/bin/sh", "upload_not_a_component");
        check(b"\x7fELF\x02\x01", "upload_precompiled");
        check(b"\0asm\x0d\0\x01\0\x07\xff", "upload_malformed");
        check(&vec![0; 24 * 1024 * 1024 + 1], "upload_too_large");
    }

    #[test]
    fn precompiled_code_is_refused() {
        let compiled = Engine::default().precompile_component(&component("(component)")).unwrap();
        assert_eq!(refused(&compiled).code, "upload_precompiled");
    }

    #[test]
    fn the_mend_for_a_core_module_names_the_target() {
        let message = refused(&component("(module)")).to_string();
        assert_eq!(
            message,
            "this is a core module, not a component; build with --target wasm32-wasip2"
        );
    }

    #[test]
    fn imports_that_are_not_offered_are_named_beside_the_offered() {
        let message = refused(&component(
            r#"(component
                (import "wasi:http/incoming-handler@0.2.4" (instance))
                (import "wasi:io/error@0.2.6" (instance))
                (import "acme:secrets/vault@1.0.0" (instance)))"#,
        ));
        assert_eq!(message.code, "upload_import_not_offered");
        assert_eq!(
            message.text,
            "it imports acme:secrets/vault@1.0.0, wasi:http/incoming-handler@0.2.4, which this host \
             does not offer"
        );
        assert!(message.mend.contains("signalbox:policy/tokens@0.2.3"), "{}", message.mend);
        assert!(message.mend.contains("`-d http fetch-event`"), "{}", message.mend);
    }

    #[test]
    fn a_component_without_hooks_gets_their_names() {
        let message = refused(&component("(component)"));
        assert_eq!(message.code, "upload_no_hook");
        assert!(message.mend.contains("signalbox:policy/route@0.2.3"), "{}", message.mend);
    }

    #[test]
    fn hooks_count_at_the_outermost_level_only() {
        let inner = r#"(component (component
            (instance $i) (export "signalbox:policy/route@0.2.0" (instance $i))))"#;
        assert_eq!(refused(&component(inner)).code, "upload_no_hook");
        let outer = r#"(component
            (instance $i) (export "signalbox:policy/post@0.2.7" (instance $i))
            (instance $j) (export "signalbox:policy/pre@0.2.0" (instance $j)))"#;
        let surface = Surface::read(&component(outer), &Limits::default()).unwrap();
        assert_eq!(surface.hooks, [Hook::Pre, Hook::Post]);
    }

    #[test]
    fn feedback_is_taken_beside_route_only() {
        let with = |other: &str| {
            component(&format!(
                r#"(component
                (instance $i) (export "signalbox:policy/feedback@0.2.3" (instance $i)){other})"#
            ))
        };
        let post = r#"(instance $j) (export "signalbox:policy/post@0.2.3" (instance $j))"#;
        for alone in ["", post] {
            let message = refused(&with(alone));
            assert_eq!(message.code, "upload_feedback_without_route");
            assert!(
                message.mend.contains("export signalbox:policy/route@0.2.3"),
                "{}",
                message.mend
            );
        }
        let surface = |bytes: &[u8]| Surface::read(bytes, &Limits::default()).unwrap();
        assert!(surface(&with(&post.replace("post", "route"))).feedback);
        let plain = format!("(component {post})");
        assert!(!surface(&component(&plain)).feedback);
    }

    #[test]
    fn another_version_of_the_contract_is_named() {
        let newer = r#"(component
            (instance $i) (export "signalbox:policy/route@0.3.0" (instance $i)))"#;
        let message = refused(&component(newer));
        assert_eq!(message.code, "upload_contract_version");
        assert_eq!(message.text, "it was built against version 0.3.0 of the contract");
    }
}
