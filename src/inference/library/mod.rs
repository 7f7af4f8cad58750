//! Runtime libraries on this machine: where they are looked for, what they are, how one is installed.
//!
//! Nothing here opens a library: a file is only read, so that a foreign one can be named without running its code.

mod folders;
mod inspect;
mod install;
mod pins;
mod record;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::fs;

pub use folders::set_python_packages;
pub(crate) use folders::{has_nvidia_driver, processor};
#[cfg(any(feature = "onnxruntime", feature = "openvino"))]
pub(crate) use inspect::too_old;
#[cfg(feature = "onnxruntime")]
pub(crate) use inspect::version;
pub(crate) use inspect::{brings_cuda, fingerprint};
pub use install::{Installed, Package, Progress, install};
pub(crate) use record::{read_record, write_record};

/// A library that is opened at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Runtime {
    /// ONNX Runtime.
    OnnxRuntime,
    /// OpenVINO.
    OpenVino,
}

impl Runtime {
    /// Name without the platform's prefix and suffix.
    fn stem(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::OpenVino => "openvino_c",
        }
    }

    /// A function that every such library exports.
    fn entry_point(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "OrtGetApiBase",
            Self::OpenVino => "ov_get_openvino_version",
        }
    }

    /// Parts beside the library itself that compute; they belong to its fingerprint.
    fn companions(self, accelerated: bool) -> &'static [&'static str] {
        match self {
            Self::OnnxRuntime if accelerated => &["onnxruntime_providers_cuda"],
            Self::OnnxRuntime => &[],
            Self::OpenVino => {
                &["openvino", "openvino_onnx_frontend", "openvino_intel_cpu_plugin", "openvino_arm_cpu_plugin"]
            }
        }
    }

    /// The oldest version that serves.
    pub(crate) fn oldest(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "1.24",
            Self::OpenVino => "2025.1",
        }
    }

    /// The variable that names a library.
    fn variable(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "ORT_DYLIB_PATH",
            Self::OpenVino => "UNET_VOL_OPENVINO",
        }
    }

    /// What to do when there is none.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "run `unet-vol runtime install cpu`, or name a library with --onnxruntime PATH",
            Self::OpenVino => "run `unet-vol runtime install openvino`, or name a library with --openvino PATH",
        }
    }

    /// True for the file names that this library goes by on this platform.
    fn is_named(self, file: &str) -> bool {
        let prefix = format!("{}{}", std::env::consts::DLL_PREFIX, self.stem());
        let Some(rest) = file.strip_prefix(prefix.as_str()) else { return false };
        let suffix = std::env::consts::DLL_SUFFIX;
        let numbers = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
        rest.strip_prefix(suffix).is_some_and(numbers) || rest.strip_suffix(suffix).is_some_and(numbers)
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnnxRuntime => "ONNX Runtime",
            Self::OpenVino => "OpenVINO",
        })
    }
}

/// Where a library was looked for; in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// The path that the caller gave.
    Option,
    /// `ORT_DYLIB_PATH` or `UNET_VOL_OPENVINO`.
    Environment,
    /// What [`install`] put into this user's cache.
    Cache,
    /// The folder of the running program.
    BesideProgram,
    /// The package of the active Python environment (`VIRTUAL_ENV`, `CONDA_PREFIX`).
    Python,
    /// The system's library folders.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "the path given",
            Self::Environment => "the environment variable",
            Self::Cache => "the cache of unet-vol",
            Self::BesideProgram => "the folder of the program",
            Self::Python => "the active Python environment",
            Self::System => "the system's library folders",
        })
    }
}

/// A library file that looks right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// Where it was found.
    pub origin: Origin,
    /// The file, absolute and without links.
    pub path: PathBuf,
}

/// A place without a usable library, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PassedOver {
    /// Where it was looked for.
    pub origin: Origin,
    /// The file or folder; empty when the place does not exist for this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// One clause.
    pub reason: String,
}

/// What a search found: usable files in the order of preference, and the places that had none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Search {
    /// Files that look right, best first.
    pub candidates: Vec<Candidate>,
    /// Everything else that was looked at.
    pub passed_over: Vec<PassedOver>,
}

/// Looks for the library of `runtime`. A path in `named`, or else in the environment variable, is the only place then:
/// what is named is used or refused.
///
/// `accelerated` prefers the CUDA build among our own installations.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when a named path holds no such library.
pub(crate) fn search(runtime: Runtime, named: Option<&Path>, accelerated: bool) -> Result<Search> {
    let named = match named {
        Some(path) => Some((Origin::Option, path.to_owned())),
        None => folders::variable(runtime.variable()).map(|path| (Origin::Environment, path)),
    };
    let mut out = Search::default();
    if let Some((origin, path)) = named {
        let path = usable(runtime, &path).map_err(|error| match origin {
            Origin::Environment => error.hint(format!("change or unset {}", runtime.variable())),
            _ => error.hint(runtime.advice()),
        })?;
        out.candidates.push(Candidate { origin, path });
        return Ok(out);
    }
    for (origin, places) in folders::places(runtime, accelerated) {
        if places.is_empty() {
            out.passed_over.push(PassedOver { origin, path: None, reason: "there is no such place".into() });
        }
        for folder in places {
            match usable(runtime, &folder) {
                Ok(path) if out.candidates.iter().any(|c| c.path == path) => {}
                Ok(path) => out.candidates.push(Candidate { origin, path }),
                Err(error) => {
                    let path = error.path().map_or(folder, Path::to_owned);
                    out.passed_over.push(PassedOver { origin, path: Some(path), reason: error.message().into() });
                }
            }
        }
    }
    Ok(out)
}

/// The library at `path`, or in it when it is a folder.
fn usable(runtime: Runtime, path: &Path) -> Result<PathBuf> {
    let file = if fs::is_dir(path) { newest(runtime, path)? } else { path.to_owned() };
    if !fs::exists(&file) {
        return Err(Error::model(format!("{runtime} is not here")).at(path));
    }
    let file = fs::canonical(&file)?;
    inspect::check(runtime, &file)?;
    Ok(file)
}

/// The library of a folder; the highest version when there are several.
fn newest(runtime: Runtime, folder: &Path) -> Result<PathBuf> {
    let version = |path: &PathBuf| -> Vec<u32> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    fs::list(folder)?
        .into_iter()
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| runtime.is_named(name)))
        .max_by_key(version)
        .ok_or_else(|| Error::model(format!("{runtime} is not in this folder")).at(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_version_are_recognized_and_sisters_are_not() {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        for name in [format!("{prefix}onnxruntime{suffix}"), format!("{prefix}onnxruntime.1.32.0{suffix}")] {
            assert!(Runtime::OnnxRuntime.is_named(&name), "{name}");
        }
        assert!(Runtime::OnnxRuntime.is_named(&format!("{prefix}onnxruntime{suffix}.1.32.0")));
        assert!(!Runtime::OnnxRuntime.is_named(&format!("{prefix}onnxruntime_providers_shared{suffix}")));
        assert!(!Runtime::OpenVino.is_named(&format!("{prefix}openvino{suffix}.2641")));
    }

    #[test]
    fn a_named_path_without_a_library_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "not a library").unwrap();
        for (path, part) in [
            (folder.path().join("none.so"), "is not here"),
            (text, "is not a whole shared library"),
            (folder.path().join("nowhere"), "is not here"),
        ] {
            let error = search(Runtime::OnnxRuntime, Some(&path), false).unwrap_err();
            assert!(error.message().contains(part), "{error}");
            assert!(error.advice().unwrap().contains("runtime install cpu"));
        }
    }
}
