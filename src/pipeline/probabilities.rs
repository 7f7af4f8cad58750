//! Probabilities of all classes: the scores are kept on the network's grid in a temporary file, so that memory does not
//! grow with classes, and become probabilities where they are asked for.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::prelude::*;

use super::stitch::Slab;
use crate::error::{Error, ErrorKind, Result};
use crate::fs;
use crate::geometry::Grid;
use crate::labels::{Activation, DecideOptions, Interpolation, Rule};
use crate::limits;
use crate::resample::{self, Border, Method, Outside, ResampleOptions};
use crate::volume::Volume;

/// Probabilities of each class, by the same interpolation as the labels: scores are brought to a grid and made
/// probabilities there, so that the most probable class is the one that was decided (but for ties and rounding).
#[derive(Debug, Clone)]
pub struct Probabilities {
    /// None where nothing was fed: all is background.
    scores: Option<Scores>,
    classes: usize,
    /// What still makes probabilities of the scores.
    activation: Activation,
    /// Class 0 is background, which is what lies beyond the network's grid.
    background: bool,
    method: Method,
    outside: Outside,
}

/// Scores in a file: planes in order, each `[classes][nj][ni]` of little-endian `f32`.
#[derive(Debug, Clone)]
struct Scores {
    file: Arc<Mutex<fs::Spool>>,
    grid: Grid,
}

/// Probabilities on one grid; made by [`Probabilities::on_grid`].
#[derive(Debug)]
pub struct ProbabilitiesOnGrid<'a> {
    from: &'a Probabilities,
    grid: Grid,
    /// Logarithm of the sum of exponentials of all classes, for a softmax.
    total: Option<Vec<f32>>,
}

impl Probabilities {
    /// Of a study of which nothing was fed; `activation` is what makes probabilities of scores.
    pub(super) fn of_nothing(decide: &DecideOptions, activation: Activation) -> Self {
        Self {
            scores: None,
            classes: decide.ids.len(),
            activation,
            background: decide.rule == Rule::Argmax,
            method: match decide.interpolation {
                Interpolation::Nearest => Method::Nearest,
                Interpolation::Linear => Method::Linear,
            },
            outside: decide.outside,
        }
    }

    /// An empty store for scores on `grid`.
    pub(super) fn new(grid: Grid, decide: &DecideOptions, activation: Activation) -> Result<Self> {
        let file = Arc::new(Mutex::new(fs::spool().map_err(|e| failed("made", e))?));
        Ok(Self { scores: Some(Scores { file, grid }), ..Self::of_nothing(decide, activation) })
    }

    /// Appends finished planes.
    pub(super) fn push(&self, slab: &Slab<'_>) -> Result<()> {
        let Some(scores) = &self.scores else { return Ok(()) };
        let plane = scores.plane();
        let mut bytes: Vec<u8> = limits::reserved(plane * 4, "a plane of scores")?;
        let mut file = scores.open()?;
        for p in 0..slab.planes {
            for class in slab.data.chunks(slab.class_stride) {
                bytes.clear();
                bytes.extend(class[p * plane..][..plane].iter().flat_map(|v| v.to_le_bytes()));
                file.write_all(&bytes).map_err(|e| failed("written", e))?;
            }
        }
        Ok(())
    }

