//! Probabilities of all classes, kept on the network's grid in a temporary file: memory does not grow with classes.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};

use super::stitch::Slab;
use crate::error::{Error, ErrorKind, Result};
use crate::fs;
use crate::geometry::Grid;
use crate::labels::Activation;
use crate::limits;
use crate::resample::{self, ResampleOptions};
use crate::volume::Volume;

/// Probabilities of each class; a class is brought to a grid when it is asked for.
#[derive(Debug, Clone)]
pub struct Probabilities {
    /// Planes in order, each `[classes][nj][ni]` of little-endian `f32`.
    file: Arc<Mutex<fs::Spool>>,
    grid: Grid,
    classes: usize,
    activation: Activation,
}

impl Probabilities {
    /// An empty store for scores on `grid`; `activation` is what still makes probabilities of them.
    pub(super) fn new(grid: Grid, classes: usize, activation: Activation) -> Result<Self> {
        let file = fs::spool().map_err(|e| failed("made", e))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), grid, classes, activation })
    }

    /// Appends finished planes.
    pub(super) fn push(&self, slab: &Slab<'_>) -> Result<()> {
        let plane = self.plane();
        let mut values = limits::zeroed(self.classes * plane, "a plane of probabilities")?;
        let mut file =
            self.file.lock().map_err(|_| Error::internal("a thread failed while it held the probabilities"))?;
        for p in 0..slab.planes {
            for (out, class) in values.chunks_mut(plane).zip(slab.data.chunks(slab.class_stride)) {
                out.copy_from_slice(&class[p * plane..][..plane]);
            }
            self.activation.apply(&mut values, self.classes)?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            file.write_all(&bytes).map_err(|e| failed("written", e))?;
        }
        Ok(())
    }

    /// Number of classes, background included.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Probability of `class` on `grid`, by linear interpolation; 0 outside the network's grid.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] when the temporary file cannot be read, [`crate::ErrorKind::Limit`] when the memory
    /// cannot be had.
    pub fn on_grid(&self, class: usize, grid: &Grid) -> Result<Volume> {
        let plane = self.plane();
        let mut data: Vec<f32> = limits::reserved(self.grid.voxels(), "a class of probabilities")?;
        let mut bytes = vec![0; plane * 4];
        let mut file =
            self.file.lock().map_err(|_| Error::internal("a thread failed while it held the probabilities"))?;
        for k in 0..self.grid.shape()[2] {
            let at = ((k * self.classes + class) * plane * 4) as u64;
            file.seek(SeekFrom::Start(at)).map_err(|e| failed("read", e))?;
            file.read_exact(&mut bytes).map_err(|e| failed("read", e))?;
            let words = bytes.as_chunks::<4>().0;
            data.extend(words.iter().map(|w| f32::from_le_bytes(*w)));
        }
        drop(file);
        resample::resample(&Volume::new(self.grid, data)?, grid, &ResampleOptions::default())
    }

    fn plane(&self) -> usize {
        self.grid.shape()[0] * self.grid.shape()[1]
    }
}

fn failed(what: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Output, format!("the temporary file of probabilities cannot be {what}")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Affine;

    #[test]
    fn softmax_sums_to_one_and_comes_back_in_place() {
        let grid = Grid::new([3, 2, 2], Affine::identity()).unwrap();
        let store = Probabilities::new(grid, 2, Activation::Softmax).unwrap();
        let mut data: Vec<f32> = (0..24).map(|v| v as f32 * 50.0).collect();
        store.push(&Slab { data: &mut data, class_stride: 12, planes: 2 }).unwrap();
        let (a, b) = (store.on_grid(0, &grid).unwrap(), store.on_grid(1, &grid).unwrap());
        assert!(a.data().iter().zip(b.data()).all(|(a, b)| (a + b - 1.0).abs() < 1e-6));
        assert!(b.data().iter().all(|&v| v > 0.999));
    }
}
