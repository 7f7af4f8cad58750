//! The command line program: what was typed becomes one library call; nothing else happens here.
//!
//! Its files name the library as any other user would, `unet_vol::...`, and its public items only.

mod arguments;
mod batch;
mod completions;
mod convert;
mod evaluate;
mod exit;
mod info;
mod models;
mod output;
mod progress;
mod runtime;
mod segment;
mod size;
#[cfg(feature = "dicom")]
mod triage;
mod version;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use unet_vol::Result;

use exit::Exit;
use output::Verbosity;

/// Turns a scan into a label volume, on exactly the scan's grid.
///
/// For research only; not a medical device.
#[derive(Debug, Parser)]
#[command(name = "unet-vol", version, after_help = exit::TABLE, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Say less: errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more; twice for the log of the libraries below.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Segment a study: files in, a label volume out.
    Segment(Box<segment::Arguments>),
    /// Segment every study in a folder of NIfTI and DICOM files, unattended.
    Batch(Box<batch::Arguments>),
    /// Say what a file holds, from its header.
    Info(info::Arguments),
    /// Rewrite a volume: other orientation, spacing or type.
    Convert(convert::Arguments),
    /// Compare label volumes with a reference.
    Evaluate(evaluate::Arguments),
    /// List, show, verify and describe models.
    Models(models::Arguments),
    /// Show and install the libraries that run networks.
    Runtime(runtime::Arguments),
    /// Write completions for a shell, or the manual page.
    Completions(completions::Arguments),
}

fn run(cli: Cli) -> Result<Exit> {
    let verbosity = match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        _ => Verbosity::Verbose,
    };
    start_log(cli.verbose);
    match cli.command {
        Command::Segment(arguments) => segment::run(&arguments, verbosity),
        Command::Batch(arguments) => batch::run(&arguments, verbosity),
        Command::Info(arguments) => info::run(&arguments, verbosity),
        Command::Convert(arguments) => convert::run(&arguments, verbosity),
        Command::Evaluate(arguments) => evaluate::run(&arguments, verbosity),
        Command::Models(arguments) => models::run(arguments, verbosity),
        Command::Runtime(arguments) => runtime::run(arguments, verbosity),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// The libraries' log on stderr, from `-vv` on.
fn start_log(verbose: u8) {
    if verbose >= 2 {
        let level = if verbose == 2 { tracing::Level::INFO } else { tracing::Level::TRACE };
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).init();
    }
}

/// Runs the program and returns its exit code; once per process, since it takes Ctrl-C and the log over.
///
/// `arguments` begin with the name of the program, as those of the operating system do.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if version::is_asked(&arguments) {
        version::print();
        return Exit::Done as u8;
    }
    let exit = match Cli::try_parse_from(arguments) {
        Ok(cli) => run(cli),
        Err(refusal) => {
            // There is nobody left to tell when the terminal is gone.
            let _ = refusal.print();
            return if refusal.use_stderr() { Exit::Usage } else { Exit::Done } as u8;
        }
    };
    exit.unwrap_or_else(|error| {
        output::error(&error);
        Exit::from(&error)
    }) as u8
}
