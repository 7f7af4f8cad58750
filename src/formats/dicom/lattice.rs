//! Frames in any order, with slices left out, on an even grid.

use super::plane::{Plane, Vector, cross, dot, length, scale, subtract};
use super::stack::ras_affine;
use crate::geometry::Affine;

/// Positions along the normal closer than this (mm) are one position; frames may miss the grid by as much.
const SAME_POSITION: f64 = 0.01;
/// Frames may miss the grid by this part of a step too.
const EVEN: f64 = 0.02;
/// More slices than this between the first frame and the last are not believed.
const MAX_DEPTH: f64 = 65_536.0;

/// Where frames lie.
#[derive(Debug)]
pub(super) struct Lattice {
    /// Voxel index (column, row, slice) to RAS+ mm.
    pub(super) affine: Affine,
    /// Number of slices.
    pub(super) depth: usize,
    /// The slice of each frame.
    pub(super) slices: Vec<usize>,
}

/// The grid of frames: its step is the distance that the file states where it goes into the smallest one between two
/// positions, else that one. An error says why there is none.
pub(super) fn lattice(planes: &[Plane]) -> Result<Lattice, String> {
    let first = planes.first().ok_or("it has no frames")?;
    let is_same = |a: Vector, b: Vector| length(subtract(a, b)) < 1e-3;
    let spacing = |plane: &Plane| [0, 1].iter().all(|&n| (plane.spacing[n] - first.spacing[n]).abs() < 1e-4);
    if let Some(n) = planes
        .iter()
        .position(|plane| !is_same(plane.row, first.row) || !is_same(plane.column, first.column) || !spacing(plane))
    {
        return Err(format!("frame {} has another orientation or pixel spacing than the first one", n + 1));
    }
    let normal = cross(first.row, first.column);
    let normal = scale(normal, 1.0 / length(normal));
    let along: Vec<f64> = planes.iter().map(|plane| dot(normal, plane.position)).collect();
    let mut order: Vec<usize> = (0..planes.len()).collect();
    order.sort_by(|&a, &b| along[a].total_cmp(&along[b]));
    let (start, end) = (order[0], order[order.len() - 1]);
    let steps = order.windows(2).map(|pair| along[pair[1]] - along[pair[0]]).filter(|&mm| mm > SAME_POSITION);
    let smallest = steps.fold(f64::INFINITY, f64::min);
    let extent = along[end] - along[start];
    let (count, step) = if smallest.is_finite() {
        let goes_into = |mm: &f64| (smallest / mm - (smallest / mm).round()).abs() < EVEN && smallest > 0.5 * mm;
        let base = first.between.filter(goes_into).unwrap_or(smallest);
        let count = (extent / base).round();
        (count, scale(subtract(planes[end].position, planes[start].position), 1.0 / count))
    } else {
        (0.0, scale(normal, first.between.or(first.thickness).unwrap_or(1.0)))
    };
    if count >= MAX_DEPTH {
        return Err(format!("its frames lie {smallest} to {extent} mm apart, which makes no grid"));
    }
    let mm = dot(normal, step);
    let mut slices = Vec::with_capacity(planes.len());
    for (n, plane) in planes.iter().enumerate() {
        let off = subtract(plane.position, planes[start].position);
        let k = (dot(normal, off) / mm).round();
        let missed = length(subtract(off, scale(step, k)));
        if missed > SAME_POSITION.max(EVEN * mm) {
            return Err(format!("frame {} lies {missed:.3} mm off the grid that the other frames make", n + 1));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number up to MAX_DEPTH")]
        slices.push(k.max(0.0) as usize);
    }
    let depth = slices.iter().max().map_or(0, |last| last + 1);
    Ok(Lattice { affine: ras_affine(&planes[start], step)?, depth, slices })
}
