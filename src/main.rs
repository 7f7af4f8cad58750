//! The program `unet-vol`.

use std::process::ExitCode;

fn main() -> ExitCode {
    unet_vol::cli::main(std::env::args_os()).into()
}
