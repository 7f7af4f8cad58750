//! One gzip member written by many threads: blocks are deflated on their own and joined, as `pigz` does.
//!
//! Each block ends with a sync flush (RFC 1951: an empty stored block, so that it ends at a byte), which lets blocks be
//! concatenated; checksums are combined. The bytes do not depend on the number of threads.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress};
use rayon::prelude::*;

/// Bytes that are deflated on their own.
const BLOCK: usize = 1 << 20;
/// Magic, deflate, no flags, no time, no hint, unknown system (RFC 1952, section 2.3): nothing that varies.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A last block without content.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses into `inner`; [`Gzip::finish`] completes the member.
pub(super) struct Gzip<W: Write> {
    inner: W,
    level: u32,
    pending: Vec<u8>,
    /// Bytes of `pending` at which its blocks are deflated side by side.
    capacity: usize,
    crc: Crc,
}

impl<W: Write> Gzip<W> {
    /// `blocks` are deflated at a time, each held in memory.
    pub(super) fn new(mut inner: W, level: u32, blocks: usize) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        Ok(Self { inner, level, pending: Vec::new(), capacity: BLOCK * blocks.max(1), crc: Crc::new() })
    }

    fn deflate_pending(&mut self) -> io::Result<()> {
        let compressor = || Compress::new(Compression::new(self.level), false);
        let blocks: Vec<_> = self.pending.par_chunks(BLOCK).map_init(compressor, deflate).collect::<io::Result<_>>()?;
        self.pending.clear();
        for (bytes, crc) in blocks {
            self.inner.write_all(&bytes)?;
            self.crc.combine(&crc);
        }
        Ok(())
    }

    /// Writes what is pending, the end of the member and its checksum.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.deflate_pending()?;
        self.inner.write_all(&LAST_BLOCK)?;
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.capacity - self.pending.len());
        self.pending.extend_from_slice(&bytes[..n]);
        if self.pending.len() == self.capacity {
            self.deflate_pending()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One block, ended by a sync flush, and its checksum.
#[expect(clippy::cast_possible_truncation, reason = "a block has at most 1 MiB")]
fn deflate(compress: &mut Compress, block: &[u8]) -> io::Result<(Vec<u8>, Crc)> {
    compress.reset();
    let mut crc = Crc::new();
    crc.update(block);
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let done = compress.total_in() as usize;
        compress.compress_vec(&block[done..], &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
        // Room left in the output means that the flush is complete.
        if compress.total_in() as usize == block.len() && out.len() < out.capacity() {
            return Ok((out, crc));
        }
        out.reserve(block.len() / 2 + 1024);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compressed(data: &[u8], blocks: usize, piece: usize) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new(), 6, blocks).unwrap();
        data.chunks(piece).for_each(|piece| gzip.write_all(piece).unwrap());
        gzip.finish().unwrap()
    }

    #[test]
    fn a_single_member_decoder_reads_it_back_and_the_bytes_do_not_depend_on_the_batch() {
        let noise =
            (0..3_200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[usize::from(n % 7 == 0)]);
        let noise: Vec<u8> = noise.collect();
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, noise.len()] {
            let data = &noise[..len];
            let one = compressed(data, 1, 100_000);
            assert!(one == compressed(data, 3, 1 << 20), "{len}");
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(one.as_slice()).read_to_end(&mut back).unwrap();
            assert!(back == data, "{len}");
        }
    }
}
