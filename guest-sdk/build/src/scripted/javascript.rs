//! JavaScript: componentize-js, which puts a JavaScript engine and the policy into one component.

use std::fs;
use std::path::Path;

use super::project::{Project, USES};
use super::stage::STAGE;
use super::{node, world};
use crate::BuildError;

/// What makes the component, and in which version.
pub(super) const TOOL: &str = "componentize-js-0.23.0";
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../js/package.json")),
    ("package-lock.json", include_str!("../../js/package-lock.json")),
    (SCRIPT, include_str!("../../js/build.mjs")),
];
/// The module that the component is made from.
const ENTRY: &str = "signalbox-entry.js";
const SCRIPT: &str = "build.mjs";

/// Makes the component at `out`.
pub(super) fn build(
    project: &Project,
    tools: &Path,
    out: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let tool = node::ready(tools, TOOL, &FILES, "200 MB", say)?;
    let build = project.folder.join("build");
    let stage = build.join(STAGE);
    let entry = stage.join(ENTRY);
    fs::write(&entry, self::entry(&project.hooks)).map_err(BuildError::file(&entry))?;
    say(&format!("{TOOL} makes {}", out.display()));
    let wit = build.join(world::FOLDER);
    let arguments = [entry.as_path(), &wit, Path::new(world::WORLD), out];
    let ended = node::run(&tool.join(SCRIPT), &arguments, &stage)?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(BuildError::Script { tool: TOOL, output: explained(&ended.lines) }),
    }
}

/// The component's own module: what `policy.js` exports, as the contract wants it.
fn entry(hooks: &[String]) -> String {
    let names: Vec<_> = hooks.iter().map(|hook| format!("{hook}Of")).collect();
    let exports = hooks.iter().map(|hook| format!("export const {hook} = {hook}Of(policy);\n"));
    format!(
        "import * as policy from './policy.js';\nimport {{ {} }} from './sdk/hooks.js';\n\n{}",
        names.join(", "),
        exports.collect::<String>()
    )
}

/// The tool's words about the policy, without those about itself.
fn explained(lines: &[String]) -> String {
    const OWN: [&str; 4] = [
        "Failed to initialize",
        "Exception while",
        "Additionally, some promises",
        "Promise rejected",
    ];
    let own = |line: &&String| OWN.iter().any(|own| line.starts_with(own));
    let mut text = lines.iter().filter(|line| !own(line)).cloned().collect::<Vec<_>>().join("\n");
    let is_missing = |interface: &&str| {
        let module = match interface.contains(':') {
            true => (*interface).to_owned(),
            false => format!("signalbox:policy/{interface}@"),
        };
        text.contains(&format!("Error loading module \"{module}"))
    };
    let missing = USES.iter().find(|(_, interfaces)| interfaces.iter().any(is_missing));
    if let Some((name, _)) = missing {
        text.push_str(&format!("\nadd \"{name}\" to \"uses\" in policy.json"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_exports_every_hook() {
        let entry = entry(&["pre".to_owned(), "post".to_owned()]);
        assert_eq!(
            entry,
            "import * as policy from './policy.js';\n\
             import { preOf, postOf } from './sdk/hooks.js';\n\n\
             export const pre = preOf(policy);\nexport const post = postOf(policy);\n"
        );
    }

    #[test]
    fn what_the_tool_says_of_itself_is_left_out_and_the_mend_is_added() {
        let lines = [
            "Failed to initialize component (wizer (x)):",
            "Exception while evaluating top-level script",
            "ReferenceError: Error loading module \"wasi:config/store@0.2.0-rc.1\" (resolved path \"x\"): No such file",
        ];
        let text = explained(&lines.map(str::to_owned));
        assert!(text.starts_with("ReferenceError"), "{text}");
        assert!(text.ends_with("add \"config\" to \"uses\" in policy.json"), "{text}");
        for (module, uses) in
            [("signalbox:policy/tokens@0.2.3", "tokens"), ("wasi:http/types@0.2.10", "http")]
        {
            let line = format!("ReferenceError: Error loading module \"{module}\" (x)");
            assert!(explained(&[line]).contains(&format!("add \"{uses}\"")), "{module}");
        }
    }
}
