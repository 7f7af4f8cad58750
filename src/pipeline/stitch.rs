//! The slab accumulator: tiles in, finished planes of scores out.
//!
//! Only the planes that a later tile still writes to are held, so memory follows classes x slab, not classes x volume.

use rayon::prelude::*;

use crate::error::Result;
use crate::labels::{Activation, count_not_finite};
use crate::limits;
use crate::tiling::{Layout, Row, Tile};

/// Scores of some neighboring planes of the grid that is tiled.
///
/// Class `c` of the p-th plane is `data[c * class_stride + p * plane..][..plane]`, i fastest, with `plane` = ni * nj.
#[derive(Debug)]
#[non_exhaustive]
pub struct Slab<'a> {
    /// The scores.
    pub data: &'a mut [f32],
    /// Distance of a class from the next one.
    pub class_stride: usize,
    /// Number of planes.
    pub planes: usize,
}

impl Slab<'_> {
    /// How many scores are NaN or infinite.
    pub(super) fn not_finite(&self, plane: usize) -> usize {
        let classes = self.data.par_chunks(self.class_stride);
        classes.flat_map(|class| class[..self.planes * plane].par_chunks(plane)).map(count_not_finite).sum()
    }

    /// Replaces scores by what `activation` makes of them; memory holds one plane more.
    pub(super) fn activate(&mut self, activation: Activation, classes: usize, plane: usize) -> Result<()> {
        if activation == Activation::None {
            return Ok(());
        }
        if self.class_stride == self.planes * plane {
            return activation.apply(self.data, classes);
        }
        // Classes lie apart: they are brought together for the call.
        let mut packed = limits::zeroed(classes * plane, "a plane of probabilities")?;
        for p in 0..self.planes {
            for (to, from) in packed.chunks_mut(plane).zip(self.data.chunks(self.class_stride)) {
                to.copy_from_slice(&from[p * plane..][..plane]);
            }
            activation.apply(&mut packed, classes)?;
            for (from, to) in packed.chunks(plane).zip(self.data.chunks_mut(self.class_stride)) {
                to[p * plane..][..plane].copy_from_slice(from);
            }
        }
        Ok(())
    }
}

/// Adds up tiles of one layout, in its order: before a tile is added, the planes that no tile from it on writes to
/// ([`Layout::finished_before`]) are taken out, and at the end all that are left.
#[derive(Debug)]
pub struct Stitcher {
    layout: Layout,
    classes: usize,
    plane: usize,
    /// Planes that the ring holds.
    depth: usize,
    /// The plane that the ring's first slot stands for.
    first: usize,
    /// `[classes][depth][nj][ni]`.
    scores: Vec<f32>,
    /// Weight of each voxel of a tile's output, where tiles overlap.
    weights: Option<Vec<f32>>,
    /// Sum of weights, `[depth][nj][ni]`.
    total: Vec<f32>,
}