    /// Number of classes, background included.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Gets ready to give the classes one by one on `grid`. For a softmax all scores are read once.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] when the temporary file cannot be read, [`crate::ErrorKind::Limit`] when the memory
    /// cannot be had.
    pub fn on_grid(&self, grid: &Grid) -> Result<ProbabilitiesOnGrid<'_>> {
        let total = if self.activation == Activation::Softmax { Some(self.total(grid)?) } else { None };
        Ok(ProbabilitiesOnGrid { from: self, grid: *grid, total })
    }

    /// `ln(sum over classes of exp(score))` at each voxel of `grid`.
    fn total(&self, grid: &Grid) -> Result<Vec<f32>> {
        let mut largest = self.scores_on(0, grid)?.into_data();
        let mut sum = limits::zeroed(largest.len(), "the sums of a softmax")?;
        sum.fill(1.0_f32);
        for class in 1..self.classes {
            let scores = self.scores_on(class, grid)?.into_data();
            let sums = sum.par_iter_mut().zip(&mut largest).with_min_len(1 << 14);
            sums.zip(scores).for_each(|((sum, largest), score)| {
                let new = largest.max(score);
                *sum = *sum * (*largest - new).exp() + (score - new).exp();
                *largest = new;
            });
        }
        largest.par_iter_mut().zip(sum).with_min_len(1 << 14).for_each(|(largest, sum)| *largest += sum.ln());
        Ok(largest)
    }

    /// Scores of one class on `grid`; beyond the network's grid those that stand for background.
    fn scores_on(&self, class: usize, grid: &Grid) -> Result<Volume> {
        let outside = self.score_outside(class);
        let Some(scores) = &self.scores else {
            let mut volume = Volume::zeros(*grid)?;
            volume.data_mut().fill(outside);
            return Ok(volume);
        };
        let border = match self.outside {
            Outside::Background => Border::FieldOfView(outside),
            Outside::Clamp => Border::Clamp,
        };
        let options = ResampleOptions::new(self.method).with_border(border);
        resample::resample(&scores.class(class, self.classes)?, grid, &options)
    }

    /// The score that becomes a probability of 1 for background and 0 for all else.
    fn score_outside(&self, class: usize) -> f32 {
        match (self.activation, self.background && class == 0) {
            (Activation::None, true) => 1.0,
            (Activation::None, false) | (_, true) => 0.0,
            (_, false) => f32::NEG_INFINITY,
        }
    }
}

impl ProbabilitiesOnGrid<'_> {
    /// Probability of `class` at each voxel.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] for a class that the network does not have; as [`Probabilities::on_grid`].
    pub fn class(&self, class: usize) -> Result<Volume> {
        if class >= self.from.classes {
            return Err(Error::usage(format!("the network has {} classes, numbered from 0", self.from.classes)));
        }
        let mut volume = self.from.scores_on(class, &self.grid)?;
        let values = volume.data_mut();
        match &self.total {
            Some(total) => {
                let pairs = values.par_iter_mut().zip(total).with_min_len(1 << 14);
                pairs.for_each(|(value, total)| *value = (*value - total).exp());
            }
            None => self.from.activation.apply(values, 1)?,
        }
        Ok(volume)
    }
}

impl Scores {
    fn open(&self) -> Result<MutexGuard<'_, fs::Spool>> {
        self.file.lock().map_err(|_| Error::internal("a thread failed while it held the probabilities"))
    }

    fn plane(&self) -> usize {
        self.grid.shape()[0] * self.grid.shape()[1]
    }

    /// Scores of one of `classes` on the network's grid.
    fn class(&self, class: usize, classes: usize) -> Result<Volume> {
        let plane = self.plane();
        let mut data: Vec<f32> = limits::reserved(self.grid.voxels(), "the scores of a class")?;
        let mut bytes = limits::zeroed(plane * 4, "a plane of scores")?;
        let mut file = self.open()?;
        for k in 0..self.grid.shape()[2] {
            let at = ((k * classes + class) * plane * 4) as u64;
            file.seek(SeekFrom::Start(at)).map_err(|e| failed("read", e))?;
            file.read_exact(&mut bytes).map_err(|e| failed("read", e))?;
            data.extend(bytes.as_chunks::<4>().0.iter().map(|w| f32::from_le_bytes(*w)));
        }
        Volume::new(self.grid, data)
    }
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Output, format!("the temporary file of probabilities cannot be {what}")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Region};

    #[test]
    fn softmax_sums_to_one_and_beyond_the_network_s_grid_all_is_background() {
        let grid = Grid::new([4, 3, 2], Affine::identity()).unwrap();
        let inner = grid.cropped(Region::new([1, 0, 0], [4, 2, 2])).unwrap();
        let store = Probabilities::new(inner, &DecideOptions::new(vec![0, 1]), Activation::Softmax).unwrap();
        let mut data: Vec<f32> = (0..24).map(|v| v as f32 * 50.0).collect();
        store.push(&Slab { data: &mut data, class_stride: 12, planes: 2 }).unwrap();
        let on_grid = store.on_grid(&grid).unwrap();
        let (a, b) = (on_grid.class(0).unwrap(), on_grid.class(1).unwrap());
        assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a + b - 1.0).abs() < 1e-6));
        for ([i, j, _], b) in b.view().indexed_iter().map(|((i, j, k), b)| ([i, j, k], *b)) {
            assert_eq!(b, if i > 0 && j < 2 { 1.0 } else { 0.0 });
        }
        assert!(on_grid.class(2).is_err());
    }
}
