//! RLE frames (PS3.5, annex G): a header of 16 little-endian words, then one PackBits segment for each byte of a sample,
//! the most significant one first.

/// PackBits cannot expand by more than this: two bytes become 128.
pub(super) const MAX_EXPANSION: u64 = 64;

/// Decodes a frame of `samples` samples of `width` bytes to little-endian samples.
pub(super) fn decode(data: &[u8], samples: usize, width: usize) -> Result<Vec<u8>, String> {
    let words = data.get(..64).ok_or("an RLE frame is shorter than its header")?;
    let word = |n: usize| words[4 * n..4 * n + 4].iter().rev().fold(0_usize, |v, &b| v << 8 | usize::from(b));
    if word(0) != width {
        return Err(format!("an RLE frame has {} segments where {width} are needed", word(0)));
    }
    if (samples as u64).saturating_mul(width as u64) > MAX_EXPANSION * data.len() as u64 {
        return Err(format!("{} bytes of RLE cannot hold {samples} samples", data.len()));
    }
    let mut out = vec![0; samples * width];
    for segment in 0..width {
        let end = if segment + 1 < width { word(segment + 2) } else { data.len() };
        let bytes = data.get(word(segment + 1)..end).ok_or("an RLE segment lies outside its frame")?;
        unpack(bytes, out.iter_mut().skip(width - 1 - segment).step_by(width))
            .ok_or_else(|| format!("RLE segment {} ends too early", segment + 1))?;
    }
    Ok(out)
}

/// Fills `out` from PackBits; `None` when the bytes do not suffice.
fn unpack<'a>(mut bytes: &[u8], mut out: impl ExactSizeIterator<Item = &'a mut u8>) -> Option<()> {
    while out.len() > 0 {
        let (&head, rest) = bytes.split_first()?;
        match head {
            0..=127 => {
                let run = (usize::from(head) + 1).min(out.len());
                let (literal, rest) = rest.split_at_checked(run)?;
                literal.iter().zip(&mut out).for_each(|(&byte, slot)| *slot = byte);
                bytes = rest;
            }
            128 => bytes = rest,
            129..=255 => {
                let (&byte, rest) = rest.split_first()?;
                out.by_ref().take(257 - usize::from(head)).for_each(|slot| *slot = byte);
                bytes = rest;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segments: &[&[u8]]) -> Vec<u8> {
        let mut header = vec![u32::try_from(segments.len()).unwrap()];
        let mut at = 64;
        for segment in segments {
            header.push(at);
            at += u32::try_from(segment.len()).unwrap();
        }
        header.resize(16, 0);
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        segments.iter().for_each(|segment| bytes.extend(*segment));
        bytes
    }

    #[test]
    fn runs_literals_and_padding_make_little_endian_samples() {
        // Most significant bytes 1 1 1 2, least significant ones 7 8 9 9; 128 is a byte that means nothing.
        let bytes = frame(&[&[254, 1, 128, 0, 2, 0], &[1, 7, 8, 255, 9]]);
        assert_eq!(decode(&bytes, 4, 2).unwrap(), [7, 1, 8, 1, 9, 1, 9, 2]);
    }

    #[test]
    fn short_and_foreign_segments_are_errors() {
        let bytes = frame(&[&[254, 1], &[1, 7]]);
        assert!(decode(&bytes, 4, 2).is_err());
        assert!(decode(&bytes, 4, 1).is_err());
        assert!(decode(&bytes[..60], 4, 2).is_err());
        assert!(decode(&bytes, 1 << 20, 2).unwrap_err().contains("cannot hold"));
    }
}
