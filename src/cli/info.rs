//! `unet-vol info`

use std::path::PathBuf;

use clap::Args;
use unet_vol::Result;
use unet_vol::formats;

use crate::exit::Exit;
use crate::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file.
    path: PathBuf,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    let probe = formats::probe(&arguments.path)?;
    if arguments.json {
        output::json(&probe)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = probe.rows().into_iter().map(|(key, value)| vec![key.to_owned(), output::escaped(&value)]).collect();
    output::data(output::table(&rows));
    output::warnings(verbosity, &probe.warnings);
    Ok(Exit::Done)
}
