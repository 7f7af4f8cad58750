//! `unet-vol --version --verbose`: what this build reads and runs.

use std::ffi::OsString;

use super::output;

/// True when the command line asks for nothing but the version at length.
pub(crate) fn is_asked(arguments: &[OsString]) -> bool {
    let is_one = |argument: &OsString, names: [&str; 2]| names.iter().any(|name| argument == name);
    let is_version = |argument: &OsString| is_one(argument, ["-V", "--version"]);
    let is_verbose = |argument: &OsString| is_one(argument, ["-v", "--verbose"]);
    let given = arguments.get(1..).unwrap_or_default();
    given.iter().all(|argument| is_version(argument) || is_verbose(argument))
        && given.iter().any(is_version)
        && given.iter().any(is_verbose)
}

pub(crate) fn print() {
    output::data(concat!("unet-vol ", env!("CARGO_PKG_VERSION")));
    let mut rows =
        vec![row("formats", "NIfTI-1, NIfTI-2 (.nii, .nii.gz, .hdr and .img); PNG, TIFF, JPEG (grey)".to_owned())];
    let engines = [
        (cfg!(feature = "embedded"), "embedded"),
        (cfg!(feature = "onnxruntime"), "onnxruntime (opened at run time)"),
        (cfg!(feature = "openvino"), "openvino (opened at run time)"),
    ];
    let engines: Vec<_> = engines.into_iter().filter_map(|(is_in, name)| is_in.then_some(name)).collect();
    #[cfg(feature = "dicom")]
    for syntax in unet_vol::formats::dicom::TRANSFER_SYNTAXES {
        let state = if syntax.is_decoded() { "" } else { ", not decoded" };
        rows.push(row("DICOM", format!("{} ({}){state}", syntax.name, syntax.uid)));
    }
    rows.push(row("engines", engines.join(", ")));
    output::data(output::table(&rows));
}

fn row(key: &str, value: String) -> Vec<String> {
    vec![key.to_owned(), value]
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_but_version_and_verbose_counts() {
        let asked = |line: &str| super::is_asked(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        assert!(asked("unet-vol --version -v") && asked("unet-vol -v -V") && asked("unet-vol --verbose --version"));
        assert!(!asked("unet-vol --version") && !asked("unet-vol -v") && !asked("unet-vol info -v --version"));
    }
}
