//! `signalbox confined WORK`: the host's own child, for work on what strangers send, under limits that
//! the system keeps. Hidden from the command line's help, because only the host speaks with it, and
//! handled before anything else of the command line starts, because all of that would count against
//! the child's limits.

use std::{ffi::OsString, io, process::ExitCode};

use signalbox_confine::Program;

/// The hidden subcommand.
const CONFINED: &str = "confined";

/// Work that is done in a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiling components.
    Compile,
    /// Rendering an expert's chat template.
    Template,
}

impl Work {
    const ALL: [Self; 2] = [Self::Compile, Self::Template];

    fn name(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Template => "template",
        }
    }

    /// The work that a process with these arguments was started for, if it is a child; they begin with
    /// the program's name.
    pub(crate) fn of(args: &[OsString]) -> Option<Self> {
        let [_, confined, name] = args else { return None };
        let named = |work: &Self| name == work.name();
        Self::ALL.into_iter().find(named).filter(|_| confined == CONFINED)
    }

    /// Serves the parent until it is gone.
    pub(crate) fn serve(self) -> ExitCode {
        let served = match self {
            Self::Compile => signalbox_policy::serve_compiler(),
            Self::Template => signalbox_engine::serve_template(),
        };
        served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
    }

    /// This program, to be started for the work. Where the system does not say what program this is,
    /// the child can't be started, and what needs it says so.
    pub(crate) fn program(self) -> Program {
        let arguments = || [OsString::from(CONFINED), self.name().into()];
        let unknown = |_: io::Error| Program::new("/proc/self/exe", arguments());
        Program::this(arguments()).unwrap_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str], expect: Option<Work>) {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        assert_eq!(Work::of(&args), expect, "{args:?}");
    }

    #[test]
    fn only_a_parents_words_start_a_child() {
        check(&["signalbox", "confined", "template"], Some(Work::Template));
        check(&["signalbox", "confined", "compile"], Some(Work::Compile));
        check(&["signalbox"], None);
        check(&["signalbox", "confined"], None);
        check(&["signalbox", "confined", "anything"], None);
        check(&["signalbox", "check", "template"], None);
        check(&["signalbox", "confined", "template", "more"], None);
    }
}
