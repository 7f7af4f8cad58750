//! What a file is, known by its first bytes and never by its name.

use std::path::Path;

use crate::error::{Error, Result};

/// Bytes that [`check_foreign`] wants to see: those of the longest header (NIfTI-2) with its extension flag.
pub(super) const HEAD: usize = 544;

/// A kind of file that is recognised and refused.
struct Foreign {
    what: &'static str,
    hint: &'static str,
    is: fn(&[u8]) -> bool,
}

const DECOMPRESS: &str = "decompress it first; only .nii.gz is read as it is";

/// Known kinds, the surest signature first.
const FOREIGN: &[Foreign] = &[
    Foreign {
        what: "a gzip file inside a gzip file",
        hint: "decompress it once with `gunzip`",
        is: |b| b.starts_with(&[0x1f, 0x8b]),
    },
    Foreign {
        what: "a DICOM file",
        hint: if cfg!(feature = "dicom") { DECOMPRESS } else { "convert the series with `dcm2niix -z y FOLDER`" },
        is: |b| b.get(128..132) == Some(b"DICM"),
    },
    Foreign {
        what: "a FreeSurfer MGH/MGZ volume",
        hint: "convert it with `mri_convert IN.mgz OUT.nii.gz`, or in Python: `nib.save(nib.Nifti1Image.from_image(\
               nib.load(IN)), OUT)`",
        is: is_mgh,
    },
    Foreign { what: "a NRRD volume", hint: CONVERT_ITK, is: |b| b.starts_with(b"NRRD000") },
    Foreign { what: "a MetaImage (.mha/.mhd)", hint: CONVERT_ITK, is: is_meta_image },
    Foreign {
        what: "a zip archive",
        hint: "unpack it and name the image inside",
        is: |b| b.starts_with(b"PK\x03\x04") || b.starts_with(b"PK\x05\x06"),
    },
    Foreign {
        what: "a tar archive",
        hint: "unpack it and name the image inside",
        is: |b| b.get(257..262) == Some(b"ustar"),
    },
    Foreign { what: "compressed with bzip2", hint: DECOMPRESS, is: |b| b.starts_with(b"BZh") },
    Foreign { what: "compressed with xz", hint: DECOMPRESS, is: |b| b.starts_with(b"\xfd7zXZ\0") },
    Foreign { what: "compressed with Zstandard", hint: DECOMPRESS, is: |b| b.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) },
    Foreign { what: "a 7-Zip archive", hint: DECOMPRESS, is: |b| b.starts_with(b"7z\xbc\xaf\x27\x1c") },
    Foreign { what: "a JPEG picture", hint: CONVERT_ITK, is: |b| b.starts_with(&[0xff, 0xd8, 0xff]) },
    Foreign {
        what: "an HDF5 file (MINC-2 among others)",
        hint: "convert a MINC volume with `mnc2nii IN OUT.nii`",
        is: |b| b.starts_with(b"\x89HDF\r\n\x1a\n"),
    },
    Foreign {
        what: "a NetCDF file (MINC-1 among others)",
        hint: "convert a MINC volume with `mnc2nii IN OUT.nii`",
        is: |b| b.starts_with(b"CDF\x01") || b.starts_with(b"CDF\x02"),
    },
    Foreign {
        what: "a NumPy array, which does not say where its voxels are",
        hint: "save it with its affine: `nib.save(nib.Nifti1Image(array, affine), OUT)`",
        is: |b| b.starts_with(b"\x93NUMPY"),
    },
];

const CONVERT_ITK: &str =
    "convert it with `SimpleITK.WriteImage(SimpleITK.ReadImage(IN), \"OUT.nii.gz\")`, 3D Slicer or ITK-SNAP";

/// Refuses what is recognised as another kind of file.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for a known kind, with the way to convert it;
/// [`crate::ErrorKind::Malformed`] for an empty file, a text or a Git LFS pointer.
pub(super) fn check_foreign(head: &[u8], path: &Path) -> Result<()> {
    if head.is_empty() {
        return Err(Error::malformed("the file is empty").at(path).hint("copy or download it again"));
    }
    if head.starts_with(b"version https://git-lfs") {
        return Err(Error::malformed("this is a Git LFS pointer, not the image it stands for")
            .at(path)
            .hint("fetch the image with `git lfs pull`"));
    }
    if let Some(foreign) = FOREIGN.iter().find(|foreign| (foreign.is)(head)) {
        return Err(Error::unsupported(format!("this is {}, which is not read", foreign.what))
            .at(path)
            .hint(foreign.hint));
    }
    if is_text(head) {
        let what = if contains(head, b"<html") || contains(head, b"<!doctype html") { "a web page" } else { "a text" };
        return Err(Error::malformed(format!("this is {what}, not an image"))
            .at(path)
            .hint("if it was downloaded, the server may have answered with a message instead of the image"));
    }
    Ok(())
}

/// MGH: version 1, three axis lengths, frames and a type code, all big-endian 32-bit.
fn is_mgh(bytes: &[u8]) -> bool {
    let word = |n: usize| bytes.get(4 * n..4 * n + 4).map(|b| b.iter().fold(0_u32, |v, &b| v << 8 | u32::from(b)));
    word(0) == Some(1)
        && (1..5).all(|n| word(n).is_some_and(|v| (1..=1 << 20).contains(&v)))
        && word(5).is_some_and(|kind| kind <= 10)
}

fn is_meta_image(bytes: &[u8]) -> bool {
    is_text(&bytes[..bytes.len().min(32)])
        && (contains(bytes, b"ndims") || contains(bytes, b"objecttype"))
        && (contains(bytes, b"dimsize") || contains(bytes, b"elementtype") || contains(bytes, b"objecttype"))
}

/// True when every byte is one that a text has.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..))
        && std::str::from_utf8(bytes).map_or_else(|e| e.error_len().is_none(), |_| true)
}

/// True when `word`, in lower case, occurs in whatever case.
fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn other_formats_are_named_with_a_way_to_convert() {
        let mut mgh = vec![0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        mgh.resize(284, 0);
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        for (bytes, word) in [
            (mgh.as_slice(), "MGH"),
            (&dicom, "DICOM"),
            (b"NRRD0004\ntype: short\n", "NRRD"),
            (b"ObjectType = Image\nNDims = 3\nDimSize = 4 5 6\n\x00\x01", "MetaImage"),
            (b"PK\x03\x04rest", "zip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\0\0", "xz"),
            (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
            (b"\xff\xd8\xff\xe0", "JPEG"),
        ] {
            let error = check_foreign(bytes, Path::new("x")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{word}");
            assert!(error.message().contains(word) && error.advice().is_some(), "{error}");
        }
    }

    #[test]
    fn texts_pointers_and_nothing_are_malformed() {
        for (bytes, word) in [
            (b"".as_slice(), "empty"),
            (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
            (b"<!DOCTYPE html><html>404</html>", "web page"),
            (b"not an image\n", "text"),
        ] {
            let error = check_foreign(bytes, Path::new("x")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(error.message().contains(word), "{error}");
        }
        assert!(check_foreign(&[0x5c, 1, 0, 0, 0, 0, 0, 0], Path::new("x")).is_ok());
    }
}
