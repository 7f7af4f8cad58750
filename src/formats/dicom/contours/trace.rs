//! From a mask to contours along the edges of its pixels.
//!
//! Each contour encloses pixels that touch by their sides, and nothing else: where such an area has holes, a slit leads
//! from the contour to each of them (the keyhole of PS3.3 C.8.8.6.3), so that it is right for readers that add up the
//! contours of a plane as well as for those that combine them by XOR.
//!
//! Contours run [`INSET`] inside the pixels' edges, so that they neither touch themselves nor each other and all their
//! points lie within pixels of the mask. That makes them right for both kinds of readers: those that ask whether a
//! pixel's middle is inside, and those that move the points to the nearest middles first and count the contour itself as
//! inside (OpenCV's `fillPoly`, which rt-utils uses).

use std::collections::{BTreeMap, HashMap};

use super::Point;
use crate::error::Result;
use crate::limits;

/// How far contours stay from the pixels' edges, in pixels.
pub(in super::super) const INSET: f64 = 0.01;
/// Where the slits to holes lie: this part of a pixel below the middles of its row. No reader's sample point is there.
const SLIT: f64 = 0.25;
/// Steps along the sides of a pixel, clockwise from the upper one (rows grow downwards), as columns and rows. The pixel is
/// to the right of each.
const ALONG: [Point; 4] = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];

/// The pixels of one label in a plane.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Outlined {
    pub(in super::super) id: u16,
    /// A contour for each area whose pixels touch by their sides, clockwise from its topmost row on; the last point is
    /// not the first one again.
    pub(in super::super) contours: Vec<Vec<Point>>,
}

/// The contours of all labels of a plane of `width` columns, in ascending order of id; 0 is background.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when the memory cannot be had.
pub(in super::super) fn outlined(ids: &[u16], width: usize) -> Result<Vec<Outlined>> {
    let mut boxes = BTreeMap::<u16, [usize; 4]>::new();
    for (j, row) in ids.chunks_exact(width).enumerate() {
        for (i, &id) in row.iter().enumerate().filter(|(_, id)| **id != 0) {
            let [left, _, right, bottom] = boxes.entry(id).or_insert([i, j, i, j]);
            (*left, *right, *bottom) = ((*left).min(i), (*right).max(i), j);
        }
    }
    let outline = |(id, bounds)| Ok(Outlined { id, contours: Mask::of(ids, width, id, bounds)?.contours()? });
    boxes.into_iter().map(outline).collect()
}

/// One side of a pixel of the mask behind which there is none: the pixel's place and the side as in [`ALONG`].
type Side = (usize, usize);

/// A box around the pixels of one label, with a margin of one pixel without it.
struct Mask {
    inside: Vec<bool>,
    width: usize,
    /// Column and row of the first pixel, that of the margin.
    origin: Point,
}

impl Mask {
    #[expect(clippy::cast_precision_loss, reason = "columns and rows are below 2^32")]
    fn of(ids: &[u16], stride: usize, id: u16, [left, top, right, bottom]: [usize; 4]) -> Result<Self> {
        let (width, height) = (right - left + 3, bottom - top + 3);
        let mut inside = limits::zeroed(width * height, "the mask of a structure")?;
        let rows = ids.chunks_exact(stride).skip(top).take(height - 2);
        for (to, from) in inside.chunks_exact_mut(width).skip(1).zip(rows) {
            to[1..].iter_mut().zip(&from[left..=right]).for_each(|(to, &from)| *to = from == id);
        }
        Ok(Self { inside, width, origin: [left as f64 - 1.0, top as f64 - 1.0] })
    }

