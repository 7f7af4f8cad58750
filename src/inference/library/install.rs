//! Fetching a runtime library: `pip download` of one pinned wheel, checked by its SHA-256, of which only the libraries
//! are unpacked into the user's cache. Python is needed for the download only.

use std::ffi::OsStr;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::Serialize;

use super::pins::{self, Pin};
use super::{Runtime, folders, inspect};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{self, Overwrite};
use crate::limits::MIB;

/// More than any pinned wheel holds unpacked (the CUDA build: 600 MB).
const MAX_UNPACKED_BYTES: u64 = 1024 * MIB;

/// What can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Package {
    /// ONNX Runtime for processors.
    Cpu,
    /// ONNX Runtime with CUDA; needs an NVIDIA driver, CUDA and cuDNN besides.
    Cuda,
    /// OpenVINO.
    OpenVino,
}

impl Package {
    /// The library in this package.
    #[must_use]
    pub fn runtime(self) -> Runtime {
        match self {
            Self::Cpu | Self::Cuda => Runtime::OnnxRuntime,
            Self::OpenVino => Runtime::OpenVino,
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::OpenVino => "openvino",
        })
    }
}

impl FromStr for Package {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Cpu, Self::Cuda, Self::OpenVino]
            .into_iter()
            .find(|package| package.to_string() == text)
            .ok_or_else(|| Error::usage(format!("`{text}` is no runtime package: cpu, openvino or cuda")))
    }
}

/// What an installation is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The wheel is being downloaded.
    Downloading {
        /// Project in the package index.
        project: &'a str,
        /// Its version.
        version: &'a str,
    },
    /// The wheel's SHA-256 is being computed.
    Verifying,
    /// A file is being unpacked.
    Unpacking {
        /// Its name.
        file: &'a str,
    },
}

/// An installed library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Installed {
    /// What was asked for.
    pub package: Package,
    /// Version of the library.
    pub version: String,
    /// The library to open.
    pub library: PathBuf,
    /// SHA-256 of the wheel it came from.
    pub wheel_sha256: String,
}

/// Downloads the pinned wheel of `package` for this machine and unpacks its libraries into the user's cache, in one
/// step: an installation that fails leaves what was there before.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when no wheel is known for this system and processor; [`ErrorKind::Model`] when Python or
/// pip is missing, the download fails or its SHA-256 is another; [`ErrorKind::Output`] when the cache cannot be written.
pub fn install(package: Package, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Installed> {
    let pin = pins::for_this_machine(package).ok_or_else(|| {
        let machine = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Error::unsupported(format!("no build of {} ({package}) is known for {machine}", package.runtime()))
            .hint(format!("install the library by other means; {}", package.runtime().advice()))
    })?;
    let cache = folders::cache()
        .ok_or_else(|| Error::model("this user has no cache folder").hint("set HOME or XDG_CACHE_HOME"))?
        .join("runtimes");
    fs::make_dir(&cache)?;
    let scratch = fs::temporary_folder(&cache)?;
    progress(Progress::Downloading { project: pin.project, version: pin.version });
    let wheel = download(pin, scratch.path())?;
    progress(Progress::Verifying);
    let wheel_sha256 = fs::sha256(&wheel)?;
    if wheel_sha256 != pin.sha256 {
        let message = format!("the download has SHA-256 {wheel_sha256}, not {} as pinned", pin.sha256);
        return Err(Error::model(message).at(&wheel));
    }
    let unpacked = scratch.path().join("unpacked");
    fs::make_dir(&unpacked)?;
    unpack(pin, &wheel, &unpacked, progress)?;
    let target = cache.join(pin.folder());
    fs::replace_folder(&unpacked, &target)?;
    let library = super::usable(package.runtime(), &target)?;
    inspect::check(package.runtime(), &library)?;
    Ok(Installed { package, version: pin.version.into(), library, wheel_sha256 })
}

/// Runs `pip download` for one wheel; pip checks the hash too.
fn download(pin: &Pin, folder: &Path) -> Result<PathBuf> {
    let python = python()?;
    let requirements = folder.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", pin.project, pin.version, pin.sha256);
    fs::write_atomic(&requirements, Overwrite::Refuse, |out| {
        out.write_all(line.as_bytes()).map_err(|e| fs::unwritable(&requirements, e))
    })?;
    let options = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"];
    let wheel = ["--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", pins::PYTHON];
    let out = Command::new(python)
        .args(options)
        .args(wheel)
        .args(["--platform", pin.platform])
        .args([OsStr::new("--requirement"), requirements.as_os_str(), OsStr::new("--dest"), folder.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::model(format!("{python} cannot be run")).because(e))?;
    if !out.status.success() {
        return Err(Error::model(format!(
            "pip could not download {} {}: {}",
            pin.project,
            pin.version,
            complaint(&out.stderr)
        ))
        .hint("check the network, the proxy and pip's index settings (`pip config list`)"));
    }
    fs::list(folder)?
        .into_iter()
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .ok_or_else(|| Error::model("pip ended well but left no wheel").at(folder))
}

/// What pip complains about: its lines that begin with `ERROR`, or the last line.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let errors: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("ERROR: ")).map(str::trim).collect();
    match errors.as_slice() {
        [] => text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason").trim().into(),
        _ => errors.join("; "),
    }
}

/// The first Python with pip on the search path.
fn python() -> Result<&'static str> {
    let has_pip = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["python3", "python", "py"].into_iter().find(has_pip).ok_or_else(|| {
        Error::model("no Python 3 with pip was found, which the download needs (running needs none)").hint(
            "install Python 3 with pip (on Debian: `apt install python3-pip`), or fetch the library by other means and \
             name it with --onnxruntime PATH or --openvino PATH",
        )
    })
}

