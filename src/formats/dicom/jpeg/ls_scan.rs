//! The scan of a JPEG-LS frame: context modelling, regular and run mode (T.87, annex A). Names are the standard's.

use super::ls_bits::Bits;
use crate::limits;

/// Bits of a run's length for each run index (A.7.1.2).
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const REGULAR_CONTEXTS: usize = 365;
/// No valid stream needs more bits behind the unary part.
const MAX_K: u32 = 20;

/// Parameters of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    /// MAXVAL.
    pub(super) largest: i32,
    /// NEAR: the largest error.
    pub(super) near: i32,
    pub(super) thresholds: [i32; 3],
    pub(super) reset: i32,
}

/// Statistics of one context.
#[derive(Debug, Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
    /// Errors below zero, for the contexts of run interruption.
    negative: i32,
}

struct Decoder<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    /// 2 NEAR + 1.
    quantum: i32,
    range: i32,
    qbpp: u32,
    limit: u32,
    contexts: Vec<Context>,
    run_index: usize,
}

/// Decodes the samples of a frame, row by row.
pub(super) fn decode(data: &[u8], rows: usize, columns: usize, parameters: Parameters) -> Result<Vec<u16>, String> {
    let Parameters { largest, near, .. } = parameters;
    let range = (largest + 2 * near) / (2 * near + 1) + 1;
    let bpp = bits_of(largest + 1).max(2);
    let first = Context { a: ((range + 32) / 64).max(2), b: 0, c: 0, n: 1, negative: 0 };
    let mut decoder = Decoder {
        bits: Bits::new(data),
        parameters,
        quantum: 2 * near + 1,
        range,
        qbpp: bits_of(range),
        limit: 2 * (bpp + bpp.max(8)),
        contexts: vec![first; REGULAR_CONTEXTS + 2],
        run_index: 0,
    };
    let mut samples = limits::reserved(rows * columns, "a frame").map_err(|e| e.message().to_owned())?;
    // One sample more on each side: those that the neighbours of the first and of the last sample are taken from.
    let mut above = vec![0; columns + 2];
    let mut row = vec![0; columns + 2];
    for n in 0..rows {
        above[columns + 1] = above[columns];
        row[0] = above[1];
        let decoded = decoder.row(&above, &mut row);
        if decoded.is_none() || decoder.bits.is_overrun() {
            return Err(format!("the JPEG-LS data is damaged or ends in row {}", n + 1));
        }
        samples.extend(row[1..=columns].iter().map(|&sample| u16::try_from(sample).unwrap_or(0)));
        std::mem::swap(&mut above, &mut row);
    }
    Ok(samples)
}

/// The bits that numbers below `n` need.
fn bits_of(n: i32) -> u32 {
    32 - (n - 1).leading_zeros()
}

