//! Where voxels are: affines, orientations, grids and regions. Pure `f64` mathematics, no voxels, no files.
//!
//! World coordinates are millimetres, RAS+: x grows towards the patient's Right, y Anterior, z Superior.
//! An index `(i, j, k)` is in the order of the affine's columns; memory has i fastest.

mod affine;
mod grid;
mod orientation;
mod region;

pub use affine::Affine;
pub use grid::{Grid, GridRule};
pub use orientation::{AxisMap, Direction, Orientation};
pub use region::Region;
