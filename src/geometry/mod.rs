//! Where voxels are: affines, orientations, grids and regions. Pure `f64` mathematics, no voxels, no files.
//!
//! World coordinates are millimetres, RAS+: x grows towards the patient's Right, y Anterior, z Superior.
//! An index `(i, j, k)` is in the order of the affine's columns; memory has i fastest.

mod affine;
mod aligned;
mod field;
mod grid;
mod orientation;
mod region;
mod slices;

pub use affine::Affine;
pub(crate) use aligned::{AlignedMap, SNAP, snapped};
pub use field::Field;
pub(crate) use field::interval;
pub use grid::{Grid, GridRule};
pub use orientation::{AxisMap, Direction, Orientation};
pub use region::Region;
pub(crate) use slices::{slice_at, slices_at};

/// A count as a coordinate.
#[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
pub(crate) fn float(n: usize) -> f64 {
    n as f64
}
