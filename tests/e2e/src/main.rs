//! `signalbox` itself, built here so that the suite knows where it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    signalbox::main_with(std::env::args_os())
}
