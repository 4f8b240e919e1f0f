//! The front door: the command line and the configuration file become checked settings, and those
//! become a wired, serving host.
//!
//! [`main_with`] is the whole program; the binary and the end-to-end tests both call it.

mod app;
mod args;
mod bench;
mod builtin;
mod cache;
mod chat;
mod check;
mod client;
mod config;
mod confined;
mod demo;
mod deploy;
mod eval;
mod experts;
mod generated;
mod limits;
mod log_line;
mod output;
mod policy;
mod prepack;
mod reload;
mod report;
mod roofline;
mod runtime;
mod serve;
mod settings;
mod term;

use std::{ffi::OsString, process::ExitCode};

use args::{Cli, Command};
use clap::Parser;
use confined::Work;
use output::complain;
use signalbox_engine::Isa;

/// Runs one command. `args` begin with the program's own name.
///
/// Exit codes: 0 fine, 1 the thing asked for failed, 2 usage.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(work) = Work::of(&args) {
        return work.serve();
    }
    let Cli { isa, command } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            let (text, code) = (usage.render(), ExitCode::from(usage.exit_code() as u8));
            match usage.use_stderr() {
                true => output::err(format_args!("{text}")),
                false => output::out(format_args!("{text}")),
            }
            return printed(code);
        }
    };
    // Nothing has computed yet, and only what the machine has is parsed.
    isa.map(Isa::prefer);
    printed(run(command).unwrap_or_else(|error| {
        complain!("signalbox: {error:#}");
        ExitCode::FAILURE
    }))
}

/// What a command could not print, it has not done.
fn printed(code: ExitCode) -> ExitCode {
    match output::close() {
        Ok(()) => code,
        Err(problem) => {
            complain!("signalbox: the output can't be written: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The component of a built-in example policy, for tests that swap policies.
pub fn example(name: &str) -> Option<&'static [u8]> {
    builtin::component(name).map(|example| example.bytes)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Prepack(args) => prepack::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Roofline(args) => roofline::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Chat(args) => chat::run(args).map(|()| ExitCode::SUCCESS),
        Command::Policy(args) => policy::run(args).map(|()| ExitCode::SUCCESS),
        Command::Experts(args) => experts::run(args).map(|()| ExitCode::SUCCESS),
        Command::Reload(args) => reload::run(args).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => generated::completions(shell),
        Command::Man => generated::man(),
        Command::Version => {
            term::say!("signalbox {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    }
}
