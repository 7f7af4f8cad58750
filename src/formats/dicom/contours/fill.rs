//! From contours to a mask.

use super::Point;
use crate::error::Result;
use crate::limits;

/// A pixel's middle this close to a contour (in pixels) is on it.
const ON: f64 = 1e-3;

/// The pixels of a plane that contours enclose: those whose middle lies within an odd number of them, or on one.
///
/// So contours within others cut holes, as with OpenCV's `fillPoly`, and contours through the middles of the outermost
/// pixels, as rt-utils writes them, enclose these too. Parts outside the plane are cut off.
#[derive(Debug)]
pub(in super::super) struct Fill {
    /// First column and row of the box that the contours lie in.
    origin: [usize; 2],
    width: usize,
    /// For each row, the columns from which on the side changes; one more than there are.
    changes: Vec<bool>,
    on: Vec<bool>,
}

impl Fill {
    /// What closed contours enclose in a plane of `size` columns and rows.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub(in super::super) fn of(contours: &[Vec<Point>], size: [usize; 2]) -> Result<Self> {
        let [columns, rows] = [0, 1].map(|axis| {
            let ends = contours.iter().flatten().map(|point| point[axis]);
            let ends = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
            inner(ends.0 - ON, ends.1 + ON, size[axis])
        });
        let (width, height) = (columns.len(), rows.len());
        let mut fill = Self {
            origin: [columns.start, rows.start],
            width,
            changes: limits::zeroed((width + 1) * height, "a plane of contours")?,
            on: limits::zeroed(width * height, "a plane of contours")?,
        };
        if width > 0 {
            contours.iter().for_each(|contour| fill.add(contour));
        }
        Ok(fill)
    }

    fn add(&mut self, contour: &[Point]) {
        let origin = self.origin.map(float);
        let in_box = |[i, j]: Point| [i - origin[0], j - origin[1]];
        for (n, &a) in contour.iter().enumerate() {
            let (a, b) = (in_box(a), in_box(contour[(n + 1) % contour.len()]));
            self.cross(a, b);
            self.mark(a, b);
        }
    }

    /// Columns of each row in which the side changes where the line from `a` to `b` crosses it.
    fn cross(&mut self, a: Point, b: Point) {
        let ([_, top], [_, bottom]) = if a[1] < b[1] { (a, b) } else { (b, a) };
        // A row at an end of a line belongs to the line below it alone.
        let rows = self.rows(top, bottom);
        for j in rows.filter(|&j| top <= float(j) && float(j) < bottom) {
            let x = a[0] + (float(j) - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
            let column = clamped(x.ceil(), self.width);
            self.changes[j * (self.width + 1) + column] ^= true;
        }
    }

    /// Marks the middles on the line from `a` to `b`.
    fn mark(&mut self, a: Point, b: Point) {
        let d = [b[0] - a[0], b[1] - a[1]];
        let near = |from: f64, step: f64, at: f64| {
            // Where the line is within reach of `at`, as parts of its length.
            if step.abs() < ON {
                return if (from - at).abs() <= ON { (0.0, 1.0) } else { (1.0, 0.0) };
            }
            let (first, last) = ((at - ON - from) / step, (at + ON - from) / step);
            (first.min(last).max(0.0), first.max(last).min(1.0))
        };
        for j in self.rows(a[1].min(b[1]) - ON, a[1].max(b[1]) + ON) {
            let (first, last) = near(a[1], d[1], float(j));
            if first > last {
                continue;
            }
            let ends = [a[0] + first * d[0], a[0] + last * d[0]];
            let columns = inner(ends[0].min(ends[1]) - ON, ends[0].max(ends[1]) + ON, self.width);
            self.on[j * self.width..][columns].fill(true);
        }
    }

    /// Rows whose middles lie from `top` to `bottom`.
    fn rows(&self, top: f64, bottom: f64) -> std::ops::Range<usize> {
        inner(top, bottom, self.on.len() / self.width.max(1))
    }

    /// Column and row of each pixel inside, row by row.
    pub(in super::super) fn inside(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        let rows = self.changes.chunks_exact(self.width + 1).zip(self.on.chunks_exact(self.width.max(1)));
        rows.enumerate().flat_map(move |(j, (changes, on))| {
            let mut odd = false;
            let columns = changes.iter().zip(on).enumerate();
            columns.filter_map(move |(i, (change, on))| {
                odd ^= change;
                (odd || *on).then_some([self.origin[0] + i, self.origin[1] + j])
            })
        })
    }
}

/// The whole numbers below `len` from `low` to `high`.
fn inner(low: f64, high: f64, len: usize) -> std::ops::Range<usize> {
    let start = clamped(low.ceil(), len);
    start..clamped(high.floor() + 1.0, len).max(start)
}

/// A whole number, at most `len`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=len; NaN becomes 0")]
fn clamped(value: f64, len: usize) -> usize {
    value.clamp(0.0, float(len)) as usize
}

#[expect(clippy::cast_precision_loss, reason = "columns and rows are below 2^32")]
fn float(n: usize) -> f64 {
    n as f64
}