    fn contours(&self) -> Result<Vec<Vec<Point>>> {
        let mut slits = HashMap::new();
        self.loops(&HashMap::new(), |sides| {
            let column = |pixel: usize| pixel % self.width;
            // The area by Green's theorem: negative for the way around a hole.
            let area = sides.iter().map(|&(pixel, side)| match side {
                1 => as_signed(column(pixel)) + 1,
                3 => -as_signed(column(pixel)),
                _ => 0,
            });
            let left = sides.iter().filter(|(_, side)| *side == 1).map(|&(pixel, _)| (column(pixel), pixel)).min();
            if let Some((_, end)) = left.filter(|_| area.sum::<i64>() < 0) {
                let start = (0..=end).rev().take_while(|&pixel| self.inside[pixel]).last().unwrap_or(end);
                slits.insert((start, 3), (end, 1));
                slits.insert((end, 1), (start, 3));
            }
            Ok(())
        })?;
        let mut contours = Vec::new();
        self.loops(&slits, |sides| {
            contours.push(self.points(sides, &slits)?);
            Ok(())
        })?;
        Ok(contours)
    }

    /// Calls `found` with the sides of each closed way around the mask.
    fn loops(&self, slits: &HashMap<Side, Side>, mut found: impl FnMut(&[Side]) -> Result<()>) -> Result<()> {
        let mut seen = limits::zeroed::<[bool; 4]>(self.inside.len(), "the outline of a structure")?;
        let mut sides = Vec::new();
        for first in (0..self.inside.len()).flat_map(|pixel| (0..4).map(move |side| (pixel, side))) {
            if !self.is_edge(first) || seen[first.0][first.1] {
                continue;
            }
            sides.clear();
            let mut at = first;
            loop {
                limits::room(&mut sides, 1, "the outline of a structure")?;
                sides.push(at);
                seen[at.0][at.1] = true;
                at = self.after(*slits.get(&at).unwrap_or(&at));
                if at == first {
                    break;
                }
            }
            found(&sides)?;
        }
        Ok(())
    }

    fn is_edge(&self, (pixel, side): Side) -> bool {
        self.inside[pixel] && !self.inside[self.beside(pixel, side + 3)]
    }

    /// The neighbor one step along `side`; no pixel inside is at the rim.
    fn beside(&self, pixel: usize, side: usize) -> usize {
        match side % 4 {
            0 => pixel + 1,
            1 => pixel + self.width,
            2 => pixel - 1,
            _ => pixel - self.width,
        }
    }

    /// The side that follows, with areas that touch by their corners kept apart.
    fn after(&self, (pixel, side): Side) -> Side {
        let ahead = self.beside(pixel, side);
        let diagonal = self.beside(ahead, side + 3);
        match (self.inside[ahead], self.inside[diagonal]) {
            (false, _) => (pixel, (side + 1) % 4),
            (true, false) => (ahead, side),
            (true, true) => (diagonal, (side + 3) % 4),
        }
    }

    /// The corners along a closed way, in the plane's columns and rows.
    fn points(&self, sides: &[Side], slits: &HashMap<Side, Side>) -> Result<Vec<Point>> {
        let mut points = Vec::new();
        for (n, &at) in sides.iter().enumerate() {
            limits::room(&mut points, 3, "a contour")?;
            let mut last = at;
            if let Some(&other) = slits.get(&at) {
                let across = [1.0, -1.0][usize::from(at.1 == 1)];
                for end in [at, other] {
                    let [x, y] = self.middle(end.0);
                    points.push([x + (0.5 - INSET) * ALONG[(end.1 + 3) % 4][0], y + SLIT + across * INSET]);
                }
                last = other;
            }
            let (_, next) = sides[(n + 1) % sides.len()];
            if next != last.1 {
                let [x, y] = self.middle(last.0);
                // Half a pixel outwards and half a pixel ahead, then inwards from this side and the next one.
                let outward = ALONG[(last.1 + 3) % 4];
                let (ahead, inward) = (ALONG[last.1], [ALONG[(last.1 + 1) % 4], ALONG[(next + 1) % 4]]);
                let corner =
                    |axis: usize| 0.5 * (outward[axis] + ahead[axis]) + INSET * (inward[0][axis] + inward[1][axis]);
                points.push([x + corner(0), y + corner(1)]);
            }
        }
        Ok(points)
    }

    /// The middle of a pixel.
    #[expect(clippy::cast_precision_loss, reason = "columns and rows are below 2^32")]
    fn middle(&self, pixel: usize) -> Point {
        [self.origin[0] + (pixel % self.width) as f64, self.origin[1] + (pixel / self.width) as f64]
    }
}

fn as_signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
