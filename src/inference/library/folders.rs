//! The places of this machine: environment variables, cache, program, Python, system; and which processor it has.

use std::env::{self, consts};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Origin, Runtime, pins};
use crate::fs;
use crate::limits::MIB;

/// A path from the environment; an empty value counts as unset.
pub(super) fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// This program's folder in the user's cache (`XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `LOCALAPPDATA`).
pub(super) fn cache() -> Option<PathBuf> {
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    let base = match consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => variable("XDG_CACHE_HOME").or_else(|| home("Library/Caches")),
        _ => variable("XDG_CACHE_HOME").or_else(|| home(".cache")),
    };
    base.filter(|path| path.is_absolute()).map(|path| path.join("unet-vol"))
}

/// The folders to look into after a named path, in order.
pub(super) fn places(runtime: Runtime, accelerated: bool) -> [(Origin, Vec<PathBuf>); 4] {
    let cache = cache().map(|cache| cache.join("runtimes"));
    let installed =
        cache.iter().flat_map(|cache| pins::folders(runtime, accelerated).map(|folder| cache.join(folder))).collect();
    let program = env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    [
        (Origin::Cache, installed),
        (Origin::BesideProgram, program.into_iter().collect()),
        (Origin::Python, python_packages(runtime)),
        (Origin::System, existing(system_folders())),
    ]
}

fn existing(folders: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    folders.into_iter().filter(|folder| fs::is_dir(folder)).collect()
}

/// Where the Python interpreter that this process runs in keeps its packages.
static PACKAGES: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Names the folders of the packages of the Python interpreter that this process runs in; they are looked into before
/// those of `VIRTUAL_ENV` and `CONDA_PREFIX`. The first call counts.
pub fn set_python_packages(folders: Vec<PathBuf>) {
    let _ = PACKAGES.set(folders);
}

/// The folders of the runtime's package in the active Python environments.
fn python_packages(runtime: Runtime) -> Vec<PathBuf> {
    let package = match runtime {
        Runtime::OnnxRuntime => "onnxruntime/capi",
        Runtime::OpenVino => "openvino/libs",
    };
    let roots = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
    let own = PACKAGES.get().into_iter().flatten().cloned();
    existing(own.chain(roots.flat_map(|root| site_packages(&root))).map(|folder| folder.join(package)))
}

fn site_packages(root: &Path) -> Vec<PathBuf> {
    let windows = root.join("Lib").join("site-packages");
    let is_python = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("python3"));
    let unix = fs::list(&root.join("lib")).unwrap_or_default().into_iter().filter(is_python);
    std::iter::once(windows).chain(unix.map(|path| path.join("site-packages"))).collect()
}

fn system_folders() -> Vec<PathBuf> {
    let (variable, fixed): (&str, &[&str]) = match consts::OS {
        "windows" => ("PATH", &[]),
        "macos" => ("DYLD_LIBRARY_PATH", &["/opt/homebrew/lib", "/usr/local/lib"]),
        _ => ("LD_LIBRARY_PATH", &["/usr/local/lib", "/usr/lib64", "/usr/lib"]),
    };
    let listed = env::var_os(variable).unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&listed).filter(|path| path.is_absolute()).collect();
    folders.extend(fixed.iter().map(PathBuf::from));
    if consts::OS == "linux" {
        folders.push(format!("/usr/lib/{}-linux-gnu", consts::ARCH).into());
    }
    folders
}

/// True when a driver for NVIDIA devices is installed.
pub(crate) fn has_nvidia_driver() -> bool {
    match consts::OS {
        "windows" => variable("SystemRoot").is_some_and(|root| fs::exists(&root.join("System32").join("nvcuda.dll"))),
        _ => fs::exists(Path::new("/dev/nvidiactl")),
    }
}

/// Name and vector units of the processor: results may change in the last digits when either does.
pub(crate) fn processor() -> String {
    let name = processor_name().unwrap_or_else(|| consts::ARCH.to_owned());
    format!("{name} [{}]", vector_units().join(" "))
}

fn processor_name() -> Option<String> {
    match consts::OS {
        "windows" => env::var("PROCESSOR_IDENTIFIER").ok(),
        "macos" => {
            let out = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
            String::from_utf8(out.stdout).ok().map(|name| name.trim().to_owned())
        }
        _ => {
            let text = String::from_utf8(fs::read(Path::new("/proc/cpuinfo"), 8 * MIB).ok()?).ok()?;
            let line = text.lines().find(|line| line.starts_with("model name") || line.starts_with("CPU part"))?;
            line.split_once(':').map(|(_, name)| name.trim().to_owned())
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn vector_units() -> Vec<&'static str> {
    let found = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    found.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_units() -> Vec<&'static str> {
    vec![consts::ARCH]
}
