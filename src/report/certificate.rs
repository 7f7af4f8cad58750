//! Proof that an output sits where its source does.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::geometry::Grid;

/// How far the voxels of a written file are from where they belong, measured on the file as reopened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Certificate {
    /// Voxel positions compared: eight corners and 27 inner points.
    pub points: usize,
    /// Largest distance in mm between a point's two world positions.
    pub largest_error_mm: f64,
    /// What is allowed, in mm.
    pub tolerance_mm: f64,
}

impl Certificate {
    /// Largest distance in mm that a certificate allows.
    pub const TOLERANCE_MM: f64 = 1e-3;

    /// Compares the grid that an output should have with the one that its file was found to have.
    ///
    /// The points are the eight corner voxel centers, and the 27 points at 1/4, 1/2 and 3/4 of the way between them along
    /// each axis.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the shapes differ, or a point is farther than [`Certificate::TOLERANCE_MM`] from
    /// where it belongs.
    pub fn check(expected: &Grid, reopened: &Grid) -> Result<Self> {
        if expected.shape() != reopened.shape() {
            return Err(Error::internal(format!(
                "the output was written with {:?} voxels and reopened with {:?}",
                expected.shape(),
                reopened.shape()
            )));
        }
        let [.., last] = expected.corners();
        let quarters = [0.25, 0.5, 0.75];
        let inner =
            (0..27).map(|n| [quarters[n % 3] * last[0], quarters[n / 3 % 3] * last[1], quarters[n / 9] * last[2]]);
        let mut certificate = Self { points: 0, largest_error_mm: 0.0, tolerance_mm: Self::TOLERANCE_MM };
        for index in expected.corners().into_iter().chain(inner) {
            let (a, b) = (expected.index_to_world(index), reopened.index_to_world(index));
            let error = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
            certificate.largest_error_mm = certificate.largest_error_mm.max(error);
            certificate.points += 1;
        }
        if certificate.largest_error_mm <= certificate.tolerance_mm {
            return Ok(certificate);
        }
        Err(Error::internal(format!(
            "a voxel of the output lies {:.6} mm from where it belongs; {} mm are allowed",
            certificate.largest_error_mm, certificate.tolerance_mm
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::geometry::Affine;

    fn grid(shape: [usize; 3], change: impl Fn(&mut [[f64; 4]; 3])) -> Grid {
        let mut rows = [[-0.9, 0.02, 0.1, 12.0], [0.1, 0.05, -3.0, -40.0], [0.05, 0.8, 0.3, 7.5]];
        change(&mut rows);
        Grid::new(shape, Affine::from_rows(rows).unwrap()).unwrap()
    }

    #[test]
    fn the_largest_error_is_measured_and_judged() {
        let shape = [101, 50, 20];
        let expected = grid(shape, |_| {});
        let same = Certificate::check(&expected, &expected).unwrap();
        assert_eq!((same.points, same.largest_error_mm), (35, 0.0));
        let moved = Certificate::check(&expected, &grid(shape, |rows| rows[1][3] += 8e-4)).unwrap();
        assert!((moved.largest_error_mm - 8e-4).abs() < 1e-12);
        // A spacing that is wrong by 2e-5 mm adds up to 2e-3 mm over 100 steps.
        let error = Certificate::check(&expected, &grid(shape, |rows| rows[0][0] += 2e-5)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("0.002000 mm"), "{error}");
    }

    #[test]
    fn every_entry_of_the_affine_and_every_side_is_looked_at() {
        let shape = [9, 8, 7];
        let expected = grid(shape, |_| {});
        for row in 0..3 {
            for column in 0..4 {
                let changed = grid(shape, |rows| rows[row][column] += 0.01);
                assert!(Certificate::check(&expected, &changed).is_err(), "row {row} column {column}");
            }
        }
        for axis in 0..3 {
            let mut other = shape;
            other[axis] += 1;
            assert!(Certificate::check(&expected, &grid(other, |_| {})).is_err());
        }
    }
}
