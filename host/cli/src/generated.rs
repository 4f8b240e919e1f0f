//! What is made from the command line's own description: completions for shells, and the manual page.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
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
    for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
        let page = clap_mangen::Man::new(command.clone());
        text.extend(format!(".SH \"SIGNALBOX {}\"\n", command.get_name().to_uppercase()).bytes());
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        if command.has_subcommands() {
            page.render_subcommands_section(&mut text)?;
        }
    }
    Ok(text)
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
        for part in [".TH signalbox", "SIGNALBOX CHAT", "SIGNALBOX POLICY", "temperature"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
