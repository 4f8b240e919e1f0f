//! Why a checkpoint can't be used: which file, what is wrong, what mends it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::transient::passes;

/// The sort of fault, stable enough to be reported as a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file or a tensor is not there.
    Missing,
    /// A file ends before its own header says so.
    Truncated,
    /// A file contradicts itself or the format.
    Malformed,
    /// Well formed, but nothing this engine runs.
    Unsupported,
    /// The operating system did not let us read.
    Unreadable,
    /// The operating system lacks something for now: descriptors, memory.
    Lacking,
    /// Somebody wrote into the file while it was read.
    Changed,
}

impl Kind {
    /// It may well be read next time, without anybody mending it.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Lacking | Self::Changed)
    }
}

/// A checkpoint that can't be used. Displayed as `file: problem; mend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointError {
    /// The sort of fault.
    pub(crate) kind: Kind,
    /// The file it was found in.
    pub(crate) file: PathBuf,
    /// What is wrong, with names and numbers.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) mend: String,
}

impl CheckpointError {
    /// All four parts at once. What a file says of itself goes into `problem` as it is: it is cut to a
    /// length people read, and loses what a terminal would obey.
    pub(crate) fn new(
        kind: Kind,
        file: &Path,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        const SHOWN_MAX: usize = 1000;
        let mut problem: String = problem.into();
        if let Some((end, _)) = problem.char_indices().nth(SHOWN_MAX) {
            problem.truncate(end);
            problem.push('…');
        }
        let problem = problem.replace(char::is_control, "\u{fffd}");
        Self { kind, file: file.into(), problem, mend: mend.into() }
    }

    /// Which file and what is wrong with it, without the mend.
    pub(crate) fn message(&self) -> String {
        format!("{}: {}", self.file.display(), self.problem)
    }

    /// What the operating system says of a file it would not read.
    pub(crate) fn unreadable(file: &Path, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            let mend = "check the path, or fetch the checkpoint completely";
            let problem = match file.is_symlink() {
                true => "is a link to a file that is not there",
                false => "there is no such file",
            };
            return Self::new(Kind::Missing, file, problem, mend);
        }
        if passes(error) {
            return Self::lacking(file, format!("can't be read now: {error}"));
        }
        let mend = "check permissions and the disk";
        Self::new(Kind::Unreadable, file, format!("can't be read: {error}"), mend)
    }

    /// Something that the machine lacks for now.
    pub(crate) fn lacking(file: &Path, problem: impl Into<String>) -> Self {
        let mend = "it is tried again; if it lasts, raise the process's limits";
        Self::new(Kind::Lacking, file, problem, mend)
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message(), self.mend)
    }
}

impl std::error::Error for CheckpointError {}
