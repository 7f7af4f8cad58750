//! Huffman tables (T.81, annex C and F.2.2.3).

use super::bits::Bits;

/// Codes of at most this many bits are found in one look.
const FAST: u32 = 10;

/// A table of codes.
#[derive(Debug)]
pub(super) struct Huffman {
    /// By the next [`FAST`] bits: length and symbol; length 0 for longer codes.
    fast: Vec<(u8, u8)>,
    /// For each length, the first code that is too large for it, left-aligned to 16 bits.
    limit: [u32; 17],
    /// For each length, what to add to a code to find its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// `counts` are the numbers of codes of 1 to 16 bits.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Result<Self, String> {
        let mut table =
            Self { fast: vec![(0, 0); 1 << FAST], limit: [0; 17], offset: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (len, &count) in (1_u32..=16).zip(counts) {
            let at = len as usize;
            table.offset[at] = i32::try_from(index).unwrap_or(0) - code.cast_signed();
            for _ in 0..count {
                if code >= 1 << len {
                    return Err("a Huffman table has more codes than bits allow".to_owned());
                }
                if len <= FAST {
                    let start = (code << (FAST - len)) as usize;
                    let len = u8::try_from(len).unwrap_or(0);
                    table.fast[start..start + (1 << (FAST - u32::from(len)))].fill((len, symbols[index]));
                }
                code += 1;
                index += 1;
            }
            table.limit[at] = code << (16 - len);
            code <<= 1;
        }
        Ok(table)
    }

    /// The next symbol; `None` for bits that are no code. At least 16 bits are available.
    #[inline]
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let (len, symbol) = self.fast[bits.peek(FAST) as usize];
        if len > 0 {
            bits.skip(len.into());
            return Some(symbol);
        }
        let next = bits.peek(16);
        let len = (FAST + 1..=16).find(|&len| next < self.limit[len as usize])?;
        let code = (next >> (16 - len)).cast_signed();
        bits.skip(len);
        self.symbols.get(usize::try_from(code + self.offset[len as usize]).ok()?).copied()
    }
}
