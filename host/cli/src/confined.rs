//! `signalbox confined WORK`: the host's own child, for work on what strangers send. Hidden from
//! the command line's help, because only the host speaks with it, and handled before anything else
//! of the command line starts, because all of that would count against the child's limits.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use signalbox_confine::Program;

/// The hidden subcommand.
const CONFINED: &str = "confined";
/// Compiling components.
const COMPILE: &str = "compile";

/// Does what a parent asks for, if these are a child's arguments; begins with the program's name.
pub(crate) fn serve(args: &[OsString]) -> Option<ExitCode> {
    let [_, confined, work] = args else { return None };
    if confined != CONFINED {
        return None;
    }
    let served = match work.to_str() {
        Some(COMPILE) => signalbox_policy::serve_compiler(),
        _ => return None,
    };
    Some(served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// This program as a child that compiles components.
pub(crate) fn compiler() -> Program {
    program(COMPILE)
}

/// When the system does not say what program this is, its children can't be started, and what
/// needs one says so.
fn program(work: impl AsRef<OsStr>) -> Program {
    let arguments = || [OsString::from(CONFINED), work.as_ref().to_owned()];
    Program::this(arguments()).unwrap_or_else(|_| Program::new("/proc/self/exe", arguments()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_child_is_taken_for_one() {
        for args in
            [&["signalbox"][..], &["signalbox", "confined"], &["signalbox", "check", "compile"]]
        {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            assert!(serve(&args).is_none(), "{args:?}");
        }
    }
}
