//! The command line of `signalbox policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::settings::TOKEN_VARIABLE;

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(flatten)]
    pub(crate) plane: AdminPlane,
    /// For scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// Where a running host answers operators.
#[derive(Debug, Args)]
pub(crate) struct AdminPlane {
    /// Where the host answers operators.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "SIGNALBOX_ADMIN",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) admin: String,
    /// The operators' bearer token.
    #[arg(long, global = true, env = TOKEN_VARIABLE, hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    #[command(flatten)]
    Author(AuthorCommand),
    #[command(flatten)]
    Operator(OperatorCommand),
}

/// What needs no host.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthorCommand {
    /// Begin a policy: a folder that builds and has cases that pass.
    New {
        /// Its name and its folder's name.
        name: String,
        /// What it is written in.
        #[arg(long, value_enum, default_value_t = Language::Rust)]
        lang: Language,
        /// Which hook it starts with.
        #[arg(long, value_enum, default_value_t = HookKind::Route)]
        hook: HookKind,
    },
    /// Make a component of a policy's folder, installing what that needs.
    Build {
        /// The policy's folder.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Run a policy's cases under the limits of a host, without one, and compare what comes of them.
    ///
    /// A case is a call in a .json file, with what surrounds it and what is to become of it: also what experts answer when the
    /// policy asks them ("inference", "decide", "embeddings"), what other hosts do ("http"), and what it kept before
    /// ("keyvalue"). The component is compiled, probed and called as a host does it. Prints for each case whether it is as
    /// expected, and what it took of the hooks' time and memory; exit code 1 when one is not.
    Test {
        /// A policy's folder, a .wasm file, or the name of a built-in example.
        #[arg(default_value = ".")]
        policy: String,
        /// The folder of the cases, instead of tests in the policy's.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// Take the policy's settings, the limits, the hosts it may ask and the experts from this configuration file. A
        /// case's own settings and experts count more.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Run every case so many times, and show what the run in the middle took.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        repeat: u32,
    },
    /// Show where a policy spends its time: one of its cases, run over and over under the limits of a host, as a file
    /// for the Firefox profiler.
    Profile {
        /// A policy's folder, a .wasm file, or the name of a built-in example.
        #[arg(default_value = ".")]
        policy: String,
        /// The folder of the cases, instead of tests in the policy's.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
        /// The case, by its name or its file's; the first one without it.
        #[arg(long, value_name = "NAME")]
        case: Option<String>,
        /// For how long it is run.
        #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// The file that is written, instead of NAME.profile.json.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show what a component is, as a host would judge it, without one.
    Inspect {
        /// A .wasm file, a policy's folder, or the name of a built-in example.
        policy: String,
    },
    /// Hand out the contract, for toolchains of other languages.
    Wit {
        /// The folder that the .wit files are written to; made if it is missing.
        dir: PathBuf,
    },
}

/// What a host is asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Upload a component; experts stay loaded.
    ///
    /// The host validates the component, compiles it in a process of its own, calls its hooks once to see that they
    /// work, and keeps it under the sha256 of its bytes. It is staged then: no call meets it until it is put in force,
    /// with --activate or by `policy activate`. Calls that run keep the revision they began with, and `policy
    /// rollback` goes back. Sending the same bytes again changes nothing.
    Push {
        /// A .wasm file, a policy's folder, or the name of a built-in example.
        policy: String,
        /// Name it this on the host instead of after its file.
        #[arg(long)]
        name: Option<String>,
        /// Put it in force at once.
        #[arg(long)]
        activate: bool,
        /// Also when it imports what the revision in force does not.
        #[arg(long, requires = "activate")]
        allow_new_imports: bool,
        /// Minisign's signature; without it, the file POLICY.minisig if there is one.
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// Every policy and what is in force.
    List,
    /// Everything about one policy.
    Show {
        /// The policy.
        name: String,
    },
    /// Put a revision in force.
    Activate {
        /// The policy.
        name: String,
        /// The revision or the beginning of it; without it, the newest one uploaded.
        revision: Option<String>,
        /// Also when it imports what the revision in force does not.
        #[arg(long)]
        allow_new_imports: bool,
        /// Only if it has shown, in shadow or replay, that it agrees with the revision in force in this share of calls,
        /// as in 0.95.
        #[arg(long, value_name = "SHARE")]
        min_agreement: Option<f64>,
        /// Only for this share of the calls, as in 10: those of a share of the callers, always the same ones. Ends by itself
        /// where it fails or decides too differently.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=99))]
        canary: Option<u32>,
    },
    /// Put the canary of a policy in force for all calls.
    Promote {
        /// The policy.
        name: String,
    },
    /// Let a staged revision work on live calls beside the one in force, to be compared; it changes nothing.
    ///
    /// `policy show` says how often both agree, what became of what, how often it failed and how much longer it takes.
    Shadow {
        /// The policy.
        name: String,
        /// The revision or the beginning of it; without it, the newest one uploaded.
        revision: Option<String>,
        /// Also when it imports what the revision in force does not.
        #[arg(long)]
        allow_new_imports: bool,
        /// End it, and forget what it has shown.
        #[arg(long, conflicts_with_all = ["revision", "allow_new_imports"])]
        off: bool,
    },
    /// Try a component on recorded decisions, beside the revision in force, before it is uploaded for real.
    ///
    /// The host has to have written down what policies saw (`decision_log.text` is `full`). Both are shown each call under the
    /// host's own limits; nothing is kept but that it counts for `policy activate --min-agreement`.
    Replay {
        /// A .wasm file, a policy crate's folder, or the name of a built-in example.
        #[arg(long, value_name = "FILE|DIR|EXAMPLE")]
        candidate: String,
        /// The policy that it is to replace, instead of the one of its own name.
        #[arg(long)]
        name: Option<String>,
        /// How far back, as in 90s, 15m, 1h or 7d; without it, all that is kept.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        since: Option<u64>,
        /// Exit with 1 when fewer verdicts agree, as in 0.95.
        #[arg(long, value_name = "SHARE")]
        min_agreement: Option<f64>,
        /// Minisign's signature; without it, the file CANDIDATE.minisig if there is one.
        #[arg(long, value_name = "FILE")]
        signature: Option<PathBuf>,
    },
    /// End a canary, or go back to what was in force before the last activation.
    Rollback {
        /// Only this policy; without it, the whole pipeline.
        name: Option<String>,
    },
    /// Take a policy out of force; its revisions stay.
    Deactivate {
        /// The policy.
        name: String,
    },
    /// Forget a revision that is not in force.
    Remove {
        /// The policy.
        name: String,
        /// The revision or the beginning of it.
        revision: String,
    },
    /// Show the pipeline, or set who is called in which order; what is not given stays.
    Order {
        /// Before routing, as in a,b; "" for none.
        #[arg(long, value_name = "NAMES")]
        pre: Option<String>,
        /// The router; "" leaves routing to the host.
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
        /// On replies, as in a,b; "" for none.
        #[arg(long, value_name = "NAMES")]
        post: Option<String>,
    },
    /// Recent calls, newest first: who was asked and why; or all there is to know of one.
    Decisions {
        /// One call, by what its reply says in `x-signalbox-decision`.
        decision: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// What came into force when, oldest first.
    Activations,
}

/// Where in a call's life a policy works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookKind {
    /// Choose who answers.
    Route,
    /// Look at calls before they are routed.
    Pre,
    /// Look at replies while they stream.
    Post,
}

/// What a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A crate; the fastest and smallest.
    Rust,
    /// JavaScript, by componentize-js; needs Node.js.
    Js,
    /// TypeScript, checked and made JavaScript of; needs Node.js.
    Ts,
    /// Python, by componentize-py; needs Python.
    Python,
}

/// The seconds in `90s`, `15m`, `1h` or `7d`.
fn seconds(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let split = |(unit, seconds)| Some((text.strip_suffix(unit)?, seconds));
    let found = units.into_iter().find_map(split);
    let number =
        found.and_then(|(number, seconds)| number.parse::<u64>().ok()?.checked_mul(seconds));
    number.ok_or_else(|| "write a whole number and a unit, as in 90s, 15m, 1h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_their_unit() {
        let check = |text, expect| assert_eq!(seconds(text).ok(), expect, "{text}");
        check("90s", Some(90));
        check("15m", Some(900));
        check("1h", Some(3600));
        check("7d", Some(604_800));
        for odd in ["", "h", "1", "-1h", "1.5h", "1 h", "99999999999999999999d", "1y"] {
            check(odd, None);
        }
    }
}