impl Stitcher {
    /// For tiles of `layout` and a network of so many classes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn new(layout: Layout, classes: usize) -> Result<Self> {
        let [ni, nj, _] = layout.shape();
        let plane = ni * nj;
        let depth = layout.ring_planes();
        let weights = layout.weights()?;
        let scores = limits::zeroed(classes * depth * plane, "the slab of scores")?;
        let total = limits::zeroed(if weights.is_some() { depth * plane } else { 0 }, "the slab of weights")?;
        Ok(Self { layout, classes, plane, depth, first: 0, scores, weights, total })
    }

    /// Adds a tile's scores `[classes][voxels of the tile's output]`.
    ///
    /// # Panics
    /// When `output` does not have that many values, or planes of the tile were not yet taken out or are out already.
    pub fn add(&mut self, tile: &Tile, output: &[f32]) {
        let rows: Vec<Row> = self.layout.rows(tile).collect();
        let ni = self.layout.shape()[0];
        let (plane, first) = (self.plane, self.first);
        let at = |row: &Row| (row.index[2] - first) * plane + row.index[1] * ni + row.index[0];
        let channel = output.len() / self.classes;
        let weights = self.weights.as_deref();
        self.scores.par_chunks_mut(self.depth * plane).zip(output.par_chunks(channel)).for_each(|(sum, scores)| {
            for row in &rows {
                let sum = &mut sum[at(row)..][..row.len];
                let scores = scores[row.source..].iter().step_by(row.stride);
                match weights {
                    None => sum.iter_mut().zip(scores).for_each(|(sum, &score)| *sum = score),
                    Some(weights) => {
                        let weights = weights[row.source..].iter().step_by(row.stride);
                        sum.iter_mut().zip(scores).zip(weights).for_each(|((sum, &s), &w)| *sum += w * s);
                    }
                }
            }
        });
        if let Some(weights) = weights {
            for row in &rows {
                let total = &mut self.total[at(row)..][..row.len];
                let weights = weights[row.source..].iter().step_by(row.stride);
                total.iter_mut().zip(weights).for_each(|(total, &w)| *total += w);
            }
        }
    }

    /// Hands the planes below `end` to `take`, divided by their weights, and forgets them.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn finish(&mut self, end: usize, take: impl FnOnce(Slab<'_>) -> Result<()>) -> Result<()> {
        let planes = end.saturating_sub(self.first).min(self.depth);
        if planes == 0 {
            return Ok(());
        }
        let (len, class_stride) = (planes * self.plane, self.depth * self.plane);
        if self.weights.is_some() {
            let total = &self.total[..len];
            self.scores.par_chunks_mut(class_stride).for_each(|sum| {
                sum.iter_mut().zip(total).for_each(|(sum, &total)| *sum /= total);
            });
        }
        take(Slab { data: &mut self.scores, class_stride, planes })?;
        self.scores.par_chunks_mut(class_stride).for_each(|sum| slide(sum, len));
        if self.weights.is_some() {
            slide(&mut self.total, len);
        }
        self.first = end;
        Ok(())
    }
}

/// Moves values to the front by `len` and clears what becomes free.
fn slide(values: &mut [f32], len: usize) {
    values.copy_within(len.., 0);
    let rest = values.len() - len;
    values[rest..].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiling::{NetworkShape, Tiling};

    /// Runs `layout` over a network that copies its input, and returns what is stitched.
    fn stitched(layout: &Layout, classes: usize, volume: &[f32]) -> Vec<f32> {
        let plane = layout.shape()[0] * layout.shape()[1];
        let mut out = vec![f32::NAN; classes * volume.len()];
        let mut done = 0;
        let mut stitcher = Stitcher::new(layout.clone(), classes).unwrap();
        let mut take = |stitcher: &mut Stitcher, end: usize| {
            stitcher
                .finish(end, |slab| {
                    for c in 0..classes {
                        let from = &slab.data[c * slab.class_stride..][..slab.planes * plane];
                        out[c * volume.len() + done * plane..][..from.len()].copy_from_slice(from);
                    }
                    done += slab.planes;
                    Ok(())
                })
                .unwrap();
        };
        let patch = layout.patch().iter().product();
        for tile in layout.tiles() {
            take(&mut stitcher, layout.finished_before(tile.number));
            let mut input = vec![0.0; patch];
            layout.gather(volume, &tile, &mut input).unwrap();
            let scores: Vec<f32> = (0..classes).flat_map(|c| input.iter().map(move |v| v + c as f32)).collect();
            stitcher.add(&tile, &scores);
        }
        take(&mut stitcher, layout.shape()[2]);
        out
    }

    #[test]
    fn what_goes_in_comes_out_whatever_the_tiling() {
        let shape = [9, 7, 11];
        let volume: Vec<f32> = (0..693).map(|v| (v % 97) as f32).collect();
        let network = NetworkShape::padded([1; 3]);
        let mut tried = 0;
        for text in [
            r#"{"method":"whole"}"#,
            r#"{"method":"sliding-window","patch":[4,5,6],"overlap":0.5,"importance":"nnunet"}"#,
            r#"{"method":"sliding-window","patch":[4,5,6],"overlap":0.25,"importance":"uniform"}"#,
            r#"{"method":"sliding-window","patch":[16,16,16],"overlap":0.25,"importance":"monai"}"#,
        ] {
            let tiling: Tiling = serde_json::from_str(text).unwrap();
            let layout = Layout::new(&tiling, shape, &network).unwrap();
            let out = stitched(&layout, 3, &volume);
            for (at, value) in out.iter().enumerate() {
                let want = volume[at % volume.len()] + (at / volume.len()) as f32;
                assert!((value - want).abs() < 1e-4, "{text}: {at}: {value} is not {want}");
            }
            tried += 1;
        }
        assert_eq!(tried, 4);
    }
}
