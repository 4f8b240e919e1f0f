//! The `signalbox` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    signalbox::main_with(std::env::args_os())
}
