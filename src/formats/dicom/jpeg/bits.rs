//! Bits of an entropy-coded segment.

/// Reads bits, most significant first; a marker ends them, and zeros follow it.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, left-aligned.
    buffer: u64,
    count: u32,
    /// Bits of `count` that were made up.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, count: 0, invented: 0 }
    }

    /// Makes at least 32 bits available.
    #[inline]
    pub(super) fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(&[a, b, c, d]) = self.data.get(self.at..).and_then(<[u8]>::first_chunk)
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
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => {
                    self.invented += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `n` bits (1 to 32) without taking them; [`Bits::refill`] has made them available.
    #[inline]
    pub(super) fn peek(&self, n: u32) -> u32 {
        u32::try_from(self.buffer >> (64 - n)).unwrap_or(0)
    }

    #[inline]
    pub(super) fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.count -= n;
    }

    /// A difference of `n` bits (0 to 16) as T.81 extends it (F.2.2.1).
    #[inline]
    pub(super) fn difference(&mut self, n: u32) -> i32 {
        if n == 0 {
            return 0;
        }
        let value = self.peek(n).cast_signed();
        self.skip(n);
        if value < 1 << (n - 1) { value - (1 << n) + 1 } else { value }
    }

    /// True when more bits were taken than the data had.
    pub(super) fn is_overrun(&self) -> bool {
        self.count < self.invented
    }

    /// Passes a restart marker; false when there is none.
    pub(super) fn restart(&mut self) -> bool {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        let is_marker = fill > 0 && rest.get(fill).is_some_and(|marker| (0xd0..=0xd7).contains(marker));
        *self = Self { at: self.at + fill + 1, ..Self::new(self.data) };
        is_marker
    }
}
