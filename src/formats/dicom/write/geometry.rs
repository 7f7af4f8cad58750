//! Places on a grid (RAS+) as DICOM writes them (LPS+).

use std::borrow::Cow;

use crate::formats::dicom::decimal::{decimal, decimals};
use crate::geometry::Grid;
use crate::volume::DicomSource;

/// ImagePositionPatient of the slice at `k`: the source's own text where there is a source slice.
pub(super) fn position<'a>(grid: &Grid, source: &'a DicomSource, k: usize) -> Cow<'a, str> {
    if let Some(slice) = source.slice_at(k) {
        return Cow::Borrowed(&slice.position);
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of slices are far below 2^53")]
    let [x, y, z] = grid.index_to_world([0.0, 0.0, k as f64]);
    Cow::Owned(decimals(&[-x, -y, z]))
}

/// mm from slice to slice along their normal: less than the step between them where they are tilted.
pub(super) fn between_slices(grid: &Grid) -> String {
    let affine = grid.affine();
    let [x, y] = [affine.column(0), affine.column(1)];
    let area = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    let length = area.iter().map(|v| v * v).sum::<f64>().sqrt();
    decimal(affine.determinant().abs() / length)
}
