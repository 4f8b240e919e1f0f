//! What can go wrong on the way to a component, each with its mend.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no readable manifest.
    #[error("{manifest}: no policy here, as a crate or with a policy.json ({source}); `signalbox policy new` makes one",
        manifest = manifest.display())]
    NoCrate {
        /// Where it was looked for.
        manifest: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A program of the Rust toolchain can't be started.
    #[error("{program} can't be started ({source}); install Rust from https://rustup.rs")]
    NoToolchain {
        /// `cargo` or `rustc`.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The target is missing.
    #[error("Rust can't compile for {target}: {problem}; \
        run `rustup target add {target}`, or install that target's standard library with the \
        package manager that Rust came from", target = crate::TARGET)]
    NoTarget {
        /// Why it was not installed.
        problem: String,
    },
    /// Cargo ended with an error. `say` was given what it printed.
    #[error("cargo build failed ({status})\n{output}")]
    Cargo {
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it printed.
        output: String,
    },
    /// The manifest of a policy that is no crate makes no sense.
    #[error("{manifest}: {problem}", manifest = manifest.display())]
    Manifest {
        /// The file.
        manifest: PathBuf,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A program of another language can't be started.
    #[error("{program} can't be started ({source}); {mend}")]
    NoProgram {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
        /// Where it comes from.
        mend: &'static str,
    },
    /// The tool of another language can't be installed.
    #[error("`{what}` failed\n{output}\nis the package registry within reach? {mend}")]
    Install {
        /// The command.
        what: String,
        /// The last lines that it printed.
        output: String,
        /// What it needs.
        mend: &'static str,
    },
    /// The tool of another language makes no component of the policy.
    #[error("{tool} makes no component of it\n{output}")]
    Script {
        /// The tool and its version.
        tool: &'static str,
        /// What it says of the policy.
        output: String,
    },
    /// Cargo built the crate and there is no `.wasm` of it.
    #[error("{manifest}: the crate does not make a component; its manifest needs \
        `[lib] crate-type = [\"cdylib\", \"rlib\"]`", manifest = manifest.display())]
    NoComponent {
        /// The crate.
        manifest: PathBuf,
    },
    /// A file of the build could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl BuildError {
    /// An adapter for `map_err`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
