//! Turns the sources of policies into WebAssembly components: crates with nothing but cargo and rustup, JavaScript,
//! TypeScript and Python with their own tools ([`scripted`]).
//!
//! For crates two callers, one road: `signalbox policy build` compiles an author's crate ([`Build::crate_at`])
//! and build scripts compile the policies that a binary or a test embeds ([`script::components`]).
//!
//! ```no_run
//! use signalbox_build::Build;
//!
//! let component = Build::crate_at("my-policy").run(&mut |line| eprintln!("{line}"))?.remove(0);
//! println!("{} is in {}", component.package, component.path.display());
//! # Ok::<(), signalbox_build::BuildError>(())
//! ```

mod cargo;
mod error;
mod lines;
mod mark;
pub mod script;
pub mod scripted;
mod target;
mod toolchain;

use std::path::{Path, PathBuf};

pub use cargo::{Build, Component};
pub use error::BuildError;
pub use target::TARGET;
pub use toolchain::ensure_target;

impl Build {
    /// The crate in `folder`.
    pub fn crate_at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), packages: Vec::new(), target_dir: None, locked: false }
    }

    /// These packages of the workspace in `folder`, with the versions that its lock file holds.
    pub fn workspace(folder: impl Into<PathBuf>, packages: &[&str]) -> Self {
        let packages = packages.iter().map(ToString::to_string).collect();
        Self { packages, locked: true, ..Self::crate_at(folder) }
    }

    /// Where cargo keeps what it builds; its own choice otherwise. A build that runs inside
    /// another cargo must have a folder of its own, or the two wait for each other for ever.
    #[must_use]
    pub fn target_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.target_dir = Some(folder.into());
        self
    }

    /// Builds. `say` gets a line whenever there is something to show: cargo's own output, and that
    /// the compilation target is being installed, should it be missing; for packages of a workspace
    /// its `rust-toolchain.toml` brings it.
    ///
    /// The components stand in the order of the packages that were asked for.
    ///
    /// # Errors
    /// When the toolchain or its wasm target is missing and can't be had, when the crate does not
    /// compile, and when it is not a policy crate.
    pub fn run(&self, say: &mut dyn FnMut(&str)) -> Result<Vec<Component>, BuildError> {
        let manifest = self.manifest()?;
        // An author's build may bring the target; one inside another build leaves the toolchain alone.
        match self.locked {
            true => toolchain::require_target(&self.folder)?,
            false => ensure_target(&self.folder, say)?,
        }
        let cargo::Built { artifacts, sdk } = cargo::build(self, say)?;
        let components = self.choose(&manifest, &artifacts)?;
        for component in &components {
            sdk.as_ref().map_or(Ok(()), |sdk| mark::mark(&component.path, "rust", sdk))?;
        }
        Ok(components)
    }

    /// The components that were asked for.
    fn choose(
        &self,
        manifest: &Path,
        built: &[cargo::Artifact],
    ) -> Result<Vec<Component>, BuildError> {
        if !self.packages.is_empty() {
            return self.packages.iter().map(|package| self.pick(package, built)).collect();
        }
        let own = built.iter().filter(|artifact| artifact.manifest == manifest).cloned();
        let components: Vec<_> = own.map(cargo::Artifact::into_component).collect();
        if components.is_empty() { Err(no_component(manifest)) } else { Ok(components) }
    }

    /// The manifest, as cargo names it in its messages.
    fn manifest(&self) -> Result<PathBuf, BuildError> {
        let manifest = self.folder.join("Cargo.toml");
        manifest.canonicalize().map_err(|source| BuildError::NoCrate { manifest, source })
    }

    fn pick(&self, package: &str, built: &[cargo::Artifact]) -> Result<Component, BuildError> {
        let found = built.iter().find(|artifact| artifact.package == package);
        let Some(artifact) = found else { return Err(no_component(&self.folder.join(package))) };
        Ok(artifact.clone().into_component())
    }
}

fn no_component(manifest: &Path) -> BuildError {
    BuildError::NoComponent { manifest: manifest.to_owned() }
}
