//! What is made from the command line's own description: completions for shells, and the manual page.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::{args::Cli, output};

/// Prints what a shell needs to complete commands and options.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode> {
    Ok(printed(&completion(shell)))
}

fn completion(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "signalbox", &mut text);
    text
}

/// Prints the manual page: the program's, and behind it that of every command.
pub(crate) fn man() -> Result<ExitCode> {
    Ok(printed(&page()?))
}

fn page() -> Result<Vec<u8>> {
    let mut whole = Cli::command();
    whole.build();
    let mut text = Vec::new();
    clap_mangen::Man::new(whole.clone()).render(&mut text)?;
    render_commands(&whole, &mut text)?;
    Ok(text)
}

/// The sections of all commands below one.
fn render_commands(above: &Command, text: &mut Vec<u8>) -> Result<()> {
    for command in above.get_subcommands().filter(|command| command.get_name() != "help") {
        let page = clap_mangen::Man::new(command.clone());
        let name = command.get_bin_name().unwrap_or(command.get_name());
        text.extend(format!(".SH \"{}\"\n", name.to_uppercase()).bytes());
        page.render_synopsis_section(text)?;
        page.render_description_section(text)?;
        page.render_options_section(text)?;
        render_commands(command, text)?;
    }
    Ok(())
}

fn printed(text: &[u8]) -> ExitCode {
    output::out(format_args!("{}", String::from_utf8_lossy(text)));
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_completions_of_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(completion(shell)).unwrap();
            for command in ["serve", "policy", "deactivate", "completions"] {
                assert!(text.contains(command), "{shell}: {command}");
            }
        }
    }

    #[test]
    fn the_manual_page_has_every_command_with_its_options() {
        let text = String::from_utf8(page().unwrap()).unwrap();
        let commands = ["SIGNALBOX CHAT", "SIGNALBOX POLICY", "SIGNALBOX POLICY PUSH"];
        for part in [".TH signalbox", "temperature", "activate"].into_iter().chain(commands) {
            assert!(text.contains(part), "{part}");
        }
    }
}
