//! Header extensions: pieces of 16, 32, ... bytes behind the header, each with its size and a code that says whose it is.

use super::fields::Raw;
use crate::error::{Error, Result, Warning};

/// Code and content of one extension.
pub(super) type Extension = (i32, Vec<u8>);

/// Reads the extensions in `area`, the bytes between the flag and the voxels.
///
/// What cannot be an extension ends the list with a warning: the voxels do not depend on it. `beyond` is the number of
/// bytes that the file has behind the area: an extension that ends among them contradicts the offset of the voxels.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when an extension runs into the voxels, so that one of the two is wrong.
pub(super) fn parse(area: &[u8], big_endian: bool, beyond: u64, warnings: &mut Vec<Warning>) -> Result<Vec<Extension>> {
    let mut extensions = Vec::new();
    let mut rest = area;
    while let Some((size, content)) = rest.split_first_chunk::<4>() {
        let Some((code, _)) = content.split_first_chunk::<4>() else { break };
        let order = if big_endian { i32::from_be_bytes } else { i32::from_le_bytes };
        let (size, code) = (order(*size), order(*code));
        let len = usize::try_from(size).ok().filter(|n| *n >= 16 && n % 16 == 0);
        match len {
            Some(len) if len <= rest.len() => {
                extensions.push((code, rest[8..len].to_owned()));
                rest = &rest[len..];
            }
            Some(len) if (len - rest.len()) as u64 <= beyond => {
                return Err(Error::malformed(format!(
                    "a header extension of {len} bytes runs into the voxels: its size or their offset is wrong"
                )));
            }
            _ => {
                let message =
                    format!("a header extension says that it has {size} bytes; it and what follows is dropped");
                warnings.push(Warning::new("extensions-dropped", message));
                break;
            }
        }
    }
    Ok(extensions)
}

/// The four flag bytes and the extensions, each padded with zeros to a multiple of 16.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when one is too long for its size field.
pub(super) fn bytes(extensions: &[Extension], like: &Raw) -> Result<Vec<u8>> {
    let mut out = vec![u8::from(!extensions.is_empty()), 0, 0, 0];
    let order = if like.big_endian() { i32::to_be_bytes } else { i32::to_le_bytes };
    for (code, content) in extensions {
        let size = (8 + content.len()).next_multiple_of(16);
        let stored = i32::try_from(size)
            .map_err(|_| Error::limit(format!("a header extension of {size} bytes is too long for NIfTI")))?;
        out.extend(order(stored));
        out.extend(order(*code));
        out.extend(content);
        out.resize(out.len() + size - 8 - content.len(), 0);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::fields::Version;
    use super::*;

    #[test]
    fn extensions_are_read_back() {
        let list = vec![(6, b"hello".to_vec()), (30, vec![7; 24])];
        let bytes = bytes(&list, &Raw::zeros(Version::One)).unwrap();
        assert_eq!(bytes.len() % 16, 4);
        let mut warnings = Vec::new();
        let read = parse(&bytes[4..], false, 0, &mut warnings).unwrap();
        assert_eq!(read[0], (6, b"hello\0\0\0".to_vec()));
        assert_eq!(read[1], list[1]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn nonsense_ends_the_list_and_a_contradiction_is_an_error() {
        for size in [0_i32, -16, 13, i32::MAX - 15] {
            let mut area = size.to_le_bytes().to_vec();
            area.resize(32, 0);
            let mut warnings = Vec::new();
            assert!(parse(&area, false, 1000, &mut warnings).unwrap().is_empty());
            assert_eq!(warnings.len(), 1);
        }
        let mut area = 48_i32.to_le_bytes().to_vec();
        area.resize(32, 0);
        assert!(parse(&area, false, 1000, &mut Vec::new()).is_err());
    }
}
