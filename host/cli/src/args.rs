//! The command line. Exit codes: 0 fine, 1 the thing asked for failed, 2 usage.

mod policy;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use signalbox_engine::Isa;

pub(crate) use policy::{
    AdminPlane, AuthorCommand, HookKind, Language, OperatorCommand, Policy, PolicyCommand,
};

/// Several language models in one process, routed by WebAssembly policies that are swapped live.
#[derive(Debug, Parser)]
#[command(name = "signalbox", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Compute with these instructions instead of the fastest that the machine has.
    #[arg(long, global = true, env = "SIGNALBOX_ISA", value_name = "NAME")]
    pub(crate) isa: Option<Isa>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve five built-in toy experts; nothing to download, nothing left behind.
    Demo(Demo),
    /// Serve the experts of a configuration file, or one GGUF file or model folder, until stopped.
    Serve(Serve),
    /// Say what is wrong with a configuration and its checkpoints, loading nothing.
    Check(Check),
    /// Pack the weights of experts ahead of their first load, which then takes as long as every other.
    Prepack(Prepack),
    /// Score a given text with a checkpoint: likelihoods, perplexity, and how far from a reference.
    Eval(Eval),
    /// Measure how fast a checkpoint computes, against what this machine's memory and cores allow.
    Bench(Bench),
    /// Measure what this machine's memory and cores allow.
    Roofline(Roofline),
    /// Talk to a running host.
    Chat(Chat),
    /// Write, build, upload and swap policies.
    Policy(Policy),
    /// Look at the experts of a running host, load and unload them.
    Experts(Experts),
    /// Have a running host read its configuration anew.
    Reload(Reload),
    /// Print what a shell needs to complete commands and options.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Port for clients; 0 picks a free one. Default 8080, or a free one with --smoke.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Port for operators; 0 picks a free one. Default 8081, or a free one with --smoke.
    #[arg(long)]
    pub(crate) admin_port: Option<u16>,
    /// Keep policies here; without it the demo forgets them.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask every expert, swap the router, ask again, print a table and exit.
    #[arg(long)]
    pub(crate) smoke: bool,
}

/// Where experts are declared, or where they lie.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("configuration").args(["path", "config"]).required(true)))]
pub(crate) struct Configuration {
    /// A GGUF file, a Hugging Face folder, a folder of either, or a configuration file.
    path: Option<PathBuf>,
    /// The configuration file: JSON, comments allowed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take warnings for mistakes: unknown and doubled keys, numbers that contradict each other.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl Configuration {
    /// The file or folder.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.config.as_deref().or(self.path.as_deref()).unwrap_or(std::path::Path::new(""))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What to serve.
    #[command(flatten)]
    pub(crate) what: Configuration,
    /// Listen for clients on this host name or address instead of server_config.host.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Listen for clients on this port instead of server_config.port; 0 picks a free one.
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Listen for operators here instead of on admin.host and admin.port.
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::settings::Address::parse)]
    pub(crate) admin_addr: Option<crate::settings::Address>,
    /// Keep policies here instead of in policies.data_dir.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What to check.
    #[command(flatten)]
    pub(crate) what: Configuration,
    /// Test every expert: hash its files, load it, render its template and generate 8 tokens, one
    /// expert after another.
    #[arg(long)]
    pub(crate) deep: bool,
    /// Test every expert, and write the size and sha256 of each file of those that pass in
    /// signalbox-manifest.json beside them; later tests compare with it.
    #[arg(long)]
    pub(crate) write_manifest: bool,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Prepack {
    /// A configuration file, for all experts of it; or a GGUF file, a Hugging Face folder or a folder of either.
    #[arg(value_name = "PATH")]
    pub(crate) what: PathBuf,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("text to score").args(["ids", "ids_file", "text", "text_file"])),
    group(
        ArgGroup::new("source")
            .args(["ids", "ids_file", "text", "text_file", "expect"])
            .required(true)
            .multiple(true)
    )
)]
pub(crate) struct Eval {
    /// A Hugging Face folder or a GGUF file.
    #[arg(long, value_name = "PATH")]
    pub(crate) model: PathBuf,
    /// Token ids, as in 1,2,3; image placeholders are among them already.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(crate) ids: Vec<u32>,
    /// A JSON file with a list of token ids, or with one under "ids".
    #[arg(long, value_name = "FILE")]
    pub(crate) ids_file: Option<PathBuf>,
    /// Text, encoded behind the beginning-of-sequence token where the checkpoint has one.
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// A file with text.
    #[arg(long, value_name = "FILE")]
    pub(crate) text_file: Option<PathBuf>,
    /// An image (PNG, JPEG, WebP) for the next placeholder; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// Write {"ids": [...], "logits": [[...], ...]} for every position.
    #[arg(long, value_name = "OUT")]
    pub(crate) logits: Option<PathBuf>,
    /// Compare with a reference {"ids", "images", "logits"}; exit 1 beyond the bounds. Ids and images
    /// are taken from it unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// Compute the f32 reference path instead of what serving runs.
    #[arg(long)]
    pub(crate) exact: bool,
    /// Threads that share the work; without it, one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Tokens fed in one step; without it, all at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) chunk: Option<u32>,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("weights").args(["model", "synthetic"]).required(true)))]
pub(crate) struct Bench {
    /// A Hugging Face folder or a GGUF file.
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
    /// Random weights in the shape of phi-4-mini-awq, mistral-7b-awq, qwen2.5-coder-1.5b-awq, aya-8b-awq
    /// or gemma-3-27b-bf16; with :LAYERS behind it, of so many layers.
    #[arg(long, value_name = "SHAPE")]
    pub(crate) synthetic: Option<signalbox_engine::Synthetic>,
    /// Tokens of the prompt.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) prompt: u32,
    /// Tokens to generate, of each sequence.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) generate: u32,
    /// Tokens before those that are generated.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) context: u32,
    /// Sequences that are generated together, as in 1,4,8.
    #[arg(long, value_name = "N", default_values_t = [1], value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) batch: Vec<u16>,
    /// Times that everything is measured; medians are printed.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) repeat: u16,
    /// Threads that share the work; without it, one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Roofline {
    /// Threads that measure together; without it, one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a running host answers clients.
#[derive(Debug, Args)]
pub(crate) struct DataPlane {
    /// Where the host answers clients.
    #[arg(long, env = "SIGNALBOX_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The client's key, where the host wants one.
    #[arg(long, env = "SIGNALBOX_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) plane: AdminPlane,
    /// For scripts.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) plane: DataPlane,
    /// The expert to ask; "auto" lets the router choose.
    #[arg(long, default_value = "auto")]
    pub(crate) model: String,
    /// Begin with this instruction.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How freely to choose words: 0 always takes the likeliest; up to 2.
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Show this image (PNG, JPEG, WebP) with the first message; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// What to say; without it, lines are read until the end of input.
    pub(crate) message: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Experts {
    #[command(subcommand)]
    pub(crate) command: ExpertsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExpertsCommand {
    /// Every expert: where it stands, what it is, what it did.
    List {
        #[command(flatten)]
        plane: DataPlane,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Load an expert into memory.
    Load(Lever),
    /// Free the memory of an idle expert.
    Unload(Lever),
    /// Keep an expert in memory whatever else is loaded.
    Pin(Lever),
    /// Let an expert be sent away again.
    Unpin(Lever),
}

/// Something that operators do with one expert.
#[derive(Debug, Args)]
pub(crate) struct Lever {
    /// The expert.
    pub(crate) expert: String,
    #[command(flatten)]
    pub(crate) plane: AdminPlane,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
