//! Python: componentize-py, which puts CPython, its library and the policy into one component.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::Project;
use super::stage::STAGE;
use super::{tool, world};
use crate::BuildError;

/// What makes the component, and in which version.
pub(super) const TOOL: &str = "componentize-py-0.25.1";
const REQUIREMENTS: &str = "requirements.txt";
const FILES: [(&str, &str); 1] = [(REQUIREMENTS, include_str!("../../python/requirements.txt"))];
const MEND: &str = "install Python 3.10 or newer with its venv module (on Debian the package python3-venv), \
                    from https://python.org";
/// What runs it without the script that an environment would have for it.
const RUN: &str = "from componentize_py import script; script()";
/// The module that the component is made from.
const ENTRY: &str = "signalbox_entry";

/// Makes the component at `out`.
pub(super) fn build(
    project: &Project,
    tools: &Path,
    out: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let tool = tool::ready(tools, TOOL, &FILES, |folder| {
        say(&format!("installing {TOOL} into {} (75 MB, once)", folder.display()));
        let mut environment = Command::new(system_python());
        tool::step(environment.args(["-m", "venv", "venv"]).current_dir(folder), MEND, say)?;
        let mut pip = Command::new(python(folder));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--require-hashes", "--only-binary", ":all:", "-r", REQUIREMENTS]);
        tool::step(pip.current_dir(folder), MEND, say)
    })?;
    let build = project.folder.join("build");
    let (stage, entry) = (build.join(STAGE), build.join("entry"));
    fs::create_dir_all(&entry).map_err(BuildError::file(&entry))?;
    for (name, text) in modules(&project.hooks) {
        let path = entry.join(name);
        fs::write(&path, text).map_err(BuildError::file(&path))?;
    }
    say(&format!("{TOOL} makes {}", out.display()));
    let mut componentize = Command::new(python(&tool));
    componentize.args(["-c", RUN, "-q", "-w", world::WORLD, "-d"]).arg(build.join(world::FOLDER));
    componentize.args(["componentize", ENTRY, "-o"]).arg(out);
    // Its own modules first, so that none of the policy's is taken for one of them.
    for path in [entry, stage.clone(), stage.join("sdk")] {
        componentize.arg("-p").arg(path);
    }
    componentize.current_dir(&stage).env("RUST_BACKTRACE", "0").env_remove("VIRTUAL_ENV");
    let ended = tool::run(&mut componentize, MEND, &mut |_| {})?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(BuildError::Script { tool: TOOL, output: explained(&ended.lines) }),
    }
}

fn system_python() -> &'static str {
    if cfg!(windows) { "python" } else { "python3" }
}

/// The interpreter of the environment in `folder`.
fn python(folder: &Path) -> PathBuf {
    let programs = if cfg!(windows) { "Scripts" } else { "bin" };
    folder.join("venv").join(programs).join(format!("python{EXE_SUFFIX}"))
}

/// The modules that the component's exports are looked for in: one for the functions, and one named after the
/// interface for its resource.
fn modules(hooks: &[String]) -> Vec<(String, String)> {
    let has = |wanted: &str| hooks.iter().any(|hook| hook == wanted);
    let mut entry = "import policy\n".to_owned();
    for (hook, class) in [("pre", "Pre"), ("route", "Route")] {
        if has(hook) {
            entry.push_str(&format!(
                "from signalbox.{hook} import exported as {hook}\n{class} = {hook}(policy)\n"
            ));
        }
    }
    let mut modules = vec![(format!("{ENTRY}.py"), entry)];
    if has("post") {
        let post =
            "import policy\nfrom signalbox.post import exported\nSession = exported(policy)\n";
        modules.push(("post.py".to_owned(), post.to_owned()));
    }
    modules
}

/// The words of Python about the policy, without those of the tool about itself.
fn explained(lines: &[String]) -> String {
    const BEGIN: &str = "AssertionError: ";
    let begin = lines.iter().position(|line| line.starts_with(BEGIN)).unwrap_or(0);
    let said = lines[begin..].iter().take_while(|line| !line.starts_with("Caused by:"));
    let text = said.map(|line| line.strip_prefix(BEGIN).unwrap_or(line)).collect::<Vec<_>>();
    text.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_a_module_of_its_own() {
        let names = |hooks: &[&str]| {
            let hooks: Vec<String> = hooks.iter().map(ToString::to_string).collect();
            modules(&hooks).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["route"]), ["signalbox_entry.py"]);
        assert_eq!(names(&["pre", "post"]), ["signalbox_entry.py", "post.py"]);
    }

    #[test]
    fn only_python_s_words_are_left() {
        let lines = [
            "Traceback (most recent call last):",
            "AssertionError: Traceback (most recent call last):",
            "  File \"/0/policy.py\", line 1, in <module>",
            "ImportError: add \"config\" to \"uses\" in policy.json",
            "",
            "",
            "Caused by:",
            "    ImportError",
        ];
        let text = explained(&lines.map(str::to_owned));
        assert!(text.starts_with("Traceback (most recent call last):\n  File"), "{text}");
        assert!(text.ends_with("in policy.json"), "{text}");
    }
}
