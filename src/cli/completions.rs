//! `unet-vol completions SHELL`, and the manual page.

use clap::{Args, CommandFactory};
use unet_vol::{Error, ErrorKind, Result};

use super::exit::Exit;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell, or `man` for the manual page.
    #[arg(value_enum)]
    target: Target,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Target {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    Man,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let mut command = super::Cli::command();
    let shell = match arguments.target {
        Target::Bash => clap_complete::Shell::Bash,
        Target::Elvish => clap_complete::Shell::Elvish,
        Target::Fish => clap_complete::Shell::Fish,
        Target::Powershell => clap_complete::Shell::PowerShell,
        Target::Zsh => clap_complete::Shell::Zsh,
        Target::Man => return manual(command),
    };
    clap_complete::generate(shell, &mut command, "unet-vol", &mut std::io::stdout());
    Ok(Exit::Done)
}

fn manual(command: clap::Command) -> Result<Exit> {
    clap_mangen::Man::new(command)
        .render(&mut std::io::stdout())
        .map_err(|e| Error::new(ErrorKind::Output, "the manual page cannot be written").because(e))?;
    Ok(Exit::Done)
}
