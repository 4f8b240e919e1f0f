//! `signalbox policy inspect`: what a component is, judged as a host judges an upload before it compiles it.

use anyhow::{Result, bail};
use serde_json::json;
use signalbox_policy::{Limits, Origin, Surface};

use crate::term::{say, say_json};

/// Shows hooks, imports, size and revision of a component, and what it says of its making.
///
/// # Errors
/// What a host under default limits would refuse it for, with the mend.
pub(super) fn run(name: &str, bytes: &[u8], revision: &str, json: bool) -> Result<()> {
    let surface = match Surface::read(bytes, &Limits::default()) {
        Ok(surface) => surface,
        Err(problem) => bail!("{name} would be refused: {}; {}", problem.text, problem.mend),
    };
    let Origin { sdk, languages, tools } = Origin::read(bytes);
    let hooks: Vec<String> = surface.hooks.iter().map(ToString::to_string).collect();
    if json {
        say_json(&json!({
            "name": name,
            "bytes": bytes.len(),
            "sha256": revision,
            "hooks": hooks,
            "feedback": surface.feedback,
            "imports": surface.imports,
            "sdk": sdk,
            "languages": languages,
            "tools": tools,
        }));
        return Ok(());
    }
    say!("{name}");
    let learns = if surface.feedback { "; learns from feedback" } else { "" };
    say!("  hooks    {}{learns}", hooks.join(", "));
    say!("  size     {} bytes", bytes.len());
    say!("  sha256   {}", revision);
    say!("  sdk      {}", sdk.unwrap_or_else(|| "none, or one that is not ours".to_owned()));
    say!("  made of  {}", listed(&languages));
    say!("  made by  {}", listed(&tools));
    say!("  imports");
    surface.imports.iter().for_each(|import| say!("    {import}"));
    Ok(())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "it does not say".to_owned() } else { names.join(", ") }
}
