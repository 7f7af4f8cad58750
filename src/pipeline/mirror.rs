//! Left/right flip averaging: each patch is run as it is and mirrored, and the scores are averaged before anything is
//! decided. A patch is mirrored in itself, so tiles, context and padding stay those of the plain run.

use rayon::prelude::*;

use super::Pipeline;
use crate::error::{Error, Result};
use crate::geometry::Orientation;
use crate::model::ModelSpec;
use crate::tiling::Layout;

/// How scores of a mirrored patch become scores of the patch.
#[derive(Debug)]
pub(super) struct Mirror {
    /// The spatial axis of the tensor that runs between left and right; 0 is the fastest.
    rank: usize,
    /// The class that a class is on the other side.
    other_side: Vec<usize>,
    /// Voxels of a patch along the tensor's spatial axes, fastest first.
    patch: [usize; 3],
    /// Voxels of the network's output.
    output: [usize; 3],
}

impl Mirror {
    /// For the tiles of `layout`, whose volume is oriented as `working`; `None` where it was not asked for.
    pub(super) fn new(
        pipeline: &Pipeline,
        layout: &Layout,
        working: Orientation,
        classes: usize,
    ) -> Result<Option<Self>> {
        if !pipeline.settings.tta {
            return Ok(None);
        }
        let axis = working.directions().iter().position(|direction| direction.world_axis() == 0);
        let rank = layout.order().iter().position(|&of| Some(of) == axis);
        let rank = rank.ok_or_else(|| Error::internal("no axis runs between left and right"))?;
        let other_side = other_side(pipeline.spec(), classes)?;
        let sizes = |extent: [usize; 3]| layout.order().map(|axis| extent[axis]);
        Ok(Some(Self { rank, other_side, patch: sizes(layout.patch()), output: sizes(layout.output()) }))
    }

    /// Mirrors each channel of patches `[..., slow, middle, fast]` in place.
    pub(super) fn flip(&self, patches: &mut [f32]) {
        patches.par_chunks_mut(self.patch.iter().product()).for_each(|patch| flip(patch, self.patch, self.rank));
    }

    /// Makes the mean of `scores` and `mirrored`, both `[batch, classes, slow, middle, fast]`, in `scores`.
    pub(super) fn average(&self, scores: &mut [f32], mirrored: &mut [f32]) {
        let channel: usize = self.output.iter().product();
        let classes = self.other_side.len();
        mirrored.par_chunks_mut(channel).for_each(|channel| flip(channel, self.output, self.rank));
        let mirrored = &*mirrored;
        scores.par_chunks_mut(channel).enumerate().for_each(|(n, scores)| {
            let (sample, class) = (n / classes, n % classes);
            let other = &mirrored[(sample * classes + self.other_side[class]) * channel..][..channel];
            scores.iter_mut().zip(other).for_each(|(score, other)| *score = 0.5 * (*score + other));
        });
    }
}

/// The class that each class is on the other side.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the description does not say so.
pub(super) fn other_side(spec: &ModelSpec, classes: usize) -> Result<Vec<usize>> {
    let Some(mirror) = &spec.mirror else {
        return Err(Error::usage(format!(
            "model {:?} cannot be averaged over left/right flips: its description does not say which classes change sides",
            spec.name
        ))
        .hint("leave --tta out, or state [mirror] in the model's description"));
    };
    let mut other: Vec<usize> = (0..classes).collect();
    for &[a, b] in &mirror.swap {
        if a.max(b) >= classes {
            return Err(Error::model(format!("mirror.swap names class {} of {classes}", a.max(b))));
        }
        other.swap(a, b);
    }
    Ok(other)
}

/// Reverses the order along one axis of a box, whose sizes are fastest first.
fn flip(values: &mut [f32], sizes: [usize; 3], rank: usize) {
    let block: usize = sizes[..rank].iter().product();
    let side = sizes[rank];
    for part in values.chunks_exact_mut(block * side) {
        if block == 1 {
            part.reverse();
            continue;
        }
        for n in 0..side / 2 {
            let (near, far) = part.split_at_mut((side - 1 - n) * block);
            near[n * block..][..block].swap_with_slice(&mut far[..block]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_mirrored_along_each_axis() {
        let sizes = [3, 2, 5];
        let values: Vec<f32> = (0..30_u8).map(f32::from).collect();
        for rank in 0..3 {
            let mut mirrored = values.clone();
            flip(&mut mirrored, sizes, rank);
            for (n, value) in mirrored.iter().enumerate() {
                let mut at = [n % 3, n / 3 % 2, n / 6];
                at[rank] = sizes[rank] - 1 - at[rank];
                assert!((value - values[at[0] + 3 * at[1] + 6 * at[2]]).abs() < f32::EPSILON, "axis {rank}, {n}");
            }
        }
    }
}
