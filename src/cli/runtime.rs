//! `unet-vol runtime`

use clap::{Args, Subcommand};
use unet_vol::Result;
use unet_vol::inference::library::{Package, Progress, install};
use unet_vol::inference::survey;

use super::arguments::EngineArguments;
use super::exit::Exit;
use super::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,

    #[command(flatten)]
    engine: EngineArguments,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Put a library into this user's cache, by way of `pip download`, pinned by version and SHA-256.
    Install {
        /// cpu (ONNX Runtime), openvino, or cuda (ONNX Runtime with CUDA).
        #[arg(default_value = "cpu")]
        package: Package,
    },
}

pub(crate) fn run(arguments: Arguments, verbosity: Verbosity) -> Result<Exit> {
    if let Some(Action::Install { package }) = arguments.command {
        let installed = install(package, &mut |progress| match progress {
            Progress::Downloading { project, version } => {
                output::say(verbosity, format!("downloading {project} {version}"));
            }
            Progress::Verifying => output::say(verbosity, "checking its SHA-256"),
            Progress::Unpacking { file } => output::say(verbosity, format!("unpacking {file}")),
        })?;
        if arguments.json {
            output::json(&installed)?;
        } else {
            output::data(format!("{} {}: {}", installed.package, installed.version, installed.library.display()));
        }
        return Ok(Exit::Done);
    }
    let engines = survey(&arguments.engine.options());
    if arguments.json {
        output::json(&engines)?;
        return Ok(Exit::Done);
    }
    let mut rows = vec![["engine", "version", "devices", ""].map(str::to_owned).to_vec()];
    for engine in &engines {
        let version = engine.version.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![engine.engine.to_string(), version, engine.devices.join(", "), engine.summary.clone()]);
    }
    output::data(output::table(&rows));
    for engine in &engines {
        if let Some(library) = &engine.library {
            output::data(format!("{}: {}", engine.engine, output::escaped(&library.display().to_string())));
        }
        for place in engine.passed_over.iter().filter(|_| verbosity == Verbosity::Verbose) {
            output::data(format!("{}: looked in {}: {}", engine.engine, place.origin, place.reason));
        }
    }
    Ok(Exit::Done)
}
