//! What a library file is, found by reading it: kind of file, entry point, version, SHA-256.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Runtime;
use super::record::{read_record, write_record};
use crate::error::{Error, Result};
use crate::fs;

/// Larger than any known runtime library (CUDA providers have 300 MB).
const MAX_LIBRARY_BYTES: u64 = 2 << 30;

/// What was read from a file, kept in the cache under its path while size and time of change stay the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inspection {
    bytes: u64,
    modified: u64,
    sha256: String,
    shared_library: bool,
    exports: Vec<String>,
    version: Option<String>,
}

/// Refuses a file that cannot be the library of `runtime`.
///
/// # Errors
/// [`crate::ErrorKind::Model`] for a file that is no shared library of this platform, another library, or too old.
pub(super) fn check(runtime: Runtime, path: &Path) -> Result<()> {
    let found = inspect(path)?;
    if !found.shared_library {
        let message =
            format!("this is not a whole shared library for {} {}", std::env::consts::OS, std::env::consts::ARCH);
        return Err(Error::model(message).at(path));
    }
    if !found.exports.iter().any(|name| name == runtime.entry_point()) {
        let message = format!("this is not {runtime}: it does not export `{}`", runtime.entry_point());
        return Err(Error::model(message).at(path));
    }
    match found.version {
        Some(version) if numbers(&version) < numbers(runtime.oldest()) => {
            Err(Error::model(too_old(runtime, &version)).at(path))
        }
        _ => Ok(()),
    }
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// The sentence for a library that does not serve any more.
pub(crate) fn too_old(runtime: Runtime, found: &str) -> String {
    format!("this is {runtime} {found}, but {} or newer is needed", runtime.oldest())
}

/// Version of a library as its file says it, such as `1.32.0`.
#[cfg(feature = "onnxruntime")]
pub(crate) fn version(path: &Path) -> Option<String> {
    inspect(path).ok()?.version
}

/// SHA-256 of the library and those of its companions that compute, when they lie beside it.
///
/// One file: its hash. Several: the hash of the lines `<sha256>  <file name>\n` sorted by name, as
/// `sha256sum FILES | sha256sum` prints it.
///
/// # Errors
/// As for reading the files.
pub(crate) fn fingerprint(runtime: Runtime, library: &Path, accelerated: bool) -> Result<String> {
    let mut files = companions(library, runtime.companions(accelerated))?;
    files.push(library.to_owned());
    files.sort();
    let hashes = files.iter().map(|path| inspect(path).map(|found| found.sha256)).collect::<Result<Vec<_>>>()?;
    let [one] = hashes.as_slice() else {
        let lines = hashes
            .iter()
            .zip(&files)
            .map(|(hash, path)| format!("{hash}  {}\n", path.file_name().unwrap_or_default().to_string_lossy()));
        return Ok(fs::sha256_of(lines.collect::<String>().as_bytes()));
    };
    Ok(one.clone())
}

/// True when the parts that compute with CUDA lie beside this ONNX Runtime.
pub(crate) fn brings_cuda(library: &Path) -> bool {
    companions(library, Runtime::OnnxRuntime.companions(true)).is_ok_and(|found| !found.is_empty())
}

/// The files beside a library that go by one of these names.
fn companions(library: &Path, stems: &[&str]) -> Result<Vec<PathBuf>> {
    let (Some(folder), false) = (library.parent(), stems.is_empty()) else { return Ok(Vec::new()) };
    let is_companion = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_prefix(std::env::consts::DLL_PREFIX).unwrap_or(&name);
        path != library && stems.iter().any(|stem| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')))
    };
    Ok(fs::list(folder)?.into_iter().filter(is_companion).collect())
}

fn inspect(path: &Path) -> Result<Inspection> {
    let key = path.to_string_lossy();
    let (bytes, modified) = (fs::size(path)?, fs::modified(path)?);
    if let Some(known) = read_record::<Inspection>("libraries", &key)
        && (known.bytes, known.modified) == (bytes, modified)
        && modified > 0
    {
        return Ok(known);
    }
    let content = fs::read(path, MAX_LIBRARY_BYTES)?;
    let exports = [Runtime::OnnxRuntime, Runtime::OpenVino].map(Runtime::entry_point);
    let found = Inspection {
        bytes,
        modified,
        sha256: fs::sha256_of(&content),
        shared_library: is_shared_library(&content),
        exports: exports.iter().filter(|name| find(&content, name.as_bytes()).is_some()).map(|&n| n.into()).collect(),
        version: version_of(path, &content),
    };
    // Without a cache the file is read again next time.
    write_record("libraries", &key, &found).ok();
    Ok(found)
}

fn find(content: &[u8], needle: &[u8]) -> Option<usize> {
    content.windows(needle.len()).position(|window| window == needle)
}

/// True for a dynamic library of this system and processor (ELF gABI, Mach-O, PE/COFF headers).
fn is_shared_library(content: &[u8]) -> bool {
    let word = |at: usize| content.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let long = |at: usize| content.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let (elf, mach, coff) = match std::env::consts::ARCH {
        "x86_64" => (62, 0x0100_0007, 0x8664),
        "aarch64" => (183, 0x0100_000c, 0xaa64),
        _ => return true,
    };
    match std::env::consts::OS {
        "windows" => {
            let header = long(0x3c).and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
            content.starts_with(b"MZ") && header.checked_add(4).and_then(word) == Some(coff)
        }
        "macos" => long(0) == Some(0xfeed_facf) && long(4) == Some(mach) || long(0) == Some(0xbeba_feca),
        _ => {
            content.starts_with(b"\x7fELF\x02\x01")
                && (word(16), word(18)) == (Some(3), Some(elf))
                && elf_is_whole(content).unwrap_or(false)
        }
    }
}

/// True when every segment of a 64-bit little-endian ELF file lies in the file: the system's loader does not survive
/// one that was cut off.
fn elf_is_whole(content: &[u8]) -> Option<bool> {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = content.get(at..at.checked_add(bytes)?)?;
        field.iter().rev().try_fold(0_usize, |n, &byte| n.checked_mul(256)?.checked_add(byte.into()))
    };
    let (table, entry, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let inside = |index: usize| -> Option<bool> {
        let at = table.checked_add(index.checked_mul(entry)?)?;
        Some(number(at + 8, 8)?.checked_add(number(at + 32, 8)?)? <= content.len())
    };
    Some((0..count).all(|index| inside(index).unwrap_or(false)))
}

/// The version in the file's name, in its ELF symbol version (`VERS_1.32.0`), or in its Windows version resource.
fn version_of(path: &Path, content: &[u8]) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let number = |text: &str| -> Option<String> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let version = text[..end].trim_matches('.');
        (version.split('.').count() >= 3).then(|| version.to_owned())
    };
    let after = |marker: &[u8], step: usize| -> Option<String> {
        let start = find(content, marker)? + marker.len();
        let text: Vec<u8> = content.get(start..)?.iter().step_by(step).take(32).copied().filter(|&b| b > 0).collect();
        number(&String::from_utf8_lossy(&text))
    };
    let resource: Vec<u8> = "ProductVersion".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let in_name = name.find(|c: char| c.is_ascii_digit()).and_then(|at| number(&name[at..]));
    in_name.or_else(|| after(b"VERS_", 1)).or_else(|| after(&resource, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names_symbols_and_resources() {
        let none: &[u8] = b"";
        assert_eq!(version_of(Path::new("libonnxruntime.so.1.32.0"), none).as_deref(), Some("1.32.0"));
        assert_eq!(version_of(Path::new("libonnxruntime.1.32.0.dylib"), none).as_deref(), Some("1.32.0"));
        assert_eq!(version_of(Path::new("libopenvino_c.so.2641"), none), None);
        let elf = b"..\0VERS_1.24.1\0OrtGetApiBase";
        assert_eq!(version_of(Path::new("libonnxruntime.so"), elf).as_deref(), Some("1.24.1"));
        let dll: Vec<u8> = "ProductVersion\0\u{31}.32.0.20261112\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(version_of(Path::new("onnxruntime.dll"), &dll).as_deref(), Some("1.32.0.20261112"));
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn foreign_old_and_fitting_libraries_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        let verdict = |text: &str| {
            let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0".to_vec();
            header.resize(64, 0);
            std::fs::write(&path, [&header, text.as_bytes()].concat()).unwrap();
            check(Runtime::OnnxRuntime, &path).map_err(|error| error.message().to_owned())
        };
        assert_eq!(verdict("OrtGetApiBase\0VERS_1.24.0\0"), Ok(()));
        assert_eq!(verdict("OrtGetApiBase\0"), Ok(()));
        let old = verdict("OrtGetApiBase\0VERS_1.20.1\0").unwrap_err();
        assert_eq!(old, "this is ONNX Runtime 1.20.1, but 1.24 or newer is needed");
        assert!(verdict("deflate\0").unwrap_err().contains("does not export `OrtGetApiBase`"));
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(elf_is_whole(&program), Some(true));
        assert_eq!(elf_is_whole(&program[..program.len() / 16]), Some(false));
        assert_eq!(elf_is_whole(&program[..40]), None);
    }

    #[test]
    fn several_files_have_the_hash_of_their_listing() {
        let folder = tempfile::tempdir().unwrap();
        let named = |stem: &str| format!("{}{stem}.so.1", std::env::consts::DLL_PREFIX);
        let main = folder.path().join(named("onnxruntime"));
        std::fs::write(&main, "a").unwrap();
        std::fs::write(folder.path().join(named("onnxruntime_providers_cuda_extra")), "not meant").unwrap();
        let hash = |accelerated| fingerprint(Runtime::OnnxRuntime, &main, accelerated).unwrap();
        assert_eq!((hash(false), hash(true)), (fs::sha256_of(b"a"), fs::sha256_of(b"a")));
        assert!(!brings_cuda(&main));
        let cuda = named("onnxruntime_providers_cuda");
        std::fs::write(folder.path().join(&cuda), "b").unwrap();
        let (a, b) = (fs::sha256_of(b"a"), fs::sha256_of(b"b"));
        let listing = format!("{a}  {}\n{b}  {cuda}\n", named("onnxruntime"));
        assert_eq!((hash(false), hash(true)), (a, fs::sha256_of(listing.as_bytes())));
        assert!(brings_cuda(&main));
    }
}
