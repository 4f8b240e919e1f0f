//! `signalbox policy inspect`: what a component is, judged as a host judges an upload before it compiles it.

use anyhow::{Result, bail};
use serde_json::json;
use signalbox_policy::{Limits, Surface};

use crate::term::{say, say_json};

/// Shows hooks, imports, size and revision of a component.
///
/// # Errors
/// What a host under default limits would refuse it for, with the mend.
pub(super) fn run(name: &str, bytes: &[u8], revision: &str, json: bool) -> Result<()> {
    let surface = match Surface::read(bytes, &Limits::default()) {
        Ok(surface) => surface,
        Err(problem) => bail!("{name} would be refused: {}; {}", problem.text, problem.mend),
    };
    let hooks: Vec<String> = surface.hooks.iter().map(ToString::to_string).collect();
    if json {
        say_json(&json!({
            "name": name,
            "bytes": bytes.len(),
            "sha256": revision,
            "hooks": hooks,
            "imports": surface.imports,
        }));
        return Ok(());
    }
    say!("{name}");
    say!("  hooks    {}", hooks.join(", "));
    say!("  size     {} bytes", bytes.len());
    say!("  sha256   {}", revision);
    say!("  imports");
    surface.imports.iter().for_each(|import| say!("    {import}"));
    Ok(())
}
