//! Between masks of pixels and closed contours, in a plane.
//!
//! Coordinates are those of pixels: `(i, j)` is the middle of the pixel in column `i` and row `j`.

mod fill;
mod trace;

pub(super) use fill::Fill;
pub(super) use trace::{INSET, outlined};

/// A point of a plane: column and row.
pub(super) type Point = [f64; 2];

#[cfg(test)]
mod tests;
