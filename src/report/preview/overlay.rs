//! A plane drawn into a panel: the scan in gray, labels in color with outlines.

use rayon::prelude::*;

use super::canvas::{Canvas, Rgb, mix};
use super::planes::Plane;
use crate::error::Result;
use crate::limits;

/// How scan and labels become pixels.
pub(super) struct Look {
    /// Values of the scan that become black and white.
    pub(super) window: [f32; 2],
    /// Colors by label id.
    pub(super) colors: Vec<Rgb>,
    /// How much of a label's color covers the scan.
    pub(super) opacity: f32,
}

/// Draws `plane` into the box of `size` pixels at `at`.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] when memory cannot be had.
pub(super) fn paint(canvas: &mut Canvas, plane: &Plane, at: [usize; 2], size: [usize; 2], look: &Look) -> Result<()> {
    let [width, height] = size;
    let columns = samples(plane.width, width);
    let rows = samples(plane.height, height);
    let mut ids: Vec<u16> = limits::zeroed(width * height, "a panel of the picture")?;
    ids.par_chunks_mut(width).zip(&rows).for_each(|(line, row)| {
        line.iter_mut().zip(&columns).for_each(|(id, column)| *id = label_at(plane, column, row));
    });
    let [low, high] = look.window;
    let outline = look.opacity.sqrt();
    let stride = 3 * canvas.width;
    let lines = canvas.pixels.par_chunks_mut(stride).skip(at[1]).take(height);
    lines.zip(&rows).enumerate().for_each(|(y, (line, row))| {
        for (x, (pixel, column)) in line[3 * at[0]..].chunks_exact_mut(3).zip(&columns).enumerate() {
            pixel.fill(byte((value_at(plane, column, row) - low) / (high - low)));
            let id = ids[y * width + x];
            if id != 0 {
                let edge = (x > 0 && ids[y * width + x - 1] != id)
                    || (x + 1 < width && ids[y * width + x + 1] != id)
                    || (y > 0 && ids[(y - 1) * width + x] != id)
                    || (y + 1 < height && ids[(y + 1) * width + x] != id);
                mix(pixel, look.colors[usize::from(id)], if edge { outline } else { look.opacity });
            }
        }
    });
    Ok(())
}

/// Where a pixel lies between two voxels along one axis of a plane.
struct Sample {
    voxels: [usize; 2],
    /// Share of each voxel.
    shares: [f32; 2],
}

/// Linear samples of `pixels` over `voxels`, edge to edge.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the axis")]
fn samples(voxels: usize, pixels: usize) -> Vec<Sample> {
    let last = voxels - 1;
    (0..pixels)
        .map(|pixel| {
            let at = ((pixel as f64 + 0.5) * voxels as f64 / pixels as f64 - 0.5).clamp(0.0, last as f64);
            let part = at.fract() as f32;
            Sample { voxels: [at as usize, (at as usize + 1).min(last)], shares: [1.0 - part, part] }
        })
        .collect()
}

/// The four voxels around a pixel with their shares.
fn corners<T: Copy>(values: &[T], width: usize, column: &Sample, row: &Sample) -> [(T, f32); 4] {
    [(0, 0), (1, 0), (0, 1), (1, 1)]
        .map(|(c, r)| (values[row.voxels[r] * width + column.voxels[c]], row.shares[r] * column.shares[c]))
}

/// The scan, linearly between voxels.
fn value_at(plane: &Plane, column: &Sample, row: &Sample) -> f32 {
    corners(&plane.values, plane.width, column, row).iter().map(|(value, share)| value * share).sum()
}

/// The label with the largest share; the highest id of several.
fn label_at(plane: &Plane, column: &Sample, row: &Sample) -> u16 {
    let corners = corners(&plane.ids, plane.width, column, row);
    let [(first, _), ..] = corners;
    if corners.iter().all(|corner| corner.0 == first) {
        return first;
    }
    let share = |id: u16| corners.iter().filter(|corner| corner.0 == id).map(|corner| corner.1).sum::<f32>();
    corners.map(|corner| corner.0).into_iter().fold(
        0,
        |best, id| {
            if (share(id), id) > (share(best), best) { id } else { best }
        },
    )
}

/// A shade of 0 to 1 as a byte; NaN is black.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255, NaN becomes 0")]
pub(super) fn byte(shade: f32) -> u8 {
    (shade.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}
