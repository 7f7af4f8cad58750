//! Bits of a JPEG-LS scan: after a byte of ones only seven bits of the next one count (T.87, A.1).

/// Reads bits, most significant first; a marker ends them, and zeros follow it.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    after_ones: bool,
    /// The next bits, left-aligned.
    buffer: u64,
    count: u32,
    /// Bits of `count` that were made up.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, after_ones: false, buffer: 0, count: 0, invented: 0 }
    }

    /// Makes at least 32 bits available.
    #[inline]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(&[a, b, c, d]) = self.data.get(self.at..).and_then(<[u8]>::first_chunk)
            && !self.after_ones
            && a != 0xff
            && b != 0xff
            && c != 0xff
            && d != 0xff
        {
            self.buffer |= u64::from(u32::from_be_bytes([a, b, c, d])) << (32 - self.count);
            self.at += 4;
            self.count += 32;
            return;
        }
        self.refill_slowly();
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.count <= 56 {
            // Behind ones a bit of zero is stuffed in; a bit of one makes a marker.
            let next = self.data.get(self.at).copied().filter(|&byte| !self.after_ones || byte < 0x80);
            let bits = if self.after_ones && next.is_some() { 7 } else { 8 };
            match next {
                Some(byte) => {
                    self.at += 1;
                    self.after_ones = byte == 0xff;
                }
                None => self.invented += 8,
            }
            let byte = next.unwrap_or(0);
            self.buffer |= u64::from(byte) << (64 - bits - self.count);
            self.count += bits;
        }
    }

    /// The next `n` bits, 0 to 31.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        self.refill();
        let value = u32::try_from(self.buffer >> 32 >> (32 - n)).unwrap_or(0);
        self.skip(n);
        value
    }

    #[inline]
    pub(super) fn bit(&mut self) -> bool {
        self.take(1) == 1
    }

    /// The number of zeros before the next one, which is passed too; `None` when there are more than `most`.
    #[inline]
    pub(super) fn zeros(&mut self, most: u32) -> Option<u32> {
        let mut zeros = 0;
        loop {
            self.refill();
            let found = self.buffer.leading_zeros();
            if found < self.count.min(32) {
                self.skip(found + 1);
                return (zeros + found <= most).then_some(zeros + found);
            }
            zeros += 32;
            self.skip(32);
            if zeros > most {
                return None;
            }
        }
    }

    #[inline]
    fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.count -= n;
    }

    /// True when more bits were taken than the data had.
    pub(super) fn is_overrun(&self) -> bool {
        self.count < self.invented
    }
}