impl Decoder<'_> {
    /// Decodes the samples of a row, which start at 1.
    fn row(&mut self, above: &[i32], row: &mut [i32]) -> Option<()> {
        let near = self.parameters.near;
        let mut x = 1;
        while x + 1 < row.len() {
            let (a, b, c, d) = (row[x - 1], above[x], above[x - 1], above[x + 1]);
            let gradients = [d - b, b - c, c - a];
            if gradients.iter().all(|gradient| gradient.abs() <= near) {
                x = self.run(above, row, x)?;
            } else {
                row[x] = self.regular(a, b, c, gradients)?;
                x += 1;
            }
        }
        Some(())
    }

    /// A sample in regular mode (A.3 to A.6).
    #[inline]
    fn regular(&mut self, a: i32, b: i32, c: i32, gradients: [i32; 3]) -> Option<i32> {
        let [q1, q2, q3] = gradients.map(|gradient| self.quantize(gradient));
        let index = 81 * q1 + 9 * q2 + q3;
        let sign = if index < 0 { -1 } else { 1 };
        let at = usize::try_from(index.abs()).ok()?;
        let context = self.contexts[at];
        let predicted = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let predicted = (predicted + sign * context.c).clamp(0, self.parameters.largest);
        let k = golomb_parameter(context.n, context.a)?;
        let mapped = self.golomb(k, self.limit)?;
        let (half, is_odd) = (mapped >> 1, mapped & 1 == 1);
        let is_inverted = self.parameters.near == 0 && k == 0 && 2 * context.b <= -context.n;
        let error = if is_odd == is_inverted { half } else { -half - 1 };
        self.contexts[at] = context.updated(error, self.quantum, self.parameters.reset);
        Some(self.reconstruct(predicted, sign * error))
    }

    /// A run of samples like the one before, and the sample that interrupts it (A.7); returns the next position.
    fn run(&mut self, above: &[i32], row: &mut [i32], start: usize) -> Option<usize> {
        let (a, end) = (row[start - 1], row.len() - 1);
        let mut x = start;
        while self.bits.bit() {
            let len = 1 << J[self.run_index];
            let filled = len.min(end - x);
            row[x..x + filled].fill(a);
            x += filled;
            if filled == len && self.run_index < 31 {
                self.run_index += 1;
            }
            if x == end {
                return Some(end);
            }
            if self.bits.is_overrun() {
                return None;
            }
        }
        let rest = self.bits.take(J[self.run_index]) as usize;
        if rest >= end - x {
            return None;
        }
        row[x..x + rest].fill(a);
        x += rest;
        row[x] = self.interruption(a, above[x])?;
        self.run_index = self.run_index.saturating_sub(1);
        Some(x + 1)
    }

    /// The sample that ends a run (A.7.2).
    fn interruption(&mut self, a: i32, b: i32) -> Option<i32> {
        let is_flat = (a - b).abs() <= self.parameters.near;
        let kind = i32::from(is_flat);
        let at = REGULAR_CONTEXTS + usize::from(is_flat);
        let Context { a: sum, n, negative, .. } = self.contexts[at];
        let k = golomb_parameter(n, if is_flat { sum + (n >> 1) } else { sum })?;
        let mapped = self.golomb(k, self.limit - J[self.run_index] - 1)?;
        let magnitude = (mapped + kind + 1) >> 1;
        let is_odd = (mapped + kind) & 1 == 1;
        let error = if (k != 0 || 2 * negative >= n) == is_odd { -magnitude } else { magnitude };
        let context = &mut self.contexts[at];
        context.negative += i32::from(error < 0);
        context.a = context.a.saturating_add((mapped + 1 - kind) >> 1);
        if context.n == self.parameters.reset {
            context.a >>= 1;
            context.n >>= 1;
            context.negative >>= 1;
        }
        context.n += 1;
        let (predicted, sign) = if is_flat { (a, 1) } else { (b, if a > b { -1 } else { 1 }) };
        Some(self.reconstruct(predicted, sign * error))
    }

    /// One of nine regions of a gradient (A.3.3).
    #[inline]
    fn quantize(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.parameters.thresholds;
        let size = gradient.abs();
        let region = if size <= self.parameters.near {
            0
        } else {
            1 + i32::from(size >= t1) + i32::from(size >= t2) + i32::from(size >= t3)
        };
        if gradient < 0 { -region } else { region }
    }

    /// A mapped error of limited length (A.5.3).
    #[inline]
    fn golomb(&mut self, k: u32, limit: u32) -> Option<i32> {
        let most = limit - self.qbpp - 1;
        let zeros = self.bits.zeros(most)?;
        let value = if zeros < most { zeros << k | self.bits.take(k) } else { self.bits.take(self.qbpp) + 1 };
        // A valid error is at most half the range.
        i32::try_from(value).ok().filter(|&mapped| mapped <= 2 * self.range)
    }

    /// The sample of a prediction and an error, modulo the range (A.4.5 and A.8).
    #[inline]
    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let Parameters { largest, near, .. } = self.parameters;
        let turn = self.range * self.quantum;
        let sample = predicted + error * self.quantum;
        let sample = if sample < -near {
            sample + turn
        } else if sample > largest + near {
            sample - turn
        } else {
            sample
        };
        sample.clamp(0, largest)
    }
}

/// The Golomb parameter of a context (A.5.1).
#[inline]
fn golomb_parameter(n: i32, a: i32) -> Option<u32> {
    (0..MAX_K).find(|&k| i64::from(n) << k >= i64::from(a))
}

impl Context {
    /// Statistics after an error (A.6).
    #[inline]
    fn updated(self, error: i32, quantum: i32, reset: i32) -> Self {
        let Self { mut a, mut b, mut c, mut n, negative } = self;
        b = b.saturating_add(error.saturating_mul(quantum));
        a = a.saturating_add(error.abs());
        if n == reset {
            (a, b, n) = (a >> 1, b >> 1, n >> 1);
        }
        n += 1;
        if b <= -n {
            b = (b + n).max(1 - n);
            c = (c - 1).max(-128);
        } else if b > 0 {
            b = (b - n).min(0);
            c = (c + 1).min(127);
        }
        Self { a, b, c, n, negative }
    }
}
