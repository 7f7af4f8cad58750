//! `unet-vol --version --verbose`: what this build reads and runs.

use crate::output;

/// True when the command line asks for nothing but the version at length.
pub(crate) fn is_asked(mut arguments: impl Iterator<Item = String>) -> bool {
    let (mut version, mut verbose) = (false, false);
    let all = arguments.all(|argument| match argument.as_str() {
        "-V" | "--version" => {
            version = true;
            true
        }
        "-v" | "--verbose" => {
            verbose = true;
            true
        }
        _ => false,
    });
    all && version && verbose
}

pub(crate) fn print() {
    output::data(concat!("unet-vol ", env!("CARGO_PKG_VERSION")));
    let mut rows = vec![row("formats", "NIfTI-1, NIfTI-2 (.nii, .nii.gz, .hdr and .img)".to_owned())];
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
        let asked = |line: &str| super::is_asked(line.split_whitespace().map(str::to_owned));
        assert!(asked("--version -v") && asked("-v -V") && asked("--verbose --version"));
        assert!(!asked("--version") && !asked("-v") && !asked("info x -v --version") && !asked(""));
    }
}
