//! The 4 x 4 voxel-to-world matrix.

use crate::error::{Error, Result};

/// Maps a continuous voxel index `(i, j, k)` to world millimetres (RAS+); integers are voxel *centres*.
///
/// Sheared, left-handed and oblique matrices are all valid; what is not is a NaN, an infinity or a singular matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    rows: [[f64; 4]; 3],
}

impl Affine {
    /// From the three upper rows `[r0, r1, r2]`, each `[m_i, m_j, m_k, offset]` in mm.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when a value is not finite or the matrix is singular.
    pub fn from_rows(rows: [[f64; 4]; 3]) -> Result<Self> {
        if rows.iter().flatten().any(|v| !v.is_finite()) {
            return Err(Error::malformed("the affine holds a value that is not a finite number"));
        }
        let affine = Self { rows };
        let volume: f64 = affine.spacing().iter().product();
        let ratio = (affine.determinant() / volume).abs();
        if !ratio.is_finite() || ratio < 1e-9 {
            return Err(Error::malformed("the affine is singular: its axes do not span the space"));
        }
        Ok(affine)
    }

    /// Axis-aligned: `spacing` in mm along R, A, S and the world position of voxel (0, 0, 0).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when a spacing is zero or a value is not finite.
    pub fn from_spacing(spacing: [f64; 3], origin: [f64; 3]) -> Result<Self> {
        let mut rows = [[0.0; 4]; 3];
        for axis in 0..3 {
            rows[axis][axis] = spacing[axis];
            rows[axis][3] = origin[axis];
        }
        Self::from_rows(rows)
    }

    /// From columns (mm per index step) and the world position of voxel (0, 0, 0).
    ///
    /// # Errors
    /// As [`Affine::from_rows`].
    pub fn from_columns(columns: [[f64; 3]; 3], origin: [f64; 3]) -> Result<Self> {
        let row = |r: usize| [columns[0][r], columns[1][r], columns[2][r], origin[r]];
        Self::from_rows([row(0), row(1), row(2)])
    }

    /// The identity: 1 mm voxels, RAS, origin at voxel (0, 0, 0).
    #[must_use]
    pub fn identity() -> Self {
        Self { rows: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] }
    }

    /// The three upper rows.
    #[must_use]
    pub fn rows(&self) -> [[f64; 4]; 3] {
        self.rows
    }

    /// Column `axis`: the world step in mm of one index step.
    #[must_use]
    pub fn column(&self, axis: usize) -> [f64; 3] {
        [self.rows[0][axis], self.rows[1][axis], self.rows[2][axis]]
    }

    /// World position of voxel (0, 0, 0) in mm.
    #[must_use]
    pub fn origin(&self) -> [f64; 3] {
        self.column(3)
    }

    /// Length in mm of one index step along each axis (column norms).
    #[must_use]
    pub fn spacing(&self) -> [f64; 3] {
        [0, 1, 2].map(|axis| self.column(axis).iter().map(|v| v * v).sum::<f64>().sqrt())
    }

    /// Unit columns: the direction of each index axis in the world, `direction()[axis]` is one column.
    #[must_use]
    pub fn direction(&self) -> [[f64; 3]; 3] {
        let spacing = self.spacing();
        [0, 1, 2].map(|axis| self.column(axis).map(|v| v / spacing[axis]))
    }

    /// Determinant of the 3 x 3 part in mm^3; negative for left-handed axes.
    #[must_use]
    pub fn determinant(&self) -> f64 {
        let [a, b, c] = self.rows;
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    }

    /// World position in mm of a continuous voxel index.
    #[must_use]
    pub fn apply(&self, index: [f64; 3]) -> [f64; 3] {
        self.rows.map(|r| r[0] * index[0] + r[1] * index[1] + r[2] * index[2] + r[3])
    }

    /// World to continuous voxel index.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let [a, b, c] = self.rows;
        let det = self.determinant();
        let m = [
            [b[1] * c[2] - b[2] * c[1], a[2] * c[1] - a[1] * c[2], a[1] * b[2] - a[2] * b[1]],
            [b[2] * c[0] - b[0] * c[2], a[0] * c[2] - a[2] * c[0], a[2] * b[0] - a[0] * b[2]],
            [b[0] * c[1] - b[1] * c[0], a[1] * c[0] - a[0] * c[1], a[0] * b[1] - a[1] * b[0]],
        ];
        let rows = m.map(|r| {
            let r = r.map(|v| v / det);
            [r[0], r[1], r[2], -(r[0] * a[3] + r[1] * b[3] + r[2] * c[3])]
        });
        Self { rows }
    }

    /// `self` after `first`: `self.after(first).apply(x) == self.apply(first.apply(x))`.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        let mut rows = [[0.0; 4]; 3];
        for (row, r) in rows.iter_mut().zip(&self.rows) {
            for (column, value) in row.iter_mut().enumerate() {
                *value = (0..3).map(|k| r[k] * first.rows[k][column]).sum();
            }
            row[3] += r[3];
        }
        Self { rows }
    }

    /// Largest angle in degrees by which two axes miss being perpendicular (0 for a shearless matrix).
    #[must_use]
    pub fn shear_degrees(&self) -> f64 {
        let d = self.direction();
        let dot = |a: usize, b: usize| (0..3).map(|r| d[a][r] * d[b][r]).sum::<f64>().clamp(-1.0, 1.0);
        [dot(0, 1), dot(0, 2), dot(1, 2)].into_iter().map(|c| c.asin().to_degrees().abs()).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_a_sheared_left_handed_oblique_map() {
        let affine =
            Affine::from_rows([[-0.9, 0.2, 0.1, 12.0], [0.1, 1.7, -0.3, -40.0], [0.05, 0.4, 4.2, 7.5]]).unwrap();
        assert!(affine.determinant() < 0.0);
        let back = affine.inverse().after(&affine);
        for (r, row) in back.rows().iter().enumerate() {
            for (c, v) in row.iter().enumerate() {
                assert!((v - f64::from(u8::from(r == c))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn singular_and_nan_are_refused_and_tiny_voxels_are_not() {
        assert!(Affine::from_spacing([1.0, 0.0, 1.0], [0.0; 3]).is_err());
        assert!(Affine::from_spacing([1.0, f64::NAN, 1.0], [0.0; 3]).is_err());
        assert!(Affine::from_rows([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).is_err());
        assert!(Affine::from_spacing([1e-4, 1e-4, 10.0], [0.0; 3]).is_ok());
    }
}
