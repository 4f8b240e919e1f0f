//! `signalbox policy wit`: the contract as files, for toolchains that read WIT.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    builtin::{self, File},
    term::say,
};

/// Writes the contract below `dir`, and nothing over a file that says something else.
///
/// # Errors
/// A file that is there and differs, and one that can't be written.
pub(super) fn hand_out(dir: &Path) -> Result<()> {
    let files = || {
        let of_it =
            |file: &File| file.path.strip_prefix("wit/").map(|path| (dir.join(path), file.bytes));
        builtin::SDK.iter().filter_map(of_it)
    };
    for (path, bytes) in files() {
        let differs = fs::read(&path).is_ok_and(|there| there != bytes);
        ensure!(
            !differs,
            "{} is there and says something else; choose another folder",
            path.display()
        );
    }
    for (path, bytes) in files() {
        let failed = || format!("{} can't be written", path.display());
        let folder = path.parent().unwrap_or(dir);
        fs::create_dir_all(folder).with_context(failed)?;
        fs::write(&path, bytes).with_context(failed)?;
        say!("{}", path.display());
    }
    Ok(())
}