/// Writes the needed members of a wheel flat into `folder`.
fn unpack(pin: &Pin, wheel: &Path, folder: &Path, progress: &mut dyn FnMut(Progress<'_>)) -> Result<()> {
    let broken =
        |e: zip::result::ZipError| Error::model("the wheel is not a readable zip archive").at(wheel).because(e);
    let mut archive = zip::ZipArchive::new(fs::open(wheel)?).map_err(broken)?;
    let mut room = MAX_UNPACKED_BYTES;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(broken)?;
        let Some(path) = member.enclosed_name() else { continue };
        let name = path.to_string_lossy().replace('\\', "/");
        let Some(file) = path.file_name().and_then(OsStr::to_str).filter(|_| member.is_file() && pin.needs(&name))
        else {
            continue;
        };
        progress(Progress::Unpacking { file });
        let target = folder.join(file);
        fs::write_atomic(&target, Overwrite::Refuse, |out| {
            let written = std::io::copy(&mut member.by_ref().take(room.saturating_add(1)), out);
            let written = written.map_err(|e| fs::unwritable(&target, e))?;
            room = room.checked_sub(written).ok_or_else(|| {
                Error::new(ErrorKind::Limit, format!("the wheel unpacks to more than {MAX_UNPACKED_BYTES} bytes"))
                    .at(wheel)
            })?;
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_of_pip_is_one_line() {
        let stderr = b"WARNING: x\nERROR: Could not find a version (from versions: none)\nERROR: No match\n\n";
        assert_eq!(complaint(stderr), "Could not find a version (from versions: none); No match");
        assert_eq!(complaint(b"Traceback\nOSError: no space\n\n"), "OSError: no space");
        assert_eq!(complaint(b""), "it gave no reason");
    }

    #[test]
    fn only_the_needed_members_leave_a_wheel_and_none_leaves_the_folder() {
        let Some(pin) = pins::for_this_machine(Package::Cpu) else { return };
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("w.whl");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&wheel).unwrap());
        let library = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        for name in
            [&format!("onnxruntime/capi/{library}"), "../onnxruntime/capi/libonnxruntime.so.9", "onnxruntime/a.py"]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        unpack(pin, &wheel, &out, &mut |_| ()).unwrap();
        assert_eq!(fs::list(&out).unwrap(), [out.join(library)]);
        assert_eq!(fs::list(folder.path()).unwrap().len(), 2);
    }
}
