//! What is read outside the volume.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::layout::Window;
use crate::error::{Error, Result};

/// What stands at an index outside an axis of `n` voxels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Padding {
    /// Mirrored at the centre of the edge voxel, which is not repeated: `… 2 1 | 0 1 2 … n-1 | n-2 …`, with as many
    /// bounces as needed (numpy `reflect`, the mirroring of the 2015 paper). An axis of one voxel repeats it.
    Reflect,
    /// Mirrored at the face of the edge voxel, which is repeated: `… 1 0 | 0 1 … n-1 | n-1 …` (numpy `symmetric`).
    Symmetric,
    /// The edge voxel again and again (numpy `edge`, torch `replicate`).
    Edge,
    /// One value everywhere.
    Constant(f32),
}

impl Padding {
    /// The voxel of an axis of `n >= 1` voxels that is read at index `at`; `None` where a constant stands.
    #[must_use]
    pub fn index(self, at: isize, n: usize) -> Option<usize> {
        let len = n as isize;
        if (0..len).contains(&at) {
            return usize::try_from(at).ok();
        }
        let inside = match self {
            Self::Constant(_) => return None,
            Self::Edge => at.clamp(0, len - 1),
            Self::Reflect if n == 1 => 0,
            Self::Reflect => {
                let q = at.rem_euclid(2 * len - 2);
                q.min(2 * len - 2 - q)
            }
            Self::Symmetric => {
                let q = at.rem_euclid(2 * len);
                q.min(2 * len - 1 - q)
            }
        };
        usize::try_from(inside).ok()
    }

    /// The constant; 0 for the paddings that have none.
    fn constant(self) -> f32 {
        if let Self::Constant(value) = self { value } else { 0.0 }
    }
}

/// Where each place along one axis of a patch is read, as an offset into the volume's memory.
struct Axis {
    offsets: Vec<Option<usize>>,
    outside: f32,
    /// Places whose voxels follow each other in memory, for the axis i.
    inside: std::ops::Range<usize>,
}

impl Axis {
    fn new(axis: usize, shape: [usize; 3], read: &Window, padding: Padding) -> Self {
        let (n, start, side) = (shape[axis], read.start[axis], read.shape[axis]);
        let stride: usize = shape[..axis].iter().product();
        let offsets = (0..side).map(|p| padding.index(start + p as isize, n).map(|at| at * stride)).collect();
        let place = |at: isize| usize::try_from(at - start).unwrap_or(0).min(side);
        let inside = if axis == 0 { place(0)..place(n as isize) } else { 0..0 };
        Self { offsets, outside: padding.constant(), inside }
    }
}

/// Copies the box `read` of a volume (`shape` voxels, i fastest) into `out`, filling what lies outside.
///
/// `order` is the volume axis behind each axis of `out`, fastest first: `[0, 1, 2]` keeps i fastest. Each axis has its
/// own padding; where several axes are outside a constant, the slowest axis decides.
///
/// # Errors
/// [`crate::ErrorKind::Internal`] when `source` does not fill `shape`, `out` does not fill `read`, or `order` is no
/// order of the axes.
pub fn gather(
    source: &[f32],
    shape: [usize; 3],
    read: &Window,
    order: [usize; 3],
    padding: [Padding; 3],
    out: &mut [f32],
) -> Result<()> {
    let mut sorted = order;
    sorted.sort_unstable();
    if sorted != [0, 1, 2]
        || source.len() != shape.iter().product::<usize>()
        || source.is_empty()
        || out.len() != read.shape.iter().product::<usize>()
    {
        return Err(Error::internal(format!("a patch of {:?} cannot be read from {shape:?} voxels", read.shape)));
    }
    let [fast, middle, slow] = order.map(|axis| Axis::new(axis, shape, read, padding[axis]));
    let row_len = fast.offsets.len();
    let plane_len = row_len * middle.offsets.len();
    if plane_len == 0 {
        return Ok(());
    }
    out.par_chunks_mut(plane_len).zip(&slow.offsets).for_each(|(plane, &slow_at)| {
        let Some(slow_at) = slow_at else { return plane.fill(slow.outside) };
        for (row, &middle_at) in plane.chunks_mut(row_len).zip(&middle.offsets) {
            match middle_at {
                Some(middle_at) => gather_row(&source[slow_at + middle_at..], &fast, row),
                None => row.fill(middle.outside),
            }
        }
    });
    Ok(())
}

/// One row of a patch: a straight copy where the volume's row is contiguous, a table elsewhere.
fn gather_row(source: &[f32], axis: &Axis, row: &mut [f32]) {
    let inside = axis.inside.clone();
    let value = |at: &Option<usize>| at.map_or(axis.outside, |at| source[at]);
    if let Some(first) = axis.offsets.get(inside.start).copied().flatten().filter(|_| !inside.is_empty()) {
        row[inside.clone()].copy_from_slice(&source[first..first + inside.len()]);
    }
    for part in [0..inside.start, inside.end.max(inside.start)..row.len()] {
        for (out, at) in row[part.clone()].iter_mut().zip(&axis.offsets[part]) {
            *out = value(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: [isize; 3], shape: [usize; 3]) -> Window {
        Window { start, shape }
    }

    #[test]
    fn a_patch_is_what_the_definition_says_for_every_order_and_padding() {
        let shape = [4, 3, 2];
        let source: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let paddings = [Padding::Reflect, Padding::Symmetric, Padding::Edge, Padding::Constant(-7.0)];
        let windows = [
            window([-9, -2, -3], [20, 8, 7]),
            window([1, 1, 0], [2, 2, 2]),
            window([6, -1, 0], [3, 2, 1]),
            window([-5, 0, 0], [3, 1, 2]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for (padding, read) in paddings.into_iter().flat_map(|p| windows.map(|w| (p, w))) {
                let mut out = vec![f32::NAN; read.shape.iter().product()];
                gather(&source, shape, &read, order, [padding; 3], &mut out).unwrap();
                let mut seen = 0;
                for c in 0..read.shape[order[2]] {
                    for b in 0..read.shape[order[1]] {
                        for a in 0..read.shape[order[0]] {
                            let mut at = read.start;
                            for (axis, step) in order.into_iter().zip([a, b, c]) {
                                at[axis] += isize::try_from(step).unwrap();
                            }
                            let inside = [0, 1, 2].map(|axis| padding.index(at[axis], shape[axis]));
                            let want = match inside {
                                [Some(i), Some(j), Some(k)] => source[i + 4 * (j + 3 * k)],
                                _ => -7.0,
                            };
                            assert_eq!(out[seen], want, "{order:?} {padding:?} {read:?} {at:?}");
                            seen += 1;
                        }
                    }
                }
                assert_eq!(seen, out.len());
            }
        }
    }

    #[test]
    fn sizes_that_do_not_agree_are_refused() {
        let read = window([0; 3], [2, 2, 1]);
        let wrong = |source: &[f32], order, len| {
            gather(source, [2, 2, 1], &read, order, [Padding::Edge; 3], &mut vec![0.0; len]).is_err()
        };
        assert!(wrong(&[0.0; 3], [0, 1, 2], 4));
        assert!(wrong(&[0.0; 4], [0, 1, 2], 5));
        assert!(wrong(&[0.0; 4], [0, 1, 1], 4));
    }
}
